package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/noriahq/noria/e2e/flood"
	"github.com/noriahq/noria/e2e/harness"
)

// A node that is asked for more than it can do, and told to take very short waits for long ones, refuses checks in the words for
// that and no others; settlements and health are answered meanwhile, and memory is bounded. When it is over everybody is answered.
func TestOverload(t *testing.T) {
	node := harness.Serve(t, "a", nil, []string{"GOMAXPROCS=1"}, "--shed-after", "1ms")
	node.WaitReady()
	for name, ask := range map[string]func(context.Context) flood.Tally{
		"http": func(ctx context.Context) flood.Tally {
			return flood.HTTP(ctx, flood.Load{Addr: node.Addr.API, Conns: 200, For: 2 * time.Second, Wait: 20 * time.Second, Items: 10})
		},
		"grpc": func(ctx context.Context) flood.Tally {
			return flood.GRPC(ctx, flood.Load{Addr: node.Addr.GRPC, Conns: 4, Each: 250, For: 2 * time.Second, Wait: 20 * time.Second, Items: 10})
		},
	} {
		meanwhile := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { meanwhile <- vital(ctx, node) }()
		got := ask(t.Context())
		cancel()
		if err := <-meanwhile; err != nil {
			t.Errorf("%s: meanwhile %v", name, err)
		}
		if got.Shed == 0 || got.Good == 0 || got.Late > 0 || got.Broken > 0 {
			t.Errorf("%s: %v; want some decided, some refused, and nothing else", name, got)
		}
		t.Logf("%s: %v", name, got)
	}
	if n := metric(t, node, "noria_requests_shed_total"); n == 0 {
		t.Error("no refusal is counted, want those that were seen")
	}
	if n := metric(t, node, `noria_requests_shed_total{entry="api",priority="give"}`); n != 0 {
		t.Errorf("%v settlements refused, want none", n)
	}
	most := 256
	if os.Getenv(harness.RaceEnv) != "" {
		most = 1024 // the race detector takes several times as much
	}
	if rss := metric(t, node, "process_resident_memory_bytes "); rss > float64(most<<20) {
		t.Errorf("%v bytes in memory, want less than %d MiB", rss, most)
	}
	answers(t, node)
}

// vital asks for what is never refused until ctx ends, and returns what was refused all the same.
func vital(ctx context.Context, node *harness.Node) error {
	client := &http.Client{Timeout: 20 * time.Second}
	for asked := 0; ctx.Err() == nil || asked == 0; asked++ {
		health, err := client.Get("http://" + node.Addr.Admin + "/healthz")
		if err != nil {
			return err
		}
		_ = health.Body.Close()
		settled, err := client.Post("http://"+node.Addr.API+"/v1/settle", "application/json", strings.NewReader(`{"key":"k","id":"none","cost":1}`))
		if err != nil {
			return err
		}
		_ = settled.Body.Close()
		if health.StatusCode != http.StatusOK || settled.StatusCode == http.StatusServiceUnavailable {
			return fmt.Errorf("health is answered %s, a settlement %s", health.Status, settled.Status)
		}
	}
	return nil
}

// Past saturation a node does nearly as much as at its best: three times as many checks are offered as callers who wait for
// each answer got decided, and of those as many as before are decided within a second. How it is without shedding is told beside
// it. One processor is the node's, and others ask. Run it alone on the machine:
//
//	go test ./e2e -run TestGoodput -v -soak
func TestGoodput(t *testing.T) {
	if !*soak {
		t.Skip("takes a minute of all processors; -soak runs it")
	}
	for _, way := range []struct {
		name       string
		do         func(context.Context, flood.Load) flood.Tally
		peak, over flood.Load
	}{
		{"HTTP", flood.HTTP, flood.Load{Conns: 32}, flood.Load{Conns: 2000}},
		{"HTTP, 100 checks each", flood.HTTP, flood.Load{Conns: 16, Items: 100}, flood.Load{Conns: 500, Items: 100}},
		{"gRPC", flood.GRPC, flood.Load{Conns: 4, Each: 16}, flood.Load{Conns: 32, Each: 250}},
		{"gRPC, 100 checks each", flood.GRPC, flood.Load{Conns: 4, Each: 4, Items: 100}, flood.Load{Conns: 8, Each: 250, Items: 100}},
	} {
		t.Run(way.name, func(t *testing.T) {
			for _, after := range []string{"0", "500ms"} {
				node := harness.Serve(t, "a", nil, []string{"GOMAXPROCS=1"}, "--shed-after", after)
				node.WaitReady()
				peak, over := way.peak, way.over
				if peak.Addr = node.Addr.GRPC; strings.HasPrefix(way.name, "HTTP") {
					peak.Addr = node.Addr.API
				}
				peak.For, peak.Wait = 3*time.Second, time.Second
				over.Addr, over.For, over.Wait = peak.Addr, 6*time.Second, time.Second
				way.do(t.Context(), flood.Load{Addr: peak.Addr, Conns: peak.Conns, Each: peak.Each, Items: peak.Items, For: time.Second, Wait: time.Second}) // to warm up
				began := busy(t, node)
				best := way.do(t.Context(), peak)
				between := busy(t, node)
				over.Rate = int(3 * best.Goodput())
				got := way.do(t.Context(), over)
				ended := busy(t, node)
				part := got.Goodput() / best.Goodput()
				// What another process took of the node's processor says nothing of the node.
				each := (float64(got.Good) / (ended - between)) / (float64(best.Good) / (between - began))
				rss := metric(t, node, "process_resident_memory_bytes ") / (1 << 20)
				t.Logf("--shed-after %s: at best %v; then %v; that is %.2f of it, %.2f by the node's processor time, and %.0f MiB of memory", after, best, got, part, each, rss)
				if crowded() {
					t.Log("not judged: others have the machine's processors")
				} else if after != "0" && max(part, each) < 0.9 {
					t.Errorf("goodput is %.2f of the best, %.2f by processor time; want 0.9", part, each)
				}
				if rss > 512 {
					t.Errorf("%.0f MiB of memory, want at most 512", rss)
				}
				node.Kill()
			}
		})
	}
}

// crowded says whether more wants to run on this machine than the test and its node.
func crowded() bool {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return false
	}
	load := 0.0
	_, err = fmt.Sscan(string(b), &load)
	return err == nil && load > float64(runtime.NumCPU())+2
}

// busy returns the seconds of processor time that node took so far.
func busy(t *testing.T, node *harness.Node) (s float64) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", node.Pid()))
	if err != nil {
		t.Skip("this system does not tell how long a process ran")
	}
	in := bufio.NewReader(strings.NewReader(string(b[strings.LastIndexByte(string(b), ')')+1:])))
	var user, system float64
	for i := range 13 {
		var word string
		if _, err := fmt.Fscan(in, &word); err != nil && err != io.EOF { //nolint:errorlint // as Fscan returns it
			t.Fatal(err)
		}
		if i == 11 {
			_, _ = fmt.Sscan(word, &user)
		}
		if i == 12 {
			_, _ = fmt.Sscan(word, &system)
		}
	}
	return (user + system) / 100
}
