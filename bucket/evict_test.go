package bucket

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func storeOf(t testing.TB, c StoreConfig) *Store {
	t.Helper()
	s, err := NewStore(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// MaxKeys is never passed: a new key beyond it takes the place of the fullest bucket.
func TestEvictsTheFullest(t *testing.T) {
	const most = 50
	s := storeOf(t, StoreConfig{Partitions: 4, MaxKeys: most})
	l := Limit{Tokens: 1, Per: time.Hour, Burst: 1000}
	name := func(i int) string { return fmt.Sprint("key ", i) }
	take := func(i int, cost int64) {
		t.Helper()
		d, err := s.Take(0, i%4, &Request{Key: name(i), Limit: l, Cost: cost})
		if err != nil || !d.Allowed {
			t.Fatalf("Take(%d) = %+v, %v", i, d, err)
		}
		if got := s.Stats().Keys; got > most {
			t.Fatalf("%d keys, want at most %d", got, most)
		}
	}
	for i := range most {
		take(i, 500+int64(i))
	}
	// Now each new key, fuller than all that is there, replaces the one before it.
	for i := most; i < 10*most; i++ {
		take(i, 1)
	}
	if err := s.intact(); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < most; i++ {
		d, err := s.Take(0, i%4, &Request{Key: name(i), Limit: l})
		if err != nil || d.Remaining != 500-int64(i) {
			t.Errorf("key %d: %+v, %v: it is not among the fullest, but gone", i, d, err)
		}
	}
	want := Stats{Keys: most, Evicted: 9 * most, Forgotten: 500 + 9*most - 1}
	if got := s.Stats(); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
}

// Buckets that are full again go first, and are not counted as evicted.
func TestEvictsFullOnes(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 2, MaxKeys: 10})
	l := Limit{Tokens: 1, Per: time.Second, Burst: 10}
	for i := range 1000 {
		now := Instant(i) * Instant(time.Second)
		if _, err := s.Take(now, i%2, &Request{Key: fmt.Sprint(i), Limit: l, Cost: 5}); err != nil {
			t.Fatal(err)
		}
		if err := s.intact(); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Stats(); got.Evicted != 0 || got.Swept < 990 {
		t.Errorf("Stats = %+v, want no eviction", got)
	}
}

// ErrFull comes only where nothing can be evicted, and nothing is evicted for it.
func TestErrFull(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 2, MaxKeys: 3})
	l := Limit{Tokens: 1, Per: time.Hour, Burst: 10}
	request := func(key string) *Request { return &Request{Key: key, Limit: l, Cost: 1} }
	items := make([]Item, 4)
	for i := range items {
		items[i] = Item{Request: request(fmt.Sprint("many", i))}
	}
	if _, err := s.Take(0, 0, request("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.TakeAll(0, items, true); !errors.Is(err, ErrFull) {
		t.Errorf("TakeAll of 4 keys: %v, want ErrFull", err)
	}
	if got, want := s.Stats(), (Stats{Keys: 1}); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
	for _, key := range []string{"b", "c"} {
		if _, err := s.Take(0, 0, request(key)); err != nil {
			t.Fatal(err)
		}
	}
	s.Freeze(0)
	if _, err := s.Take(0, 1, request("d")); !errors.Is(err, ErrFull) {
		t.Errorf("Take with all buckets frozen: %v, want ErrFull", err)
	}
	if err := s.Import(0, 1, []State{{Key: "e", Limit: l, Debt: 1}}); !errors.Is(err, ErrFull) {
		t.Errorf("Import with all buckets frozen: %v, want ErrFull", err)
	}
	s.Hold(0)
	if _, err := s.TakeAll(0, items[:3], false); err != nil {
		t.Errorf("TakeAll of 3 keys: %v", err)
	}
	if err := s.intact(); err != nil {
		t.Error(err)
	}
}

// A key whose bucket was dropped because it was full is not full for those who read the clock before that.
func TestDroppedIsNotFullBefore(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1})
	l := Limit{Tokens: 10, Per: time.Second, Burst: 10}
	r := &Request{Key: "k", Limit: l, Cost: 10}
	late := Instant(time.Second)
	if _, err := s.Take(0, 0, r); err != nil {
		t.Fatal(err)
	}
	if got := s.Sweep(late, 1); got != 1 {
		t.Fatalf("Sweep dropped %d, want 1", got)
	}
	if _, err := s.Take(late/2, 0, r); err != nil {
		t.Fatal(err)
	}
	if d, err := s.Take(late+late/2, 0, r); err != nil || d.Allowed {
		t.Errorf("Take half a second later = %+v, %v; want a denial", d, err)
	}
}
