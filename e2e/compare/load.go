package main

import (
	"context"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

// An ask makes one check about key and returns an error if it was not decided as it should be.
type ask func(ctx context.Context, key string) error

// A way is how checks are made from afar.
type way struct {
	name string

	// callers are the numbers of callers that are measured.
	callers []int

	// ask makes one check. It is shared by all callers.
	ask ask

	// others are the processes that do the work together with this one.
	others []int

	// remembers says that it is to be asked about every key once before it is measured.
	remembers bool
}

// loaded is what a load found.
type loaded struct {
	asked, failed int64
	failure       error // the first
	took          time.Duration
	latency       *hdrhistogram.Histogram // nanoseconds
	cpu           time.Duration           // of this process and the others
}

// load makes checks by w from callers that each ask for the next when they have an answer, for the time d after a tenth
// of d that does not count.
func load(ctx context.Context, w way, callers int, keys []string, d time.Duration) (loaded, error) {
	all := make([]*caller, callers)
	for i := range all {
		all[i] = newCaller(w.ask, keys, i*len(keys)/callers)
	}
	together(all, func(c *caller) { c.ask(ctx, d/10) })
	for _, c := range all {
		c.forget()
	}
	before, err := processorTime(w.others)
	if err != nil {
		return loaded{}, err
	}
	began := time.Now()
	together(all, func(c *caller) { c.ask(ctx, d) })
	out := loaded{took: time.Since(began), latency: newHistogram()}
	after, err := processorTime(w.others)
	out.cpu = after - before
	for _, c := range all {
		out.add(c)
	}
	if err == nil {
		err = ctx.Err()
	}
	return out, err
}

// prime asks about every key once.
func prime(ctx context.Context, w way, keys []string) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(manyCallers)
	for _, k := range keys {
		all.Go(func() error { return w.ask(ctx, k) })
	}
	return all.Wait()
}

// together runs f for all callers at once.
func together(all []*caller, f func(*caller)) {
	var running sync.WaitGroup
	for _, c := range all {
		running.Go(func() { f(c) })
	}
	running.Wait()
}

// add counts what c found into l.
func (l *loaded) add(c *caller) {
	l.asked += c.asked
	l.failed += c.failed
	if l.failure == nil {
		l.failure = c.failure
	}
	l.latency.Merge(c.latency)
}

// A caller asks one question after the other.
type caller struct {
	next          ask
	keys          []string
	at            int
	asked, failed int64
	failure       error
	latency       *hdrhistogram.Histogram
}

func newCaller(a ask, keys []string, at int) *caller {
	return &caller{next: a, keys: keys, at: at, latency: newHistogram()}
}

// newHistogram returns one for 1 us to 10 s with steps of 1 %.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(time.Microsecond), int64(10*time.Second), 2)
}

// forget drops what c has counted.
func (c *caller) forget() {
	c.latency.Reset()
	c.asked, c.failed, c.failure = 0, 0, nil
}

// ask asks until d has passed.
func (c *caller) ask(ctx context.Context, d time.Duration) {
	began := time.Now()
	for end := began.Add(d); began.Before(end) && ctx.Err() == nil; {
		err := c.next(ctx, c.keys[c.at])
		now := time.Now()
		if err != nil {
			c.failed++
			if c.failure == nil {
				c.failure = err
			}
		}
		c.asked++
		_ = c.latency.RecordValue(min(int64(now.Sub(began)), int64(10*time.Second))) // it is in range
		began = now
		if c.at++; c.at == len(c.keys) {
			c.at = 0
		}
	}
}
