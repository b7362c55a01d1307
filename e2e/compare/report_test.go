package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files")

// The page says what was measured, what it is worth, and what is missing.
func TestMarkdown(t *testing.T) {
	golden(t, "results.md", sampleRun().results.markdown())
}

// sampleRun returns a run of three rounds that some things are missing from.
func sampleRun() *run {
	r := &run{
		keys: []keySet{{n: 1}, {n: fewKeys}, {n: 1_000_000}}, say: func(string, ...any) {},
		results: results{
			Machine: machine{
				Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), CPU: "a processor", Cores: 2, OS: "linux/amd64", Go: "go1.26",
				Libraries: []library{{Path: "golang.org/x/time", Version: "v0.16.0"}},
			},
			Redis: "7.0.15", Rounds: 3, Took: 100 * time.Second,
		},
	}
	r.results.Locals = []*local{
		{localCase: plain(storeTake, 1), NS: samples{60, 50, 70}, Allocs: samples{0, 0.001, 0}},
		{localCase: plain(nodeCheck, 1), NS: samples{90, 90, 90}, Allocs: samples{0, 0, 0}},
		{localCase: plain(rateMutex, 1), NS: samples{80, 80, 80}, Allocs: samples{0, 0, 0}, Checks: 160, Wrong: 2},
		{localCase: plain(goLimiter, 1), NS: samples{120, 100, 140}, Allocs: samples{2, 2, 2}},
	}
	r.results.Heaps = []*weight{{Who: storeTake, Keys: 1_000_000, Bytes: samples{40.4, 40.5, 40.6}}}
	r.results.Remotes = []*remote{
		{remoteCase: remoteCase{forwarded, spread, 1}, PerSecond: samples{20000, 21000, 22000}, P50: samples{45, 44, 43}, P99: samples{99, 98, 97}, CPU: samples{60, 61, 62}},
		{
			remoteCase: remoteCase{forwarded, spread, manyCallers}, PerSecond: samples{300000}, P50: samples{200}, P99: samples{700}, CPU: samples{3.5},
			Asked: 900, Failed: 1, Failure: "peer\ndid not answer in time",
		},
	}
	sampleServices(&r.results)
	r.skip(envoyShape, errors.New("there is no\nredis-server"))
	r.judge()
	return r
}

// sampleServices adds figures of services and of what grows.
func sampleServices(rs *results) {
	rs.Keys = 20_000
	for i, who := range []string{noriaInside(3), noriaPublic(3), redisRate, gubernatorBatching(3), gubernatorGlobal(3)} {
		for k, load := range []string{spread, hot, over, heldHere, hotAlone} {
			f := float64(1 + i*i + k)
			at := &remote{
				remoteCase: remoteCase{who, load, manyCallers},
				PerSecond:  samples{300_000 / f, 310_000 / f}, P50: samples{50 * f, 51 * f}, P99: samples{400 * f, 410 * f},
				CPU: samples{5 * f, 5.1 * f}, Slowest: samples{100_000 / f, 90_000 / f}, Asked: 1000,
			}
			if load == over {
				at.Admitted, at.Permits, at.Excess = int64(200*f), 420, samples{f / 2, f / 2}
			}
			rs.Remotes = append(rs.Remotes, at)
		}
	}
	for i, who := range grown() {
		for _, n := range []int{1000, 1_000_000} {
			g := &grownKeys{Who: who, Keys: n, NS: samples{100 * float64(1+i), 110, 120 * float64(1+i)}, Bytes: 50 * float64(1+i)}
			if n > 1000 {
				g.GC = gcCost{Cycles: 2, Took: samples{12, 14}, Pauses: 8, P50: 11, P99: 30, P999: 33, Most: 33, NS: 234}
			}
			rs.GrownKeys = append(rs.GrownKeys, g)
		}
	}
	rs.Full = &full{
		Keys: 10_000_000, Bytes: 104, Growing: gaps{0.5, 4, 1500, 2, 0}, Quiet: gaps{0.4, 3, 1200, 1, 0}, Shard: 240, ShardQuiet: 12,
		GC: []*fullGC{
			{
				Load: askedFlat, Cost: gcCost{Cycles: 2, Took: samples{10, 12}, Pauses: 8, P50: 10, P99: 20, P999: 30, Most: 40},
				Stood: &stood{Pauses: 6, P999: 50, Most: 60, Over: 1, Left50: 5, Left99: 6, Left999: 7, LeftMost: 8, Withheld: 0.05},
			},
			{
				Load: askedCalm, Cost: gcCost{Cycles: 2, Took: samples{1, 2}, Pauses: 8, P50: 9, P99: 18, P999: 27, Most: 36},
				Stood: &stood{Pauses: 6, P999: 45, Most: 46, Left50: 5, Left99: 6, Left999: 7, LeftMost: 8, Withheld: 0.04},
			},
		},
	}
	rs.Replicas = []replicaCost{{Keys: 1000, Holder: 61, Replica: 52}}
	for _, way := range []string{nodeWay, apiWay} {
		for _, n := range []int{1, 3} {
			g := &grownNodes{Way: way, Nodes: n}
			g.PerSecond, g.P50, g.P99, g.CPU, g.Asked = samples{9000, 9100}, samples{60}, samples{900}, samples{12}, 100
			rs.GrownNodes = append(rs.GrownNodes, g)
		}
	}
}

// golden compares got to a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), string(want)); diff != "" {
		t.Errorf("%s (-got +want; -update rewrites it):\n%s", name, diff)
	}
}

// A target is met at its bound and on its good side, and not by what was not measured.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name string
		t    target
		want string
	}{
		{"more than the least", target{bound: 1.5, measured: samples{2}}, "met"},
		{"the least", target{bound: 1.5, measured: samples{1.5}}, "met"},
		{"less than the least", target{bound: 1.5, measured: samples{1.49}}, "missed"},
		{"less than the most", target{bound: 4, most: true, measured: samples{3}}, "met"},
		{"the most", target{bound: 4, most: true, measured: samples{4}}, "met"},
		{"more than the most", target{bound: 4, most: true, measured: samples{4.01}}, "missed"},
		{"the median decides", target{bound: 4, most: true, measured: samples{9, 3, 3}}, "met"},
		{"nothing", target{bound: 4, most: true}, "not measured"},
	} {
		if got := c.t.judge().Verdict; got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// The median, and how far the furthest round is from it.
func TestSamples(t *testing.T) {
	for _, c := range []struct {
		s              samples
		median, spread float64
	}{
		{samples{4}, 4, 0},
		{samples{5, 4, 1}, 4, 0.75},
		{samples{1, 9, 3, 5}, 4, 1.25},
	} {
		if m, s := c.s.median(), c.s.spread(); m != c.median || s != c.spread {
			t.Errorf("%v: median %g, spread %g; want %g, %g", c.s, m, s, c.median, c.spread)
		}
	}
	if diff := cmp.Diff(samples{6, 8}.over(samples{3, 2, 1}), samples{2, 4}); diff != "" {
		t.Errorf("ratios of rounds (-got +want):\n%s", diff)
	}
	if got := (samples{1}).over(nil); len(got) != 0 {
		t.Errorf("ratios to nothing are %v, want none", got)
	}
}

// Numbers are written as people read them.
func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.456: "0.46", 12.345: "12.3", 123.4: "123", 1234567: "1,234,567", -2345: "-2,345"} {
		if got := number(v); got != want {
			t.Errorf("number(%g) = %q, want %q", v, got, want)
		}
	}
}
