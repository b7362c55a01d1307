package peer

import (
	"slices"
	"sync/atomic"
	"time"
)

// A Histogram counts things by their size.
type Histogram struct {
	Bounds []float64 // the most of each bucket, ascending; the last bucket has none
	Counts []uint64  // one more than Bounds, each of its bucket alone
	Sum    float64   // of all sizes
}

// Count returns how many things were counted.
func (h Histogram) Count() (all uint64) {
	for _, n := range h.Counts {
		all += n
	}
	return all
}

// tripBounds are the bounds of round trips, in seconds: from two processes on one machine to what an ask may take.
func tripBounds() []float64 {
	return []float64{50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 100e-3, 200e-3, 500e-3}
}

// batchBounds are the bounds of how many asks share a message.
func batchBounds() []float64 { return []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024} }

// sizes are a Histogram that grows. Adding to it costs some nanoseconds, once for each batch.
type sizes struct {
	bounds []float64
	unit   float64 // of sum
	counts []atomic.Uint64
	sum    atomic.Uint64 // in units, so that it can be added to
}

func newSizes(bounds []float64, unit float64) *sizes {
	return &sizes{bounds: bounds, unit: unit, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// add counts one thing of that many units, at least 0.
func (s *sizes) add(units int64) {
	i, _ := slices.BinarySearch(s.bounds, float64(units)*s.unit)
	s.counts[i].Add(1)
	s.sum.Add(uint64(units))
}

// read returns what was counted. The sum may be newer.
func (s *sizes) read() Histogram {
	h := Histogram{Bounds: s.bounds, Counts: make([]uint64, len(s.counts))}
	for i := range s.counts {
		h.Counts[i] = s.counts[i].Load()
	}
	h.Sum = float64(s.sum.Load()) * s.unit
	return h
}

func newTrips() *sizes   { return newSizes(tripBounds(), float64(time.Nanosecond)/float64(time.Second)) }
func newBatches() *sizes { return newSizes(batchBounds(), 1) }
