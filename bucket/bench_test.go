package bucket

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A question is what benchmarks ask a Store: requests in an order that has nothing to do with that of their keys in
// memory, as they come from many clients.
type question struct {
	parts    []int
	requests []Request
}

// benchKeys are how many keys benchmarks ask for: one that is hot, a table in the cache, and one that is not.
func benchKeys() []int { return []int{1, 10_000, 1_000_000} }

func benchLimit() Limit { return Limit{Tokens: 1_000_000, Per: time.Second, Burst: 1_000_000} }

// askFor returns requests for n keys of 24 bytes each.
func askFor(n, partitions int, l Limit) question {
	seed, one := maphash.MakeSeed(), n
	n = max(n, 1024)
	q := question{make([]int, n), make([]Request, n)}
	for i, j := range rand.Perm(n) {
		key := fmt.Sprintf("tenant/%017d", j%one)
		q.parts[i] = int(maphash.String(seed, key) % uint64(partitions))
		q.requests[i] = Request{Key: key, Limit: l, Cost: 1}
	}
	return q
}

// filled returns a store that knows all keys of q.
func filled(b *testing.B, q question) *Store {
	s := storeOf(b, StoreConfig{})
	for i := range q.requests {
		if _, err := s.Take(0, q.parts[i], &q.requests[i]); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// ask calls take with each request in turn, from as many goroutines as there are processors.
func (q question) ask(b *testing.B, take func(part int, r *Request)) {
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Uint32
	b.RunParallel(func(pb *testing.PB) {
		for i := int(next.Add(1)) * 7919 % len(q.requests); pb.Next(); i++ {
			if i == len(q.requests) {
				i = 0
			}
			take(q.parts[i], &q.requests[i])
		}
	})
}

// benchEach runs bench for each number of keys.
func benchEach(b *testing.B, l Limit, bench func(b *testing.B, q question)) {
	for _, n := range benchKeys() {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) { bench(b, askFor(n, 16384, l)) })
	}
}

// The decision alone, with the time handed in.
func BenchmarkTake(b *testing.B) {
	benchEach(b, benchLimit(), func(b *testing.B, q question) {
		s := filled(b, q)
		q.ask(b, func(part int, r *Request) {
			if d, err := s.Take(1, part, r); err != nil || d.RetryAfter > time.Hour {
				b.Error(d, err)
			}
		})
	})
}

// With a reading of the clock for each, as others do it.
func BenchmarkTakeClock(b *testing.B) {
	benchEach(b, benchLimit(), func(b *testing.B, q question) {
		s, base := filled(b, q), time.Now()
		q.ask(b, func(part int, r *Request) {
			if d, err := s.Take(Instant(time.Since(base)), part, r); err != nil || d.RetryAfter > time.Hour {
				b.Error(d, err)
			}
		})
	})
}

// A denial.
func BenchmarkTakeDenied(b *testing.B) {
	benchEach(b, Limit{Tokens: 1, Per: time.Hour, Burst: 1}, func(b *testing.B, q question) {
		s := filled(b, q)
		q.ask(b, func(part int, r *Request) {
			if d, err := s.Take(1, part, r); err != nil || d.Allowed {
				b.Error(d, err)
			}
		})
	})
}

// What nothing can be faster than that hashes the key, looks it up in the same table and reads the clock.
func BenchmarkFloor(b *testing.B) {
	benchEach(b, benchLimit(), func(b *testing.B, q question) {
		s, base := filled(b, q), time.Now()
		q.ask(b, func(part int, r *Request) {
			if s.shard(part).find(s.tag(part, r.Key), r.Key) == nil || time.Since(base) < 0 {
				b.Error("not found")
			}
		})
	})
}

