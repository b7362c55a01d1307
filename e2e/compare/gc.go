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

// A gcLoad is who asks what while garbage is collected.
type gcLoad struct {
	limiter
	keys       keySet
	goroutines int
	rest       time.Duration // of each goroutine after every step; who collects rests collectRest times as long
}

// collect collects garbage so many times while l is asked.
func (l gcLoad) collect(cycles int) (gcCost, error) {
	w := gcWatch{load: l}
	if err := w.turn(cycles, collectTime); err != nil {
		return gcCost{}, err
	}
	return w.cost(), nil
}

// A gcWatch is what the garbage collections of some turns of a load cost.
type gcWatch struct {
	load      gcLoad
	sum       gcCost // but its quantiles
	all       *metrics.Float64Histogram
	perSecond samples // checks, of each turn
}

// turn collects garbage so many times, for most at the longest.
func (w *gcWatch) turn(cycles int, most time.Duration) error {
	before, err := pauses()
	if err != nil {
		return err
	}
	perSecond, wrong := w.load.during(func() {
		for first, last := time.Now(), w.sum.Cycles+cycles; w.sum.Cycles < last && time.Since(first) < most; w.sum.Cycles++ {
			began := time.Now()
			runtime.GC()
			w.sum.Took = append(w.sum.Took, float64(time.Since(began))/float64(time.Millisecond))
			time.Sleep(collectRest * w.load.rest)
		}
	})
	after, err := pauses()
	if err != nil {
		return err
	}
	if w.all == nil {
		w.all = &metrics.Float64Histogram{Counts: make([]uint64, len(after.Counts)), Buckets: after.Buckets}
	}
	for i := range after.Counts {
		w.all.Counts[i] += after.Counts[i] - before.Counts[i]
	}
	w.perSecond, w.sum.Wrong = append(w.perSecond, perSecond), w.sum.Wrong+wrong
	return nil
}

// collectRest is how many rests of those who ask the one who collects takes after each collection.
const collectRest = 50

// cost returns what the turns so far have cost.
func (w *gcWatch) cost() gcCost {
	c, none := w.sum, &metrics.Float64Histogram{Counts: make([]uint64, len(w.all.Counts)), Buckets: w.all.Buckets}
	for q, to := range map[float64]*float64{0.5: &c.P50, 0.99: &c.P99, 0.999: &c.P999, 1: &c.Most} {
		c.Pauses, *to = quantile(none, w.all, q)
		*to *= 1e6
	}
	c.NS = float64(time.Second) / max(w.perSecond.median(), 1)
	return c
}

// during asks while f runs and returns how many checks a second were made, and how many in all were answered wrongly.
func (l gcLoad) during(f func()) (perSecond float64, wrong int64) {
	stop, asked := make(chan struct{}), make(chan tour, l.goroutines)
	for i := range l.goroutines {
		go func() {
			t := tour{ask: l.asker(), keys: l.keys, at: i * l.keys.n / l.goroutines, allowed: true}
			for began := time.Now(); ; t.walk() {
				select {
				case <-stop:
					t.took = time.Since(began)
					asked <- t
					return
				default:
					time.Sleep(l.rest)
				}
			}
		}()
	}
	f()
	close(stop)
	for range l.goroutines {
		t := <-asked
		perSecond += float64(t.checks) / t.took.Seconds()
		wrong += t.wrong
	}
	return perSecond, wrong
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
