package shed

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// waits tells how long goroutines wait for a processor. It is for one goroutine.
type waits struct {
	sample [1]metrics.Sample
	before []uint64  // counts of the histogram when it was read last
	recent []float64 // what came since, the older the less
	last   time.Time
}

// fading is how long it takes until a wait counts half. Those of one tick differ too much: there are ticks in which only goroutines run
// that others have just made, which wait for nothing.
const fading = 100 * time.Millisecond

func newWaits() *waits {
	w := &waits{last: time.Now()}
	w.sample[0].Name = "/sched/latencies:seconds"
	w.now()
	clear(w.recent)
	return w
}

// now returns what nine of ten waits of late were no longer than; 0 where there were none.
func (w *waits) now() time.Duration {
	metrics.Read(w.sample[:])
	if w.sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return 0 // another Go
	}
	h := w.sample[0].Value.Float64Histogram()
	if len(w.before) != len(h.Counts) {
		w.before, w.recent = make([]uint64, len(h.Counts)), make([]float64, len(h.Counts))
	}
	now := time.Now()
	left := math.Exp2(-float64(now.Sub(w.last)) / float64(fading))
	w.last = now
	total := 0.0
	for i, n := range h.Counts {
		w.recent[i] = w.recent[i]*left + float64(n-w.before[i])
		w.before[i] = n
		total += w.recent[i]
	}
	if total < 1 {
		return 0
	}
	longer := 0.0
	for i := len(w.recent) - 1; i > 0; i-- {
		if longer += w.recent[i]; longer > total/10 {
			return seconds(h.Buckets[i])
		}
	}
	return 0
}

// seconds returns s as a duration; the first bucket begins at minus infinity.
func seconds(s float64) time.Duration {
	if math.IsInf(s, 0) || s < 0 {
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

// memory tells how much of the memory that the process may use is in use. It is for one goroutine.
type memory struct {
	most   int64 // bytes
	sample [2]metrics.Sample
}

func newMemory() *memory {
	m := &memory{most: debug.SetMemoryLimit(-1)}
	m.sample[0].Name = "/gc/heap/live:bytes" // not all of the heap: where there is room, garbage is let lie up to the bound
	m.sample[1].Name = "/memory/classes/heap/stacks:bytes"
	return m
}

// used returns the part that is in use, 0 where there is no bound.
func (m *memory) used() float64 {
	if m.most == math.MaxInt64 {
		return 0
	}
	metrics.Read(m.sample[:])
	return float64(m.sample[0].Value.Uint64()+m.sample[1].Value.Uint64()) / float64(m.most)
}
