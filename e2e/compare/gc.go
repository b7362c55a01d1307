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
	Took   samples `json:"cycle_ms"`      // of each
	Pauses uint64  `json:"pauses"`        // in which all stands still
	P50    float64 `json:"pause_p50_us"`  // half of them are shorter, as are those that follow
	P99    float64 `json:"pause_p99_us"`  // 99 %
	P999   float64 `json:"pause_p999_us"` // 99.9 %
	Most   float64 `json:"pause_most_us"`
	NS     float64 `json:"ns"`              // of a check meanwhile
	Wrong  int64   `json:"wrong,omitempty"` // checks not answered as the limit says
}

// pauseMetric is the runtime's histogram of how long all stood still for garbage collections.
const pauseMetric = "/sched/pauses/total/gc:seconds"

// collectTime is how long collect goes on at most: where a collection takes long there are fewer of them.
const collectTime = 10 * time.Second

// collect asks l about ks from goroutines while another one collects garbage so many times.
func collect(l limiter, ks keySet, goroutines, cycles int) (gcCost, error) {
	before, err := pauses()
	if err != nil {
		return gcCost{}, err
	}
	c := gcCost{}
	stop, asked := make(chan struct{}), make(chan tour, goroutines)
	for i := range goroutines {
		go func() {
			t := tour{ask: l.asker(), keys: ks, at: i * ks.n / goroutines, allowed: true}
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
	}
	for first := time.Now(); c.Cycles < cycles && time.Since(first) < collectTime; c.Cycles++ {
		began := time.Now()
		runtime.GC()
		c.Took = append(c.Took, float64(time.Since(began))/float64(time.Millisecond))
	}
	close(stop)
	perSecond := 0.0
	for range goroutines {
		t := <-asked
		perSecond += float64(t.checks) / t.took.Seconds()
		c.Wrong += t.wrong
	}
	after, err := pauses()
	if err != nil {
		return c, err
	}
	for q, to := range map[float64]*float64{0.5: &c.P50, 0.99: &c.P99, 0.999: &c.P999, 1: &c.Most} {
		c.Pauses, *to = quantile(before, after, q)
		*to *= 1e6
	}
	c.NS = float64(time.Second) / max(perSecond, 1)
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
