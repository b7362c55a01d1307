package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain makes the test binary what the tool makes itself: a process that a service runs in.
func TestMain(m *testing.M) {
	if err, is := hidden(context.Background(), os.Args[1:], os.Stdin, os.Stdout); is {
		os.Exit(told(os.Stderr, err))
	}
	os.Exit(m.Run())
}

// A quick run starts real services, asks them all that they are to be asked, and writes it down.
func TestQuickServices(t *testing.T) {
	for _, c := range []struct {
		only string // part of the names of services
		want []string
		jobs int // of each
	}{
		{"nodes: Node.Check", []string{noriaInside(3)}, len(usual()) + 2},
		{"Redis", []string{redisRate, redisGCRA, envoyShape}, len(usual())},
	} {
		t.Run(c.only, func(t *testing.T) {
			redis, err := exec.LookPath("redis-server")
			if err != nil && c.only == "Redis" {
				t.Skip("there is no redis-server")
			}
			out := filepath.Join(t.TempDir(), "results.md")
			var stderr strings.Builder
			args := []string{"-quick", "-only", c.only, "-redis", redis, "-out", out}
			if got := command(t.Context(), args, nil, nil, &stderr); got != 0 {
				t.Fatalf("exit status %d, want 0; stderr:\n%s", got, &stderr)
			}
			checkServices(t, out, c.want, c.jobs)
		})
	}
}

// checkServices checks that each service was given so many jobs, and did them.
func checkServices(t *testing.T, out string, want []string, jobs int) {
	t.Helper()
	text, err := os.ReadFile(strings.TrimSuffix(out, ".md") + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var rs results
	if err := json.Unmarshal(text, &rs); err != nil {
		t.Fatal(err)
	}
	if len(rs.Skipped) > 0 {
		t.Errorf("not measured: %q", rs.Skipped)
	}
	for _, who := range want {
		given := 0
		for _, r := range rs.Remotes {
			if r.Who != who {
				continue
			}
			given++
			if r.Asked == 0 || r.Failed*2 > r.Asked || r.CPU.median() <= 0 {
				t.Errorf("%s, %s: %d checks, %d failed, the first with %q; processor time %v", who, r.Load, r.Asked, r.Failed, r.Failure, r.CPU)
			}
			if r.Load == over && (r.Admitted == 0 || r.Permits < float64(scarce().burst)) {
				t.Errorf("%s: %d admitted of %g", who, r.Admitted, r.Permits)
			}
		}
		if given != jobs {
			t.Errorf("%s was given %d jobs, want %d", who, given, jobs)
		}
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(out), plotsDir, plotRate)); err != nil {
		t.Errorf("no picture: %v", err)
	}
}

// What is asked over Redis keeps its limits: nobody is denied where there is plenty, and of a scarce key no more is admitted
// than a bucket allows, or two fixed windows.
func TestRedisAskers(t *testing.T) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("there is no redis-server")
	}
	s, err := startRedis(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.end()
	e, err := startEnvoy(t.Context(), s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer e.end()
	for name, a := range map[string]asker{redisRate: s.libraryAsk, redisGCRA: s.scriptAsk, envoyShape: e.ask} {
		t.Run(name, func(t *testing.T) { checkAsker(t, a) })
	}
}

// checkAsker asks a about keys of its own.
func checkAsker(t *testing.T, a asker) {
	t.Helper()
	many, few := a(0, plenty()), a(0, scarce())
	admitted, began := 0, time.Now()
	for range 300 {
		if allowed, err := many(t.Context(), "plenty"); err != nil || !allowed {
			t.Fatalf("with plenty: %v, %v; want true", allowed, err)
		}
		allowed, err := few(t.Context(), "scarce")
		if err != nil {
			t.Fatal(err)
		}
		if allowed {
			admitted++
		}
	}
	if most := scarce().permits(time.Since(began)) + float64(scarce().burst); float64(admitted) > most || admitted < scarce().burst {
		t.Errorf("%d of 300 admitted, want %d to %g", admitted, scarce().burst, most)
	}
}

// Every caller of a job is in one share of it.
func TestShare(t *testing.T) {
	for _, n := range []int{1, 2, 3, 9} {
		for _, callers := range []int{1, 2, 64} {
			next := 0
			for i := range n {
				s := jobs(spread, callers)[0].share(i, n)
				if s.First != next || s.Of != callers {
					t.Errorf("share %d of %d of %d callers begins with %d of %d, want %d", i, n, callers, s.First, s.Of, next)
				}
				next += s.Callers
			}
			if next != callers {
				t.Errorf("%d shares of %d callers have %d", n, callers, next)
			}
		}
	}
}

// A service that fails in a round is left out from then on, and the results say why.
func TestFailingService(t *testing.T) {
	r := newRun(options{loadTime: time.Millisecond}, t.Logf)
	opened := 0
	rs := &remotes{}
	rs.add(func(context.Context) ([]way, func(), error) {
		opened++
		yes := func(int, limit) ask { return func(context.Context, string) (bool, error) { return true, nil } }
		js := jobs(spread, 1)
		if opened > 1 {
			return nil, nil, errDegraded
		}
		return []way{asked("it", js, yes, []string{key(1)})}, func() {}, nil
	}, "it")
	for range 3 {
		if err := r.measureRemote(t.Context(), rs); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.results.remote(remoteCase{"it", spread, 1}); len(got.PerSecond) != 1 || opened != 2 {
		t.Errorf("%d figures, opened %d times; want 1 and 2", len(got.PerSecond), opened)
	}
	if len(r.results.Skipped) != 1 || !strings.Contains(r.results.Skipped[0], errDegraded.Error()) {
		t.Errorf("skipped: %q", r.results.Skipped)
	}
}
