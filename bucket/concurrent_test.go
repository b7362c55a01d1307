package bucket

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Nobody sees an all-or-nothing check half done, and all of them together take what is there, once.
func TestTakeAllIsAtomic(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 4})
	const quota, takers = 3000, 4
	keys := []string{"a", "b", "c", "d"}
	ask := func(order []int, cost int64) ([]Item, error) {
		items := make([]Item, len(keys))
		for i, k := range order {
			items[i] = Item{Partition: k, Request: &Request{Key: keys[k], Limit: Limit{Burst: quota}, Cost: cost}}
		}
		_, err := s.TakeAll(0, items, false)
		return items, err
	}
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range takers {
		wg.Go(func() {
			for {
				items, err := ask(rand.Perm(len(keys)), 1)
				if err != nil {
					t.Error(err)
					return
				}
				if !items[0].Decision.Allowed {
					return
				}
				admitted.Add(1)
			}
		})
	}
	wg.Go(func() {
		for admitted.Load() < quota && !t.Failed() {
			items, err := ask([]int{0, 1, 2, 3}, 0)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range items {
				if got, want := items[i].Decision.Remaining, items[0].Decision.Remaining; got != want {
					t.Errorf("%d of key %d remain, and %d of key 0", got, i, want)
					return
				}
			}
		}
	})
	wg.Wait()
	if got := admitted.Load(); got != quota {
		t.Errorf("%d admitted, want %d", got, quota)
	}
}

// Everything at once: no race, no deadlock, no token twice, and all counts are right in the end.
func TestStoreConcurrently(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 8, MaxKeys: 300, MaxIDs: 50, IDAge: time.Microsecond})
	base := time.Now()
	clock := func() Instant { return Instant(time.Since(base)) }
	limits := []Limit{
		{Tokens: 1000, Per: time.Second, Burst: 3},
		{Tokens: 1, Per: time.Hour, Burst: 100},
		{Burst: 50},
		{Burst: 50, Window: Fixed, Per: time.Millisecond},
	}
	request := func() *Request {
		r := &Request{Key: fmt.Sprint("key ", rand.IntN(1000)), Limit: limits[rand.IntN(len(limits))]}
		r.Cost, r.ColdStart = rand.Int64N(r.Limit.Burst+1), ColdStart(rand.IntN(2))
		if rand.IntN(4) == 0 {
			r.ID = fmt.Sprint("id ", rand.IntN(100))
		}
		return r
	}
	part := func(r *Request) int { return int(r.Key[len(r.Key)-1]) % 8 }
	fine := func(err error) {
		if err != nil && !errors.Is(err, ErrMoved) && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrFull) {
			t.Error(err)
		}
	}
	jobs := []func(){
		func() { r := request(); _, err := s.Take(clock(), part(r), r); fine(err) },
		func() {
			items := make([]Item, 1+rand.IntN(4))
			for i := range items {
				r := request()
				items[i] = Item{Partition: part(r), Request: r}
			}
			holds, err := s.TakeAll(clock(), items, true)
			fine(err)
			s.Refund(clock(), holds)
		},
		func() { r := request(); fine(s.Reset(part(r), r.Key)) },
		func() { s.Sweep(clock(), 3) },
		func() { r := request(); fine(s.Charge(clock(), part(r), r)) },
		func() {
			p := rand.IntN(8)
			s.Freeze(p)
			states, ids := s.Export(clock(), p), s.ExportIDs(clock(), p)
			s.Drop(p)
			s.SetCold(p, clock(), rand.IntN(2) == 0)
			fine(s.Import(clock(), p, states))
			fine(s.ImportIDs(clock(), p, ids))
			s.Hold(p)
		},
		func() {
			for _, c := range s.Changes(clock(), rand.IntN(50), nil) {
				s.Touch(c.Partition, c.Key, c.Replaces)
				s.State(clock(), c.Partition, c.Key)
				fine(s.Replace(clock(), c.Partition, []State{c.State}))
			}
		},
		func() { s.Track(rand.IntN(4) > 0); s.TouchAll(rand.IntN(8)) },
		func() { s.SetEpoch(time.Unix(rand.Int64N(100), 0)) },
		func() { s.Top(10); s.Stats(); s.Held(rand.IntN(8)); fine(s.Check(request())) },
	}
	var wg sync.WaitGroup
	for i := range 2 * len(jobs) {
		wg.Go(func() {
			for range 300 {
				jobs[i%len(jobs)]()
			}
		})
	}
	wg.Wait()
	for p := range 8 {
		s.Hold(p)
	}
	if err := s.intact(); err != nil {
		t.Error(err)
	}
}

// Goroutines that hammer one key get what the limit says, to the token.
func TestHotKey(t *testing.T) {
	s := storeOf(t, StoreConfig{})
	l := Limit{Tokens: 1, Per: time.Hour, Burst: 5000}
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 5000 {
				d, err := s.Take(Instant(i), 7, &Request{Key: "hot", Limit: l, Cost: 1})
				if err != nil {
					t.Error(err)
				}
				if d.Allowed {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := admitted.Load(); got != l.Burst {
		t.Errorf("%d admitted, want %d", got, l.Burst)
	}
}
