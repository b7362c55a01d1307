package bucket

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// junk asks for one token of each of n made up keys under l and returns how many were admitted.
func junk(t *testing.T, s *Store, now Instant, n int, l Limit) (admitted int) {
	t.Helper()
	for i := range n {
		d, err := s.Take(now, i%4, &Request{Key: fmt.Sprint("junk ", i), Limit: l, Cost: 1})
		if err != nil {
			t.Fatal(err)
		}
		if d.Allowed {
			admitted++
		}
	}
	return admitted
}

func perHour(n int64) Limit { return Limit{Tokens: n, Per: time.Hour, Burst: n} }

// However many keys are made up under one limit, a bucket of another one stays, also if it is fuller than all of these.
func TestCrowdEvictsItself(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 4, MaxKeys: 500})
	victim := &Request{Key: "victim", Limit: perHour(100), Cost: 60}
	if _, err := s.Take(0, 1, victim); err != nil {
		t.Fatal(err)
	}
	junk(t, s, 0, 5000, perHour(1))
	victim.Cost = 0
	if d, err := s.Take(0, 1, victim); err != nil || d.Remaining != 40 {
		t.Errorf("Take of the victim = %+v, %v, want 40 tokens left, as before 5,000 keys were made up", d, err)
	}
	if got := s.Stats(); got.Keys > 500 || got.Evicted < 4500 {
		t.Errorf("Stats = %+v, want at most 500 keys and 4,500 evicted", got)
	}
	if err := s.intact(); err != nil {
		t.Error(err)
	}
}

// Keys beyond LimitKeys share one bucket: 600 made up keys get 101 tokens, and none the second time.
func TestCrowdShares(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 4, MaxKeys: 500, LimitKeys: 100})
	if got := junk(t, s, 0, 600, perHour(1)); got != 101 {
		t.Errorf("%d admitted of 600 keys of one token each, want 101 where 100 have buckets and the others share one", got)
	}
	if got := junk(t, s, 0, 600, perHour(1)); got != 0 {
		t.Errorf("%d admitted the second time, want none", got)
	}
	if got := s.Stats(); got.Keys != 100 || got.Evicted != 0 || got.Shared != 1000 {
		t.Errorf("Stats = %+v, want 100 keys, none evicted, and 1,000 decisions shared", got)
	}
	if d, err := s.Take(0, 1, &Request{Key: "other", Limit: perHour(2), Cost: 1}); err != nil || !d.Allowed {
		t.Errorf("Take under another limit = %+v, %v, want a bucket of its own", d, err)
	}
	later := Instant(2 * time.Hour)
	for range 4 {
		s.Sweep(later, 4)
	}
	if got := s.Stats().Keys; got != 0 || len(s.crowds.buckets) != 0 {
		t.Errorf("%d keys and %d shared buckets after all are full, want none", got, len(s.crowds.buckets))
	}
	if got := junk(t, s, later, 50, perHour(1)); got != 50 {
		t.Errorf("%d of 50 admitted when there is room again, want all", got)
	}
	if err := s.intact(); err != nil {
		t.Error(err)
	}
}

// Several keys of one request that share a bucket are charged to it together, all or nothing, and a peek takes nothing of it.
func TestCrowdAllOrNothing(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 4, LimitKeys: 1})
	items := func(keys ...string) []Item {
		all := make([]Item, len(keys))
		for i, key := range keys {
			all[i] = Item{Partition: i % 4, Request: &Request{Key: key, Limit: perHour(5), Cost: 2}}
		}
		return all
	}
	take := func(all []Item) (allowed bool) {
		t.Helper()
		if _, err := s.TakeAll(0, all, true); err != nil {
			t.Fatal(err)
		}
		allowed = true
		for i := range all {
			allowed = allowed && all[i].Decision.Allowed
		}
		return allowed
	}
	if !take(items("first", "a", "b")) { // 4 of 5 of what a and b share
		t.Error("first, a and b: denied, want allowed")
	}
	if take(items("c", "d", "e")) {
		t.Error("c, d and e: allowed, want denied: 1 token is left")
	}
	peek := &Request{Key: "f", Limit: perHour(5)}
	for range 2 {
		if d, err := s.Take(0, 0, peek); err != nil || d.Remaining != 1 {
			t.Errorf("Take of nothing = %+v, %v, want 1 token left", d, err)
		}
	}
	if d, err := s.Take(0, 0, &Request{Key: "first", Limit: perHour(5), Cost: 3}); err != nil || !d.Allowed {
		t.Errorf("Take of the key that has its own bucket = %+v, %v, want allowed", d, err)
	}
	reserve := &Request{Key: "g", Limit: perHour(5), Cost: 1, Reserve: time.Minute, ID: "x"}
	if _, err := s.Take(0, 0, reserve); !errors.Is(err, ErrFull) {
		t.Errorf("a reservation of a key that shares a bucket: %v, want ErrFull", err)
	}
	if _, err := s.Lend(0, 0, &Request{Key: "h", Limit: Limit{Tokens: 1000, Per: time.Second, Burst: 5000}, Cost: 10}, &Lending{To: "b", Serial: 1, For: time.Second}); err != nil {
		t.Error(err)
	}
}

// Shared buckets are right under the race detector, and no more keys are kept than there may be, but for those that come at
// the same instant.
func TestCrowdAtOnce(t *testing.T) {
	const callers, most = 8, 50
	s := storeOf(t, StoreConfig{Partitions: 64, LimitKeys: most})
	var all sync.WaitGroup
	var admitted [callers]int
	for c := range callers {
		all.Go(func() {
			for i := range 500 {
				d, err := s.Take(0, i%64, &Request{Key: fmt.Sprint(c, " ", i), Limit: perHour(1), Cost: 1})
				if err != nil {
					t.Error(err)
				}
				if d.Allowed {
					admitted[c]++
				}
			}
		})
	}
	all.Wait()
	sum := 0
	for _, n := range admitted {
		sum += n
	}
	if got := s.Stats().Keys; got < most || got > most+callers-1 || sum != got+1 {
		t.Errorf("%d keys and %d admitted, want %d keys or up to %d more, and 1 more admitted", got, sum, most, callers-1)
	}
}
