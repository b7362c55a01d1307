package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A localCase is one way to ask one candidate inside the process.
type localCase struct {
	Who        string `json:"who"`
	Keys       int    `json:"keys"`
	Goroutines int    `json:"goroutines"`
	Limit      string `json:"limit"` // plenty or spent
}

// A local is what a localCase took.
type local struct {
	localCase
	NS     samples `json:"ns"`              // from one check to the next, of all goroutines together
	Allocs samples `json:"allocs"`          // allocations per check
	Checks int64   `json:"checks"`          // in all rounds
	Wrong  int64   `json:"wrong,omitempty"` // of them not answered as the limit says
}

// measureLocal asks every candidate about every number of keys.
func (r *run) measureLocal(ctx context.Context) error {
	for _, ks := range r.keys {
		all := candidates()
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, c := range all {
			if c.one && ks.n > 1 {
				continue
			}
			if err := r.measureCandidate(ctx, c, ks); err != nil {
				return fmt.Errorf("%s with %d keys: %w", c.name, ks.n, err)
			}
		}
	}
	return nil
}

// measureCandidate asks c about ks: with one goroutine and with two where all is allowed, with one where all is denied. At
// the largest number of keys it leaves denials out and weighs what c keeps.
func (r *run) measureCandidate(ctx context.Context, c candidate, ks keySet) error {
	most := ks.n == r.mostKeys()
	if err := r.measureLimiter(ctx, c, ks, plenty(), most, 1, 2); err != nil || most {
		return err
	}
	return r.measureLimiter(ctx, c, ks, spent(), false, 1)
}

func (r *run) measureLimiter(ctx context.Context, c candidate, ks keySet, l limit, weigh bool, goroutines ...int) error {
	before := heap()
	opened, err := c.open(ctx, l)
	if err != nil {
		return err
	}
	defer opened.shut()
	if err := fill(opened, ks.n); err != nil {
		return err
	}
	if weigh {
		r.results.addHeap(c.name, ks.n, heap()-before)
	}
	for _, n := range goroutines {
		if err := ctx.Err(); err != nil {
			return err
		}
		at := localCase{Who: c.name, Keys: ks.n, Goroutines: n, Limit: l.name}
		if err := r.results.addLocal(at, bench(opened, ks, n, l.allows())); err != nil {
			return err
		}
	}
	return nil
}

// fill asks l about n keys for the first time.
func fill(l limiter, n int) error {
	ask := l.asker()
	for i := range n {
		if !ask(key(i)) {
			return fmt.Errorf("the first request of %q is denied", key(i))
		}
	}
	return nil
}

// heap returns the bytes that are in use and not garbage.
func heap() float64 {
	runtime.GC()
	runtime.GC() // what finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// benched is what one benchmark found.
type benched struct {
	checks, wrong int64
	perSecond     float64 // of all goroutines together
	allocs        uint64
}

// bench asks l about ks from several goroutines for the time of setBenchTime.
func bench(l limiter, ks keySet, goroutines int, allowed bool) benched {
	var tours []*tour
	result := testing.Benchmark(func(b *testing.B) {
		tours = tours[:0]
		for i := range goroutines {
			tours = append(tours, &tour{ask: l.asker(), keys: ks, at: i * ks.n / goroutines, allowed: allowed})
		}
		benchTours(b, tours)
	})
	tours[0].took = result.T
	out := benched{allocs: result.MemAllocs}
	for _, t := range tours {
		out.checks += t.checks
		out.wrong += t.wrong
		out.perSecond += float64(t.checks) / t.took.Seconds()
	}
	return out
}

// benchTours walks all tours at once, the first of them on the benchmark's goroutine, by whose time it ends.
func benchTours(b *testing.B, tours []*tour) {
	b.ReportAllocs()
	var (
		stop   atomic.Bool
		others sync.WaitGroup
	)
	for _, t := range tours[1:] {
		others.Go(func() {
			began := time.Now()
			for !stop.Load() {
				t.walk()
			}
			t.took = time.Since(began)
		})
	}
	for b.Loop() {
		tours[0].walk()
	}
	stop.Store(true)
	others.Wait()
}

// setBenchTime says how long bench asks.
func setBenchTime(d time.Duration) error {
	testing.Init()
	return flag.Set("test.benchtime", d.String())
}

// A tour is one goroutine's way through the keys.
type tour struct {
	ask     func(string) bool
	keys    keySet
	at      int
	allowed bool
	checks  int64
	wrong   int64
	took    time.Duration
}

// step is how many checks are made at a stretch, so that what is around them costs nothing.
const step = 64

// walk makes the next checks of t.
func (t *tour) walk() {
	at, keys, ask := t.at, t.keys, t.ask
	for range step {
		if ask(keys.asked(at)) != t.allowed {
			t.wrong++
		}
		if at++; at == keys.n {
			at = 0
		}
	}
	t.at = at
	t.checks += step
}
