package main

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// What a histogram keeps apart: three digits of latencies up to longest.
const (
	longest = int64(time.Hour)
	digits  = 3
	shards  = 16 // of the histogram, so that callers seldom wait for one another
)

// A tally counts outcomes.
type tally struct {
	allowed, denied, degraded, errors atomic.Int64

	shards []*shard

	mu    sync.Mutex
	kinds map[string]int64 // errors by what went wrong; guarded by mu
}

// A shard is the histogram of some callers.
type shard struct {
	mu        sync.Mutex
	latencies *hdrhistogram.Histogram // in nanoseconds; guarded by mu
}

// newTally returns a tally of nothing.
func newTally() *tally {
	t := &tally{shards: make([]*shard, shards), kinds: map[string]int64{}}
	for i := range t.shards {
		t.shards[i] = &shard{latencies: newHistogram()}
	}
	return t
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1000, longest, digits)
}

// maxKinds is how many kinds of errors are told apart.
const maxKinds = 20

// add counts a request of the caller with that number. Only answers have a latency: an error may be quicker than any.
func (t *tally) add(number int, latency time.Duration, o outcome) {
	if o.err != "" {
		t.errors.Add(1)
		t.mu.Lock()
		defer t.mu.Unlock()
		if _, known := t.kinds[o.err]; !known && len(t.kinds) >= maxKinds {
			o.err = "other"
		}
		t.kinds[o.err]++
		return
	}
	if o.allowed {
		t.allowed.Add(1)
	} else {
		t.denied.Add(1)
	}
	if o.degraded {
		t.degraded.Add(1)
	}
	s := t.shards[number%len(t.shards)]
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.latencies.RecordValue(min(int64(latency), longest)) // fails only beyond longest
}

// latencies returns all latencies up to now.
func (t *tally) latencies() *hdrhistogram.Histogram {
	all := newHistogram()
	for _, s := range t.shards {
		s.mu.Lock()
		all.Merge(s.latencies)
		s.mu.Unlock()
	}
	return all
}

// errorKinds returns how often what went wrong.
func (t *tally) errorKinds() map[string]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	kinds := make(map[string]int64, len(t.kinds))
	for k, n := range t.kinds {
		kinds[k] = n
	}
	return kinds
}
