package bucket

import (
	"errors"
	"math"
	"testing"
	"time"
	"unicode/utf8"
)

// A store that does not hold a partition decides nothing on it, and keeps its buckets until they are dropped.
func TestFreeze(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 2})
	r := &Request{Key: "k", Limit: Limit{Burst: 5}, Cost: 1}
	holds, err := s.TakeAll(0, []Item{{Request: r}}, true)
	if err != nil {
		t.Fatal(err)
	}
	s.Freeze(0)
	if s.Held(0) || !s.Held(1) {
		t.Errorf("Held = %v, %v; want false, true", s.Held(0), s.Held(1))
	}
	if _, err := s.Take(0, 0, r); !errors.Is(err, ErrMoved) {
		t.Errorf("Take: %v, want ErrMoved", err)
	}
	both := []Item{{Partition: 1, Request: r}, {Partition: 0, Request: r}}
	if _, err := s.TakeAll(0, both, false); !errors.Is(err, ErrMoved) {
		t.Errorf("TakeAll: %v, want ErrMoved", err)
	}
	if err := s.Reset(0, "k"); !errors.Is(err, ErrMoved) {
		t.Errorf("Reset: %v, want ErrMoved", err)
	}
	s.Refund(0, holds)
	if got := s.Export(0, 0); len(got) != 1 || got[0].Debt != 1 {
		t.Errorf("Export = %+v, want a debt of 1", got)
	}
	if got := s.Export(0, 1); len(got) != 0 {
		t.Errorf("Export of the other partition = %+v", got)
	}
	if got := s.Drop(0); got != 1 {
		t.Errorf("Drop = %d, want 1", got)
	}
	if err := s.intact(); err != nil {
		t.Error(err)
	}
}

// Partitions that there are not are not held.
func TestNoSuchPartition(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 2})
	r := &Request{Key: "k", Limit: Limit{Burst: 5}, Cost: 1}
	for _, part := range []int{-1, 2, math.MaxInt, math.MinInt} {
		_, take := s.Take(0, part, r)
		_, all := s.TakeAll(0, []Item{{Request: r}, {Partition: part, Request: r}}, false)
		for name, err := range map[string]error{
			"Take": take, "TakeAll": all, "Reset": s.Reset(part, "k"), "Import": s.Import(0, part, []State{{}}),
		} {
			if !errors.Is(err, ErrMoved) {
				t.Errorf("%s in partition %d: %v, want ErrMoved", name, part, err)
			}
		}
		s.Hold(part)
		s.Freeze(part)
		if s.Held(part) || s.Drop(part) != 0 || s.Export(0, part) != nil {
			t.Errorf("partition %d is there", part)
		}
	}
	if got := s.Stats().Keys; got != 0 {
		t.Errorf("%d keys, want none", got)
	}
}

// A hold from before a handoff gives nothing back after it: the bucket may have been anything meanwhile.
func TestHoldAfterMove(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1})
	l := Limit{Tokens: 1, Per: time.Hour, Burst: 10}
	holds, err := s.TakeAll(0, []Item{{Request: &Request{Key: "k", Limit: l, Cost: 6}}}, true)
	if err != nil {
		t.Fatal(err)
	}
	states := s.Export(0, 0)
	s.Drop(0)
	if err := s.Import(0, 0, states); err != nil {
		t.Fatal(err)
	}
	s.Refund(0, holds)
	if d, err := s.Take(0, 0, &Request{Key: "k", Limit: l}); err != nil || d.Remaining != 4 {
		t.Errorf("%+v, %v; want 4 remaining", d, err)
	}
}

// What comes from another node never makes a Store fail, break its own rules, or give a bucket more than it had.
func FuzzImport(f *testing.F) {
	f.Add("key", int64(10), int64(time.Second), int64(20), int64(0), byte(None), "", int64(5), int64(0), int64(7))
	f.Add("key", int64(0), int64(0), int64(20), int64(0), byte(Month), "Europe/Berlin", int64(5), int64(time.Hour), int64(7))
	f.Add("key", int64(0), int64(time.Minute), int64(20), int64(0), byte(Fixed), "", int64(math.MaxInt64), int64(math.MaxInt64), int64(7))
	f.Add("key", int64(1), int64(year), int64(1e9), int64(9), byte(None), "", int64(math.MinInt64), int64(math.MinInt64), int64(100*year))
	f.Add("", int64(-1), int64(-1), int64(-1), int64(-1), byte(200), "Local", int64(1), int64(1), int64(0))
	f.Fuzz(func(t *testing.T, key string, tokens, per, burst, queue int64, window byte, zone string, debt, left, at int64) {
		s := storeOf(t, StoreConfig{Partitions: 1, MaxKeys: 2, Epoch: time.Unix(1_800_000_000, 0)})
		l := Limit{Tokens: tokens, Per: time.Duration(per), Burst: burst, Queue: queue, Window: Window(window), Zone: zone}
		st := State{Key: key, Limit: l, Debt: debt, Left: time.Duration(left)}
		now := Instant(max(at, 0) % int64(100*year))
		r := &Request{Key: key, Limit: l, Cost: 1}
		before, takeErr := s.Take(now, 0, r)
		err := s.Import(now, 0, []State{st, st})
		valid := l.Validate() == nil && key != "" && len(key) <= MaxKey && utf8.ValidString(key)
		other := storeOf(t, StoreConfig{Partitions: 1})
		if replace := other.Replace(now, 0, []State{st, st}); (replace == nil) != (err == nil) || other.intact() != nil {
			t.Fatalf("Replace(%+v): %v, Import: %v", st, replace, err)
		}
		if valid != (err == nil) || valid != (takeErr == nil) {
			t.Fatalf("Import(%+v): %v, Take: %v; valid is %v", st, err, takeErr, valid)
		}
		if intact := s.intact(); intact != nil {
			t.Fatal(intact)
		}
		if !valid {
			return
		}
		r.Cost = 0
		after, err := s.Take(now, 0, r)
		if err != nil || after.Remaining > before.Remaining {
			t.Errorf("Import(%+v): %+v before and %+v, %v after", st, before, after, err)
		}
		states := s.Export(now, 0)
		if len(states) != 1 || states[0].Debt < min(max(debt, 0), maxDebt) && l.Window == None {
			t.Errorf("Import(%+v), then Export = %+v", st, states)
		}
	})
}
