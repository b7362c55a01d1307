package main

import (
	"errors"
	"math"
	"runtime"
	"runtime/metrics"
	"time"
)

// A gcCost is what garbage collections cost while a limiter that keeps many keys is asked.
type gcCost struct {
	Cycles int     `json:"cycles"`
	Took   samples `json:"cycle_ms"`        // of each
	Pauses uint64  `json:"pauses"`          // in which all stands still
	Worst  float64 `json:"pause_p999_us"`   // 99.9 % of them are shorter
	NS     float64 `json:"ns"`              // of a check meanwhile
	Wrong  int64   `json:"wrong,omitempty"` // checks not answered as the limit says
}

// pauseMetric is the runtime's histogram of how long all stood still for garbage collections.
const pauseMetric = "/sched/pauses/total/gc:seconds"

// collect asks l about ks from one goroutine while another one collects garbage so many times.
func collect(l limiter, ks keySet, cycles int) (gcCost, error) {
	before, err := pauses()
	if err != nil {
		return gcCost{}, err
	}
	c := gcCost{Cycles: cycles}
	stop, asked := make(chan struct{}), make(chan tour, 1)
	go func() {
		t := tour{ask: l.asker(), keys: ks, allowed: true}
		for began := time.Now(); ; t.walk() {
			select {
			case <-stop:
				t.took = time.Since(began)
				asked <- t
				return
			default:
			}
		}
	}()
	for range cycles {
		began := time.Now()
		runtime.GC()
		c.Took = append(c.Took, float64(time.Since(began))/float64(time.Millisecond))
	}
	close(stop)
	t := <-asked
	after, err := pauses()
	if err != nil {
		return c, err
	}
	c.Pauses, c.Worst = quantile(before, after, 0.999)
	c.Worst *= 1e6
	c.NS, c.Wrong = float64(t.took)/float64(max(t.checks, 1)), t.wrong
	return c, nil
}

// pauses returns the runtime's histogram of pauses so far.
func pauses() (*metrics.Float64Histogram, error) {
	sample := []metrics.Sample{{Name: pauseMetric}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return nil, errors.New("the runtime does not know " + pauseMetric)
	}
	h := sample[0].Value.Float64Histogram()
	return &metrics.Float64Histogram{Counts: append([]uint64(nil), h.Counts...), Buckets: h.Buckets}, nil
}

// quantile returns how many values after has beyond those of before, and the upper bound of the bucket with the quantile q of
// them.
func quantile(before, after *metrics.Float64Histogram, q float64) (n uint64, value float64) {
	for i := range after.Counts {
		n += after.Counts[i] - before.Counts[i]
	}
	at, seen := uint64(math.Ceil(q*float64(n))), uint64(0)
	for i := range after.Counts {
		if seen += after.Counts[i] - before.Counts[i]; seen >= at && n > 0 {
			value = after.Buckets[i+1]
			if math.IsInf(value, 1) {
				value = after.Buckets[i]
			}
			return n, value
		}
	}
	return n, 0
}