// A Go map of buckets under one mutex, with a reading of the clock.
func BenchmarkMutexMap(b *testing.B) {
	benchEach(b, benchLimit(), func(b *testing.B, q question) {
		var mu sync.Mutex
		buckets, base, p := make(map[string]*Bucket), time.Now(), planOf(b, benchLimit())
		for _, r := range q.requests {
			buckets[r.Key] = new(Bucket)
		}
		q.ask(b, func(_ int, r *Request) {
			mu.Lock()
			d := buckets[r.Key].Take(Instant(time.Since(base)), p, r.Cost)
			mu.Unlock()
			if d.RetryAfter > time.Hour {
				b.Error(d)
			}
		})
	})
}

// A key that is not known yet.
func BenchmarkTakeNew(b *testing.B) {
	q := askFor(1_000_000, 16384, Limit{Tokens: 1, Per: time.Hour, Burst: 10})
	s := storeOf(b, StoreConfig{})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i == len(q.requests) {
			b.StopTimer()
			s, i = storeOf(b, StoreConfig{}), 0
			b.StartTimer()
		}
		if _, err := s.Take(1, q.parts[i], &q.requests[i]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// One bucket, without a Store.
func BenchmarkBucketTake(b *testing.B) {
	for _, l := range []Limit{
		benchLimit(),
		{Tokens: 7, Per: 3 * time.Second, Burst: 1_000_000},
		{Tokens: 7, Per: 30 * day, Burst: 1e9}, // ticks of a millisecond
		{Burst: 1e9, Window: Month, Zone: "Europe/Berlin"},
	} {
		b.Run(l.String(), func(b *testing.B) {
			p, bucket, now := planOf(b, l), new(Bucket), Instant(0)
			b.ReportAllocs()
			for b.Loop() {
				now += 1000
				bucket.Take(now, p, 1)
			}
		})
	}
}

// An all-or-nothing check of several keys.
func BenchmarkTakeAll(b *testing.B) {
	for _, n := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("items=%d", n), func(b *testing.B) {
			q := askFor(10_000, 16384, benchLimit())
			s := filled(b, q)
			items := make([]Item, n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i += n {
				if i+n > len(q.requests) {
					i = 0
				}
				for k := range items {
					items[k] = Item{Partition: q.parts[i+k], Request: &q.requests[i+k]}
				}
				if _, err := s.TakeAll(1, items, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The memory of a million keys besides their own bytes, fresh and after a sweep.
func BenchmarkMemory(b *testing.B) {
	const keys = 1_000_000
	q := askFor(keys, 16384, Limit{Tokens: 1, Per: time.Hour, Burst: 10})
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for b.Loop() {
		before := heap()
		s := filled(b, q)
		b.ReportMetric((heap()-before)/keys-float64(len(q.requests[0].Key)), "B/key")
		s.Sweep(1, 16384)
		b.ReportMetric((heap()-before)/keys-float64(len(q.requests[0].Key)), "swept-B/key")
		runtime.KeepAlive(s)
	}
	runtime.KeepAlive(q)
}

// One sweep over all partitions, of a million keys of which none is full.
func BenchmarkSweep(b *testing.B) {
	q := askFor(1_000_000, 16384, Limit{Tokens: 1, Per: time.Hour, Burst: 10})
	s := filled(b, q)
	b.ReportAllocs()
	for b.Loop() {
		s.Sweep(1, 16384)
	}
}

// The longest that one shard stops while keys are added to it until it has as many as it ever should: with the default MaxKeys it
// has 10,000 of them, and shardKeys at most. What the machine takes away is in it, so the least of some runs is what counts.
func BenchmarkGrow(b *testing.B) {
	q := askFor(shardKeys, 1, Limit{Tokens: 1, Per: time.Hour, Burst: 10})
	least := time.Hour
	for b.Loop() {
		s, longest := storeOf(b, StoreConfig{Partitions: 1}), time.Duration(0)
		for i := range q.requests {
			began := time.Now()
			if _, err := s.Take(0, 0, &q.requests[i]); err != nil {
				b.Fatal(err)
			}
			longest = max(longest, time.Since(began))
		}
		least = min(least, longest)
	}
	b.ReportMetric(float64(least.Microseconds()), "longest-us")
}
