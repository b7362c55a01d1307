package bucket

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// taken returns the keys of the next changes, with how often each.
func taken(s *Store, most int) map[string]int {
	keys := make(map[string]int)
	for _, c := range s.Changes(0, most, nil) {
		keys[c.Key]++
	}
	return keys
}

// Only while it is asked to does a store note changes, and none of an Ephemeral request, a peek or a denial.
func TestTrack(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1})
	l := Limit{Burst: 2}
	take := func(key string, cost int64, d Durability) {
		t.Helper()
		if _, err := s.Take(0, 0, &Request{Key: key, Limit: l, Cost: cost, Durability: d}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(when string, keys ...string) {
		t.Helper()
		got := taken(s, 10)
		for _, k := range keys {
			if got[k] != 1 {
				t.Errorf("%s: changes of %v, want one of each of %q", when, got, keys)
			}
		}
		if len(got) != len(keys) {
			t.Errorf("%s: changes of %v, want of %q", when, got, keys)
		}
	}
	take("a", 1, Async)
	want("off")
	s.Track(true)
	want("on")
	take("b", 1, Async)
	take("b", 1, Sync)
	take("c", 1, Ephemeral)
	want("taken of b and c", "b")
	take("b", 0, Async)
	take("b", 1, Async) // denied
	take("d", 0, Async)
	want("peeks and denials")
	take("c", 1, Ephemeral)
	want("taken of c for nobody")
	s.TouchAll(0)
	want("all touched", "a", "b", "c")
	take("a", 1, Async)
	s.Track(false)
	s.Track(true)
	want("off and on")
	s.Touch(0, "nobody", true)
	s.Touch(0, "c", false)
	want("c touched", "c")
	s.Touch(1, "c", false)
	s.Touch(-1, "c", false)
	s.TouchAll(1)
	want("what is not there touched")
	if err := s.intact(); err != nil {
		t.Error(err)
	}
}

// However many change again and again, every change is told soon: after as many calls as it takes to tell all once.
func TestChangesAreFair(t *testing.T) {
	const parts, keys, most = 4, 40, 7
	s := storeOf(t, StoreConfig{Partitions: parts})
	s.Track(true)
	name := func(i int) string { return fmt.Sprint("key ", i) }
	change := func() {
		for i := range keys {
			if err := s.Charge(0, i%parts, &Request{Key: name(i), Limit: Limit{Burst: 100}, Cost: 1}); err != nil {
				t.Fatal(err)
			}
		}
	}
	change()
	told := make(map[string]int)
	for range 2 * keys / most {
		got := s.Changes(0, most, nil)
		if len(got) != most {
			t.Fatalf("%d changes, want %d", len(got), most)
		}
		for i := range got {
			told[got[i].Key]++
		}
		change()
	}
	for i := range keys {
		if told[name(i)] == 0 {
			t.Errorf("%q was never told; %v", name(i), told)
		}
	}
}

// A change is told as the bucket is then, once, with strings of its own; a reset one as full.
func TestChange(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 3})
	s.Track(true)
	l := Limit{Tokens: 1, Per: time.Second, Burst: 10}
	for range 5 {
		if _, err := s.Take(0, 2, &Request{Key: "k", Limit: l, Cost: 1}); err != nil {
			t.Fatal(err)
		}
	}
	second := Instant(time.Second)
	want := Change{Partition: 2, State: State{Key: "k", Limit: l, Debt: 4 * int64(time.Second)}}
	if got, ok := s.State(second, 2, "k"); !ok || got != want.State {
		t.Errorf("State = %+v, %v; want %+v", got, ok, want.State)
	}
	if got := s.Changes(second, 10, nil); len(got) != 1 || !cmp.Equal(got[0], want) {
		t.Errorf("Changes = %+v, want %+v", got, want)
	}
	if err := s.Reset(2, "k"); err != nil {
		t.Fatal(err)
	}
	s.Sweep(second, 3)
	if got, ok := s.State(second, 2, "k"); ok {
		t.Errorf("State after a reset = %+v", got)
	}
	want = Change{Partition: 2, State: State{Key: "k", Limit: l}, Replaces: true}
	if got := s.Changes(second, 10, []Change{{}}); len(got) != 2 || !cmp.Equal(got[1], want) {
		t.Errorf("Changes after a reset = %+v, want %+v", got, want)
	}
	if s.Sweep(second, 3); s.Stats().Keys != 0 {
		t.Errorf("%+v after a sweep, want no keys", s.Stats())
	}
	for _, part := range []int{-1, 3} {
		if _, ok := s.State(0, part, "k"); ok {
			t.Errorf("partition %d has a state", part)
		}
	}
}

// What is listed is bounded, however often buckets come and go and nobody takes the changes.
func TestListIsBounded(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1, MaxKeys: 100})
	s.Track(true)
	for i := range 20_000 {
		r := &Request{Key: fmt.Sprint("key ", i), Limit: Limit{Burst: 10}, Cost: 1}
		if _, err := s.Take(0, 0, r); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			s.Freeze(0)
			s.Hold(0)
			s.TouchAll(0)
		}
	}
	if got, most := len(s.changed[0]), len(s.shards[0].log)/recordSize; got > most || most > 1000 {
		t.Errorf("%d places are listed of a log of at most %d records", got, most)
	}
	if err := s.intact(); err != nil {
		t.Error(err)
	}
}
