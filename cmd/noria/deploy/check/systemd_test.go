package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The unit's lines are what they should be, and systemd has nothing to say against it where it is installed.
func TestSystemd(t *testing.T) {
	b, err := os.ReadFile("../systemd/noria.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := string(b)
	value := func(key string) string {
		m := regexp.MustCompile(`(?m)^` + key + `=(.*)$`).FindStringSubmatch(unit)
		if m == nil {
			t.Errorf("the unit has no %s", key)
			return ""
		}
		return m[1]
	}
	args := strings.Fields(value("ExecStart"))
	if out, err := exec.Command(noria, append(args[1:], "--help")...).CombinedOutput(); err != nil {
		t.Errorf("noria does not take %q: %v: %s", args[1:], err, out)
	}
	if stop, err := time.ParseDuration(value("TimeoutStopSec") + "s"); err != nil || stop < 30*time.Second {
		t.Errorf("TimeoutStopSec is %v, %v, want more than the 25 s of --drain-timeout", stop, err)
	}
	if value("User") != "noria" || value("RestartPreventExitStatus") != "2" || value("ExecReload") != "/bin/kill -HUP $MAINPID" {
		t.Error("the unit runs as another user, tries wrong configuration again, or does not reload")
	}
	users, err := os.ReadFile("../systemd/noria.sysusers")
	if err != nil || !strings.HasPrefix(string(users), "u noria ") {
		t.Errorf("noria.sysusers is %q, %v", users, err)
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	path := filepath.Join(t.TempDir(), "noria.service") // with a program that is there
	text := strings.ReplaceAll(unit, "/usr/local/bin/noria", noria)
	text = regexp.MustCompile(`(?m)^(User|Group)=noria$`).ReplaceAllString(text, "$1=root")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), path) || strings.Contains(string(out), "noria.service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
