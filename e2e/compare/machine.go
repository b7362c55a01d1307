package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// A machine is what a run ran on and of what.
type machine struct {
	Date      time.Time `json:"date"`
	CPU       string    `json:"cpu"`
	Cores     int       `json:"cores"`
	OS        string    `json:"os"`
	Go        string    `json:"go"`
	Libraries []library `json:"libraries"`
}

// A library is a module of this program and its version.
type library struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

// thisMachine returns what this run runs on.
func thisMachine() machine {
	return machine{
		Date: time.Now().UTC(), CPU: cpuModel(), Cores: runtime.GOMAXPROCS(0),
		OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Libraries: libraries(),
	}
}

// cpuModel returns the name of the processor, the architecture where Linux does not tell.
func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// libraries returns the modules that figures depend on, as they are linked in. Test binaries know none.
func libraries() []library {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	wanted := []string{
		"github.com/didip/tollbooth/v8", "github.com/envoyproxy/go-control-plane/envoy", "github.com/go-redis/redis_rate/v10", "github.com/juju/ratelimit",
		"github.com/redis/go-redis/v9", "github.com/sethvargo/go-limiter", "github.com/throttled/throttled/v2",
		"github.com/ulule/limiter/v3", "golang.org/x/time", "google.golang.org/grpc",
	}
	var found []library
	for _, m := range info.Deps {
		if slices.Contains(wanted, m.Path) {
			found = append(found, library{Path: m.Path, Version: m.Version})
		}
	}
	return found
}
