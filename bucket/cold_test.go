package bucket

import (
	"testing"
	"time"
)

// A key that nobody knows in a cold partition begins as empty as it would be if it had been empty when the partition was
// lost; in others, and asked for otherwise, it begins full.
func TestColdStart(t *testing.T) {
	hour := Instant(time.Hour)
	rate := Limit{Tokens: 1, Per: time.Second, Burst: 10}
	coarse := Limit{Tokens: 7, Per: 30 * day, Burst: 1e9} // ticks of a millisecond
	for _, c := range []struct {
		name  string
		limit Limit
		since Instant
		now   Instant
		want  int64
	}{
		{"at once", rate, hour, hour, 0},
		{"an older clock", rate, hour, hour - 1, 0},
		{"after a while", rate, hour, hour + Instant(3500*time.Millisecond), 3},
		{"almost full", rate, hour, hour + Instant(10*time.Second) - 1, 9},
		{"full", rate, hour, hour + Instant(10*time.Second), 10},
		{"long after", rate, hour, 1000 * hour, 10},
		{"lost before the clock began", rate, -Instant(4 * time.Second), 0, 4},
		{"lost long before", rate, -1 << 62, hour, 10},
		{"with a queue", Limit{Tokens: 1, Per: time.Second, Burst: 10, Queue: 5}, hour, hour + Instant(2*time.Second), 2},
		{"coarse ticks", coarse, hour, hour + Instant(30*day), 6}, // a tick late
		{"a quota", Limit{Burst: 5}, hour, Instant(year), 0},
		{"a window", Limit{Burst: 5, Window: Fixed, Per: time.Minute}, hour, hour + Instant(time.Minute) - 1, 0},
		{"the next window", Limit{Burst: 5, Window: Fixed, Per: time.Minute}, hour, hour + Instant(time.Minute), 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := storeOf(t, StoreConfig{Partitions: 2})
			s.SetCold(0, c.since, true)
			ask := func(part int, key string, start ColdStart) int64 {
				t.Helper()
				d, err := s.Take(c.now, part, &Request{Key: key, Limit: c.limit, ColdStart: start})
				if err != nil {
					t.Fatal(err)
				}
				return d.Remaining
			}
			if got := ask(0, "k", Empty); got != c.want && (c.limit != coarse || got != c.want+1) {
				t.Errorf("%d remain, want %d", got, c.want)
			}
			if got := ask(0, "k", Full); got != c.limit.Burst {
				t.Errorf("asked to begin full: %d remain", got)
			}
			if got := ask(1, "k", Empty); got != c.limit.Burst {
				t.Errorf("in another partition %d remain", got)
			}
			s.SetCold(0, 0, false)
			if got := ask(0, "k", Empty); got != c.limit.Burst {
				t.Errorf("not cold any more: %d remain", got)
			}
		})
	}
}

// A key that began empty is full after a reset, for good, though it is swept, moved, or charged before.
func TestResetOfCold(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1})
	s.SetCold(0, 0, true)
	r := &Request{Key: "k", Limit: Limit{Burst: 5}, Cost: 1, ColdStart: Empty}
	left := func(when string, cost, want int64) {
		t.Helper()
		r.Cost = cost
		if d, err := s.Take(0, 0, r); err != nil || d.Remaining != want {
			t.Errorf("%s: %+v, %v; want %d remaining", when, d, err, want)
		}
	}
	if err := s.Charge(0, 0, r); err != nil {
		t.Fatal(err)
	}
	left("charged", 0, 0)
	if st, ok := s.State(0, 0, "k"); !ok || st.Debt != 6 {
		t.Errorf("charged: %+v, want a debt of 6", st)
	}
	s.Drop(0)
	s.SetCold(0, 0, true)
	left("at first", 1, 0)
	if err := s.Reset(0, "k"); err != nil {
		t.Fatal(err)
	}
	s.Sweep(0, 1)
	left("reset and swept", 0, 5)
	states := s.Export(0, 0)
	s.Drop(0)
	if _, cold := s.Cold(0); cold || s.Stats().Keys != 0 {
		t.Errorf("dropped, but %+v and cold is %v", s.Stats(), cold)
	}
	s.SetCold(0, 0, true)
	if err := s.Import(0, 0, states); err != nil {
		t.Fatal(err)
	}
	left("moved", 0, 5)
	if s.SetCold(0, 0, false); s.Sweep(0, 1) != 1 {
		t.Errorf("%+v after a sweep, want no keys", s.Stats())
	}
	for _, part := range []int{-1, 1} {
		if s.SetCold(part, 0, true); s.cold.has(part) {
			t.Errorf("partition %d is there", part)
		}
	}
}
