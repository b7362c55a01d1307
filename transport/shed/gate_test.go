package shed

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// rig runs a gate whose signal the test sets, until the test ends.
func rig(t *testing.T, c Config) (g *Gate, wait func(time.Duration)) {
	t.Helper()
	waits := make(chan time.Duration, 1)
	now := time.Duration(0)
	c.Waits = func() time.Duration {
		select {
		case now = <-waits:
		default:
		}
		return now
	}
	if c.Memory == nil {
		c.Memory = func() float64 { return 0 }
	}
	g = NewGate(c)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = g.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return g, func(d time.Duration) { waits <- d }
}

// ask enters n requests at once and returns how many were let in and how long that took at most.
func ask(t *testing.T, g *Gate, n int, p Priority) (in int, took time.Duration) {
	t.Helper()
	results := make(chan bool, n)
	began := time.Now()
	for range n {
		go func() {
			ok := g.Enter(t.Context(), API, p)
			if ok {
				g.Leave()
			}
			results <- ok
		}()
	}
	for range n {
		if <-results {
			in++
		}
	}
	return in, time.Since(began)
}

// Without pressure all is let in; with it reads are refused first, checks are held back and refused in part, and what gives
// something back is let in at once. When it is over all is let in again.
func TestPriorities(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		g, wait := rig(t, Config{MaxCalls: 1 << 20, Log: slog.New(slog.NewTextHandler(&log, nil))})
		everybody := func(p Priority) {
			t.Helper()
			if in, took := ask(t, g, 1000, p); in != 1000 || took != 0 {
				t.Errorf("%d of 1,000 %vs were let in within %v, want all at once", in, p, took)
			}
		}
		for p := range priorities {
			everybody(p)
		}
		wait(time.Second)
		time.Sleep(2 * time.Second)
		if !g.Stats().Overloaded {
			t.Error("not overloaded after two seconds of long waits")
		}
		if in, took := ask(t, g, 1000, Read); in != 0 || took != 0 {
			t.Errorf("%d of 1,000 reads were let in within %v, want none at once", in, took)
		}
		room := int(first) * runtime.GOMAXPROCS(0) * int(usualDelay/tick) // what is let in while one is held back
		in, took := ask(t, g, 2*room, Check)
		if in < room || in > room*5/4 || took < usualDelay || took > usualDelay+2*tick {
			t.Errorf("%d of %d checks were let in within %v, want about half, and the others refused after half a second", in, 2*room, took)
		}
		if got := count(g, API, Check); got != uint64(2*room-in) {
			t.Errorf("%d checks counted, want %d", got, 2*room-in)
		}
		everybody(Vital)
		everybody(Give)
		if got := g.Stats(); got.Calls != 0 || got.Held != 0 {
			t.Errorf("Stats = %+v after all, want nothing under way", got)
		}
		wait(0)
		time.Sleep(10 * time.Second)
		for p := range priorities {
			everybody(p)
		}
		for _, line := range []string{"too much to do", "no requests are held back any more"} {
			if n := strings.Count(log.String(), line); n != 1 {
				t.Errorf("the log says %q %d times, want once:\n%s", line, n, &log)
			}
		}
	})
}

func count(g *Gate, e Entry, p Priority) uint64 {
	for _, c := range g.Stats().Counts {
		if c.Entry == e && c.Priority == p {
			return c.Shed
		}
	}
	return 0
}

// A wait that is over soon, as that for a collection of garbage, refuses nothing.
func TestPatience(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		g, wait := rig(t, Config{})
		wait(time.Second)
		time.Sleep(patience - tick)
		wait(0)
		time.Sleep(time.Second)
		if g.Stats().Overloaded {
			t.Error("overloaded after a short time of long waits")
		}
	})
}

// Who waits no longer than a request would be held back is told at once, and who goes away is not held.
func TestHoldEnds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		g, wait := rig(t, Config{})
		wait(time.Second)
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		began := time.Now()
		if g.Wait(ctx, GRPC, Check) {
			t.Error("let in at once, want held back")
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("a caller who waits for 20ms was told after %v, want at once", took)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		for g.Wait(ctx, GRPC, Check) { // until it is too late to be let in
		}
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("a caller who goes away after 100ms was held for %v", took)
		}
	})
}

// No more are under way than there may be, but for a quarter more of those who give something back, and all that is vital.
func TestMaxCalls(t *testing.T) {
	g := NewGate(Config{MaxCalls: 8})
	enter := func(n int, p Priority) (in int) {
		for range n {
			if g.Enter(t.Context(), API, p) {
				in++
			}
		}
		return in
	}
	for _, c := range []struct {
		p    Priority
		want int
	}{{Check, 8}, {Read, 0}, {Give, 2}, {Vital, 20}} {
		if got := enter(20, c.p); got != c.want {
			t.Errorf("%d of 20 %vs were let in, want %d", got, c.p, c.want)
		}
	}
	for range 30 {
		g.Leave()
	}
	if got := enter(20, Check); got != 8 {
		t.Errorf("%d of 20 checks were let in when all had left, want 8", got)
	}
}

// Checks are held back while memory is nearly full, whatever the waits, and Never leaves waits alone.
func TestMemory(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var parts atomic.Int64
		parts.Store(95)
		g, wait := rig(t, Config{Delay: Never, Memory: func() float64 { return float64(parts.Load()) / 100 }})
		wait(time.Minute)
		time.Sleep(time.Second)
		if !g.Stats().Overloaded {
			t.Error("not overloaded with 95 of 100 parts of the memory in use")
		}
		parts.Store(50)
		time.Sleep(time.Second)
		if g.Stats().Overloaded {
			t.Error("overloaded with memory to spare and waits left alone")
		}
	})
}

// A nil gate lets all in.
func TestNoGate(t *testing.T) {
	var g *Gate
	if !g.Enter(t.Context(), API, Read) || !g.Wait(t.Context(), API, Read) || len(g.Stats().Counts) != 0 {
		t.Error("a nil gate refuses or counts, want neither")
	}
	g.Leave()
}

// The runtime's own figures can be read, and tell that goroutines wait where many want one processor.
func TestWaits(t *testing.T) {
	w := newWaits()
	stop := make(chan struct{})
	for range 64 {
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
					for i := range 1_000_000 {
						_ = i * i
					}
				}
			}
		}()
	}
	defer close(stop)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if w.now() > 10*time.Millisecond {
			return
		}
	}
	t.Error("64 goroutines that never wait on some processors: nobody waits for 10 ms, want so")
}

// What a request costs that nothing is wrong with.
func BenchmarkEnter(b *testing.B) {
	g, ctx := NewGate(Config{}), b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if g.Enter(ctx, API, Check) {
				g.Leave()
			}
		}
	})
}
