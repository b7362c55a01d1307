package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
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
// it. Run it alone on the machine:
//
//	go test ./e2e -run TestGoodput -v -soak
//
// What is compared has to differ in what is asked and in nothing else. So one processor is the node's, and those who ask have the
// others: a scheduler that moves both around gives the node less the more is asked. The best and the flood are measured in
// turns, several times on one node, and the median of the turns counts: how fast a processor of a virtual machine is changes by a
// third within seconds. Those who ask over HTTP ask for the same keys at both, and their connections are open all the
// time: to open 2,000 of them, and to look among 1,000 keys instead of 32, costs the node something however little is
// asked.
func TestGoodput(t *testing.T) {
	if !*soak {
		t.Skip("takes minutes of all processors; -soak runs it")
	}
	for _, way := range []struct {
		name       string
		open       func(*testing.T, *harness.Node, flood.Load) asker
		peak, over flood.Load
	}{
		{"HTTP", overHTTP, flood.Load{Conns: 32}, flood.Load{Conns: 2000}},
		{"HTTP, 100 checks each", overHTTP, flood.Load{Conns: 16}, flood.Load{Conns: 500, Items: 100}},
		{"gRPC", overGRPC, flood.Load{Conns: 4, Each: 16}, flood.Load{Conns: 32, Each: 250}},
		{"gRPC, 100 checks each", overGRPC, flood.Load{Conns: 4, Each: 4, Items: 100}, flood.Load{Conns: 8, Each: 250, Items: 100}},
	} {
		t.Run(way.name, func(t *testing.T) {
			for _, c := range []struct {
				after string
				turns int
			}{{"0", 1}, {"500ms", 5}} {
				t.Run("shed after "+c.after, func(t *testing.T) {
					var node *harness.Node
					apart(t, func() { node = harness.Serve(t, "a", nil, []string{"GOMAXPROCS=1"}, "--shed-after", c.after) })
					node.WaitReady()
					peak, over := way.peak, way.over
					peak.Items, peak.For, peak.Wait, over.For, over.Wait = over.Items, time.Second, time.Second, 3*time.Second, time.Second
					part := goodput(t, node, way.open(t, node, over), peak, over, c.turns)
					rss := metric(t, node, "process_resident_memory_bytes ") / (1 << 20)
					t.Logf("%.2f of the best, and %.0f MiB of memory", part, rss)
					if crowded() {
						t.Log("not judged: others have the machine's processors")
					} else if c.after != "0" && part < 0.9 {
						t.Errorf("goodput is %.2f of the best, want 0.9", part)
					}
					if rss > 512 {
						t.Errorf("%.0f MiB of memory, want at most 512", rss)
					}
					node.Kill()
				})
			}
		})
	}
}

// goodput asks node in turns for peak, and for over at three times the rate that came of it, and returns what part of the best is left,
// by the wall clock or by the node's processor time: what another process took of its processor says nothing of the node.
func goodput(t *testing.T, node *harness.Node, ask asker, peak, over flood.Load, turns int) float64 {
	t.Helper()
	ask(t.Context(), peak) // to warm up
	var parts, eachs []float64
	for range turns {
		idle(t, node)
		best, cost := measured(t, node, ask, peak)
		over.Rate = int(3 * best.Goodput())
		got, costs := measured(t, node, ask, over)
		part, each := got.Goodput()/best.Goodput(), cost/costs
		t.Logf("at best %v; then %v; that is %.2f of it, %.2f by the node's processor time", best, got, part, each)
		parts, eachs = append(parts, part), append(eachs, each)
	}
	t.Logf("%.2f by the wall clock, %.2f by the node's processor time", median(parts), median(eachs))
	return max(median(parts), median(eachs))
}

// An asker asks a node for something.
type asker func(context.Context, flood.Load) flood.Tally

// overHTTP returns an asker over as many connections of HTTP as most has. Those of less ask on some of them.
func overHTTP(t *testing.T, node *harness.Node, most flood.Load) asker {
	t.Helper()
	most.Addr = node.Addr.API
	c, err := flood.Open(t.Context(), most)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.Ask
}

// overGRPC returns an asker over gRPC.
func overGRPC(_ *testing.T, node *harness.Node, _ flood.Load) asker {
	return func(ctx context.Context, l flood.Load) flood.Tally {
		l.Addr = node.Addr.GRPC
		return flood.GRPC(ctx, l)
	}
}

// measured asks for l and returns what came of it, and what a decision in time cost of node's processor, in seconds.
func measured(t *testing.T, node *harness.Node, ask asker, l flood.Load) (got flood.Tally, cost float64) {
	t.Helper()
	began := busy(t, node)
	got = ask(t.Context(), l)
	return got, (busy(t, node) - began) / float64(got.Good)
}

// idle returns when node has nothing to do any more.
func idle(t *testing.T, node *harness.Node) {
	t.Helper()
	for end := time.Now().Add(harness.Hang); metric(t, node, "noria_calls_under_way ") > 0 || metric(t, node, "noria_overloaded ") > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the node is still busy when nobody asks any more")
		}
	}
}

// median returns the middle one of values.
func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
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
