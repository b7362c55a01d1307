package main

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// Every way to ask counts all that it asked for, and no limit is exceeded.
//
// Which keys a caller asks for is fixed, and how many of the requests are its own is not: 800 of 10 keys have 20 of each, with a
// chance against it of one in 10^12.
func TestBench(t *testing.T) {
	_, ready := serveNode(t)
	for name, c := range map[string]struct {
		args    []string
		checks  int64
		allowed int64
	}{
		"grpc":   {[]string{ready.GRPC, "--requests", "800", "--keys", "10", "--limit", "quota 20"}, 800, 200},
		"stream": {[]string{ready.GRPC, "--requests", "800", "--keys", "10", "--limit", "quota 20", "--stream"}, 800, 200},
		"http":   {[]string{"http://" + ready.API, "--requests", "800", "--keys", "10", "--limit", "quota 20"}, 800, 200},
		"batch":  {[]string{ready.GRPC, "--requests", "50", "--keys", "10", "--batch", "10", "--limit", "quota 20"}, 50, 20},
		"open":   {[]string{ready.GRPC, "--requests", "100", "--rate", "1000", "--keys", "1", "--limit", "quota 20", "--stream"}, 100, 20},
		"both":   {[]string{ready.GRPC, "http://" + ready.API, "--requests", "100", "--batch", "2", "--keys", "2", "--limit", "quota 20", "--dist", "hot"}, 100, 20},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errs := once(t, nil, append([]string{"bench", "--output", "json", "--prefix", name + ":", "--concurrency", "8", "--duration", "1m"}, c.args...)...)
			var r report
			if err := json.Unmarshal([]byte(out), &r); status != statusFine || err != nil {
				t.Fatalf("bench ends with %d, %q, %q", status, out, errs)
			}
			if r.Requests != c.checks || r.Errors != 0 || r.Allowed != c.allowed || r.Denied != c.checks-c.allowed || r.Degraded != 0 {
				t.Errorf("report is %s, want %d requests of which %d are allowed", out, c.checks, c.allowed)
			}
			if r.Latency.P50 <= 0 || r.Latency.Max < r.Latency.P99 || r.RequestsPerSec <= 0 {
				t.Errorf("report has the latencies %+v and %f requests a second", r.Latency, r.RequestsPerSec)
			}
		})
	}
}

// fake is a target that answers after delays, the last of which goes on.
type fake struct {
	delays []time.Duration
	o      outcome
	asked  chan struct{} // a value for each request so far
}

func newFake(o outcome, delays ...time.Duration) *fake {
	return &fake{delays: delays, o: o, asked: make(chan struct{}, 1_000_000)}
}

// ask implements caller.
func (f *fake) ask(ctx context.Context, _ int, _ []string) outcome {
	i := min(len(f.asked), len(f.delays)-1)
	f.asked <- struct{}{}
	select {
	case <-time.After(f.delays[i]):
		return f.o
	case <-ctx.Done():
		return outcome{err: "DeadlineExceeded"}
	}
}

// close implements caller.
func (f *fake) close() {}

// benched returns what comes of b against f.
func benched(t *testing.T, b *bench, f *fake) report {
	t.Helper()
	b.limit, b.batch = bucket.Limit{Burst: 1}, 1
	b.keys = keySpace{number: 10, dist: "uniform"}
	b.timeout = time.Minute
	l := newLoad(b, []caller{f})
	return l.report(l.run(t.Context()))
}

// In an open loop a stall of a second is in the latencies of all requests that should have started meanwhile: a closed
// loop would have measured it once.
func TestOpenLoopCountsFromIntendedStart(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFake(outcome{allowed: true}, time.Second, 0)
		r := benched(t, &bench{concurrency: 1, rate: 100, duration: 10 * time.Second}, f)
		if r.Requests != 1000 || r.NotStarted != 0 {
			t.Errorf("%d requests, %d not started, want 1000 and 0", r.Requests, r.NotStarted)
		}
		// The first took 1s, the second should have started at 10ms and was answered at 1s, and so on: 100 of 1000 requests
		// took 1s, 0.99s, ... 0.01s.
		if r.Latency.P90 > 11e3 || r.Latency.Max < 999e3 || r.Latency.P99 < 890e3 || r.Latency.P99 > 912e3 {
			t.Errorf("latencies are %+v, want p90 10ms, p99 0.9s, max 1s", r.Latency)
		}
		if r.Latency.Mean < 50e3 || r.Latency.Mean > 51e3 {
			t.Errorf("mean is %v us, want 50,500", r.Latency.Mean)
		}
	})
}

// The progress line comes once a second, says what is counted so far, and is gone at the end.
func TestProgress(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLoad(&bench{}, nil)
		out, done, ended := new(strings.Builder), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			l.tell(out, done)
		}()
		for range 3 {
			for range 1000 {
				l.tally.add(0, 2*time.Millisecond, outcome{allowed: true})
			}
			l.tally.add(0, 0, outcome{err: "Unavailable"})
			time.Sleep(1010 * time.Millisecond) // of the bubble's clock
		}
		close(done)
		<-ended
		lines := strings.Split(strings.TrimSuffix(out.String(), "\r\x1b[K"), "\r\x1b[K")
		if want := "   3s  1,000/s  p50 2ms  p99 2ms  denied 0  errors 3"; len(lines) != 4 || lines[3] != want {
			t.Errorf("progress is %q, want three lines, the last of them %q", lines, want)
		}
	})
}

// What an open loop could not start is told.
func TestOpenLoopTellsWhatItLeftOut(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := benched(t, &bench{concurrency: 2, rate: 100, duration: 9500 * time.Millisecond}, newFake(outcome{allowed: true}, time.Second))
		if r.Requests != 20 || r.NotStarted != 930 {
			t.Errorf("%d requests, %d not started, want 20 and 930", r.Requests, r.NotStarted)
		}
	})
}

// A closed loop keeps all callers busy and ends in time, even if nobody answers.
func TestClosedLoop(t *testing.T) {
	for name, c := range map[string]struct {
		bench    bench
		fake     *fake
		requests int64
		took     float64
	}{
		"duration": {bench{concurrency: 4, duration: 9950 * time.Millisecond}, newFake(outcome{}, 100*time.Millisecond), 400, 10},
		"requests": {bench{concurrency: 4, duration: time.Hour, requests: 40}, newFake(outcome{}, 100*time.Millisecond), 40, 1},
		"errors":   {bench{concurrency: 1, duration: 995 * time.Millisecond}, newFake(outcome{err: "Unavailable"}, 0), 100, 0.995},
		"silence":  {bench{concurrency: 2, duration: time.Second}, newFake(outcome{}, time.Hour), 2, 60},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				r := benched(t, &c.bench, c.fake)
				if r.Requests != c.requests || r.Seconds != c.took {
					t.Errorf("%d requests in %v s, want %d in %v", r.Requests, r.Seconds, c.requests, c.took)
				}
			})
		})
	}
}

// A schedule is exact, for rates that do not divide a second and for a long time.
func TestSchedule(t *testing.T) {
	for _, c := range []struct {
		ticket int64
		rate   int
		want   time.Duration
	}{
		{0, 3, 0},
		{1, 3, 333_333_333},
		{3, 3, time.Second},
		{maxRate * 86400, maxRate, 24 * time.Hour},
		{maxRate - 1, maxRate, time.Second - 100},
	} {
		if got := schedule(c.ticket, c.rate); got != c.want {
			t.Errorf("schedule(%d, %d) is %v, want %v", c.ticket, c.rate, got, c.want)
		}
	}
}

// Keys come as often as their distribution says, the same in every run with a seed.
func TestKeyDistributions(t *testing.T) {
	const n = 20_000
	for dist, c := range map[string]struct{ least, most int }{
		"uniform": {100, 320}, // of n/100
		"zipf":    {3000, 8000},
		"hot":     {17_700, 18_300},
	} {
		s := keySpace{number: 100, dist: dist, prefix: "k", seed: 1}
		p, again, other := s.picker(0), s.picker(0), s.picker(1)
		counts, differ := map[string]int{}, 0
		for range n {
			var a, b, c [1]string
			p.pick(a[:])
			again.pick(b[:])
			other.pick(c[:])
			counts[a[0]]++
			if a != b {
				t.Fatalf("%s: two pickers with one seed pick %s and %s", dist, a[0], b[0])
			}
			if a != c {
				differ++
			}
		}
		if got := counts["k0"]; got < c.least || got > c.most {
			t.Errorf("%s: the first key came %d times of %d, want %d to %d", dist, got, n, c.least, c.most)
		}
		if len(counts) > 100 || len(counts) < 50 || differ == 0 {
			t.Errorf("%s: %d different keys, want up to 100; %d differ between callers", dist, len(counts), differ)
		}
	}
}

// A request never has a key twice, even if it has all there are; one key is enough for every distribution.
func TestBatchKeysDiffer(t *testing.T) {
	for _, dist := range []string{"uniform", "zipf", "hot"} {
		for _, number := range []int{1, 2, 50} {
			p := keySpace{number: number, dist: dist, prefix: "k"}.picker(0)
			keys := make([]string, number)
			for range 100 {
				p.pick(keys)
				seen := map[string]bool{}
				for _, k := range keys {
					seen[k] = true
				}
				if len(seen) != number {
					t.Fatalf("%s: %d keys of %d differ: %q", dist, len(seen), number, keys)
				}
			}
		}
	}
}

// A tally tells many kinds of errors apart, and not without end.
func TestErrorKinds(t *testing.T) {
	tally := newTally()
	for i := range 100 {
		tally.add(0, 0, outcome{err: "e" + strconv.Itoa(i%50)})
	}
	kinds := tally.errorKinds()
	sum := int64(0)
	for _, n := range kinds {
		sum += n
	}
	if len(kinds) != maxKinds+1 || sum != 100 {
		t.Errorf("%d kinds of %d errors, want %d of 100", len(kinds), sum, maxKinds+1)
	}
}
