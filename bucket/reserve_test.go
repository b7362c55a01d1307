package bucket

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// reserve asks s for cost tokens of key "k" that are settled later.
func reserve(t *testing.T, s *Store, now Instant, l Limit, cost int64, id string, ttl time.Duration) Decision {
	t.Helper()
	d, err := s.Take(now, 0, &Request{Key: "k", Limit: l, Cost: cost, ID: id, Reserve: ttl})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// settle settles a reservation of key "k".
func settle(t *testing.T, s *Store, now Instant, id string, cost int64) Settled {
	t.Helper()
	got, err := s.Settle(now, 0, &Settlement{Key: "k", ID: id, Cost: cost})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// level returns what is left of key "k".
func level(t *testing.T, s *Store, now Instant, l Limit) int64 {
	t.Helper()
	d, err := s.Take(now, 0, &Request{Key: "k", Limit: l})
	if err != nil {
		t.Fatal(err)
	}
	return d.Remaining
}

const second = Instant(time.Second)

// A reservation is settled once: less gives back, more is taken, a repeated settlement answers as the first and does nothing.
func TestSettle(t *testing.T) {
	quota := Limit{Burst: 100}
	for _, tt := range []struct{ cost, left int64 }{{0, 100}, {10, 90}, {40, 60}, {60, 40}, {100, 0}, {250, 0}} {
		s := storeOf(t, StoreConfig{Partitions: 1})
		if d := reserve(t, s, 0, quota, 40, "id", time.Minute); !d.Allowed || d.Remaining != 60 {
			t.Fatalf("reserved: %+v", d)
		}
		want := Settled{Known: true, Reserved: 40, Charged: tt.cost}
		for range 2 {
			if got := settle(t, s, second, "id", tt.cost); got != want {
				t.Errorf("settled for %d: %+v, want %+v", tt.cost, got, want)
			}
			if got := level(t, s, second, quota); got != tt.left {
				t.Errorf("settled for %d: %d are left, want %d", tt.cost, got, tt.left)
			}
		}
		if got := settle(t, s, second, "id", 0); got != want {
			t.Errorf("settled for %d, then 0: %+v, want %+v", tt.cost, got, want)
		}
		if got := s.Stats().Reservations; got != 0 {
			t.Errorf("%d reservations, want 0", got)
		}
	}
}

// The same id is charged once, and a second request with it keeps the reservation for longer.
func TestReserveTwice(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1})
	quota := Limit{Burst: 100}
	for i := range 3 {
		if d := reserve(t, s, Instant(i)*second, quota, 40, "id", 2*time.Second); !d.Allowed || d.Remaining != 60 {
			t.Errorf("reserved %d times: %+v", i+1, d)
		}
	}
	if got := settle(t, s, 3*second, "id", 0); !got.Known || level(t, s, 3*second, quota) != 100 {
		t.Errorf("settled: %+v, %d left", got, level(t, s, 3*second, quota))
	}
}

// What is not settled in time stays spent, without a sweep, and its settlement is not known.
func TestReservationExpires(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1})
	quota := Limit{Burst: 100}
	reserve(t, s, 0, quota, 40, "id", time.Second)
	got, err := s.Settle(second-1, 0, &Settlement{Key: "k", ID: "id", Renew: time.Second})
	if want := (Settled{Known: true, Reserved: 40, Charged: 40}); err != nil || got != want {
		t.Errorf("renewed: %+v, %v", got, err)
	}
	if got := settle(t, s, 2*second-1, "id", 0); got != (Settled{}) || level(t, s, 2*second, quota) != 60 {
		t.Errorf("settled late: %+v, %d left", got, level(t, s, 2*second, quota))
	}
	if got := settle(t, s, 0, "other", 0); got != (Settled{}) {
		t.Errorf("never reserved: %+v", got)
	}
	if n := s.Stats().Reservations; n != 0 {
		t.Errorf("%d reservations, want 0", n)
	}
}

// A slot is free again when it is settled, and when its time is over for whoever asks; its id is free then too.
func TestConcurrency(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1})
	two := Limit{Burst: 2, Window: Concurrency}
	for i, id := range []string{"a", "b"} {
		if d := reserve(t, s, Instant(i)*second, two, 1, id, 10*time.Second); !d.Allowed || d.Remaining != int64(1-i) {
			t.Errorf("%s: %+v", id, d)
		}
	}
	d := reserve(t, s, 2*second, two, 1, "c", 10*time.Second)
	if want := (Decision{RetryAfter: 8 * time.Second, ResetAfter: 9 * time.Second}); d != want {
		t.Errorf("c: %+v, want %+v", d, want)
	}
	if d := reserve(t, s, 3*second, two, 1, "a", 10*time.Second); !d.Allowed || d.Remaining != 0 {
		t.Errorf("a is renewed: %+v", d)
	}
	if got := settle(t, s, 3*second, "b", 1); got != (Settled{Known: true, Reserved: 1}) {
		t.Errorf("b ends: %+v", got)
	}
	for range 2 {
		if d := reserve(t, s, 4*second, two, 1, "b", time.Second); !d.Allowed || d.Remaining != 0 {
			t.Errorf("b again: %+v", d)
		}
	}
	if got := level(t, s, 5*second, two); got != 1 {
		t.Errorf("%d left after b's time, want 1", got)
	}
	if got := s.Expire(13 * second); got != 1 || s.Stats().Reservations != 0 {
		t.Errorf("%d expired, %+v", got, s.Stats())
	}
	if got := s.Stats().Keys; got != 0 {
		t.Errorf("%d buckets, want none: slots are no bucket's", got)
	}
	reserve(t, s, 20*second, two, 2, "x", time.Hour)
	if err := s.Reset(0, "k"); err != nil || level(t, s, 20*second, two) != 2 {
		t.Errorf("reset: %v, %d left", err, level(t, s, 20*second, two))
	}
}

// Bad requests and settlements are refused, and nothing is taken.
func TestReserveErrors(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1, MaxReservations: 1})
	l, slots := Limit{Burst: 10}, Limit{Burst: 10, Window: Concurrency}
	for _, tt := range []struct {
		r    Request
		want error
	}{
		{Request{Key: "k", Limit: l, Cost: 1, Reserve: time.Second}, ErrReserve},
		{Request{Key: "k", Limit: l, Cost: 1, ID: "i", Reserve: -1}, ErrReserve},
		{Request{Key: "k", Limit: l, Cost: 1, ID: "i", Reserve: MaxReserve + 1}, ErrReserve},
		{Request{Key: "k", Limit: slots, Cost: 1, ID: "i"}, ErrReserve},
		{Request{Key: "k", Limit: Limit{Tokens: 1, Per: 1, Burst: 1, Queue: 1}, Cost: 1, ID: "i", Reserve: 1}, ErrReserve},
		{Request{Key: "k", Limit: slots, Cost: 11, ID: "i", Reserve: 1}, ErrCost},
	} {
		if _, err := s.Take(0, 0, &tt.r); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v, want %v", tt.r, err, tt.want)
		}
	}
	reserve(t, s, 0, l, 1, "i", time.Second)
	if _, err := s.Take(0, 0, &Request{Key: "k", Limit: slots, Cost: 1, ID: "i", Reserve: 1}); !errors.Is(err, ErrID) {
		t.Errorf("a slot under the id of a reservation of the bucket: %v", err)
	}
	if _, err := s.Take(0, 0, &Request{Key: "new", Limit: l, Cost: 1, ID: "j", Reserve: 1}); !errors.Is(err, ErrFull) {
		t.Errorf("beyond MaxReservations: %v", err)
	}
	if got := s.Stats(); got.Keys != 1 || level(t, s, 0, l) != 9 {
		t.Errorf("%+v, %d left: a refused request took something", got, level(t, s, 0, l))
	}
	for _, st := range []Settlement{
		{Key: "k"},
		{ID: "i"},
		{Key: "k", ID: "i", Cost: -1},
		{Key: "k", ID: "i", Cost: MaxCost + 1},
		{Key: "k", ID: "i", Renew: MaxReserve + 1},
		{Key: "k", ID: "\xff"},
	} {
		if _, err := s.Settle(0, 0, &st); err == nil {
			t.Errorf("%+v is settled", st)
		}
	}
	if _, err := s.Settle(0, 7, &Settlement{Key: "k", ID: "i"}); !errors.Is(err, ErrMoved) {
		t.Errorf("in another partition: %v", err)
	}
}

// An all-or-nothing check that is given back has reserved nothing, and its id is free.
func TestReserveUndone(t *testing.T) {
	for _, l := range []Limit{{Burst: 10}, {Burst: 10, Window: Concurrency}} {
		s := storeOf(t, StoreConfig{Partitions: 1})
		r := Request{Key: "k", Limit: l, Cost: 4, ID: "i", Reserve: time.Minute}
		for range 2 {
			holds, err := s.TakeAll(0, []Item{{Request: &r}}, true)
			if err != nil || len(holds) != 1 || level(t, s, 0, l) != 6 || s.Stats().Reservations != 1 {
				t.Fatalf("%v: %v, %d holds, %d left, %+v", l, err, len(holds), level(t, s, 0, l), s.Stats())
			}
			s.Refund(0, holds)
			if got := settle(t, s, 0, "i", 0); got.Known || level(t, s, 0, l) != 10 || s.Stats().Reservations != 0 {
				t.Errorf("%v: undone: %+v, %d left", l, got, level(t, s, 0, l))
			}
		}
		holds, err := s.TakeAll(0, []Item{{Request: &r}}, true)
		if err != nil {
			t.Fatal(err)
		}
		settle(t, s, 0, "i", 1)
		want := level(t, s, 0, l)
		if s.Refund(0, holds); level(t, s, 0, l) != want {
			t.Errorf("%v: settled and then undone: %d left, want %d", l, level(t, s, 0, l), want)
		}
		r.ID = "j"
		no := Request{Key: "no", Limit: Limit{Burst: 1}, Cost: 1}
		if _, err := s.Take(0, 0, &no); err != nil {
			t.Fatal(err)
		}
		if _, err := s.TakeAll(0, []Item{{Request: &r}, {Request: &no}}, false); err != nil || s.Stats().Reservations != 0 {
			t.Errorf("%v: denied: %v, %+v", l, err, s.Stats())
		}
	}
}

// Once all is settled, a bucket owes exactly what it would if each request had asked for what it came to at first: whatever was
// taken, settled and undone meanwhile, with and without refill. So nothing is admitted twice, and nothing is lost.
func TestSettledExactly(t *testing.T) {
	limits := []Limit{{Tokens: 10, Per: time.Second, Burst: 50}, {Burst: 200}, {Tokens: 3, Per: 7, Burst: 90}, {Burst: 60, Per: time.Minute, Window: Fixed}}
	rapid.Check(t, func(t *rapid.T) {
		l := rapid.SampledFrom(limits).Draw(t, "limit")
		s, err := NewStore(StoreConfig{Partitions: 1})
		if err != nil {
			t.Fatal(err)
		}
		type taken struct {
			at   Instant
			cost int64
			id   string
		}
		var all []taken
		var open []int
		now := Instant(0)
		end := func(k int, least int64) {
			i := open[k]
			open = append(open[:k], open[k+1:]...)
			cost := rapid.Int64Range(min(least, all[i].cost), all[i].cost).Draw(t, "settled")
			if got, err := s.Settle(now, 0, &Settlement{Key: "k", ID: all[i].id, Cost: cost}); err != nil || !got.Known {
				t.Fatalf("settle: %+v, %v", got, err)
			}
			all[i].cost = cost
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now += Instant(rapid.Int64Range(0, int64(l.Refill(l.Burst))/8+1).Draw(t, "pause"))
			switch k := rapid.IntRange(0, 3).Draw(t, "step"); {
			case k == 0 && len(open) > 0:
				end(rapid.IntRange(0, len(open)-1).Draw(t, "which"), 0)
			case k < 3:
				r := Request{Key: "k", Limit: l, Cost: rapid.Int64Range(1, 30).Draw(t, "cost"), ID: fmt.Sprint(len(all)), Reserve: time.Hour}
				if d, err := s.Take(now, 0, &r); err != nil {
					t.Fatal(err)
				} else if d.Allowed {
					open = append(open, len(all))
					all = append(all, taken{now, r.Cost, r.ID})
				}
			default:
				r := Request{Key: "k", Limit: l, Cost: rapid.Int64Range(1, 30).Draw(t, "cost")}
				if d, err := s.Take(now, 0, &r); err != nil {
					t.Fatal(err)
				} else if d.Allowed {
					all = append(all, taken{at: now, cost: r.Cost})
				}
			}
		}
		for len(open) > 0 {
			end(0, 0)
		}
		plan, err := NewPlan(l, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		var ideal Bucket
		for _, a := range all {
			if d := ideal.Take(a.at, plan, a.cost); !d.Allowed {
				t.Fatalf("%+v was admitted, and has no room in a bucket without what was given back", a)
			}
		}
		want, _ := ideal.missing(now, plan)
		st, _ := s.State(now, 0, "k")
		if st.Debt != want {
			t.Errorf("the bucket owes %d units, want %d", st.Debt, want)
		}
	})
}

// Reservations move with their buckets: what is settled elsewhere gives back as much, and once; copies make a union.
func TestMoveReserved(t *testing.T) {
	for _, l := range []Limit{{Burst: 100}, {Tokens: 1, Per: time.Hour, Burst: 100}, {Burst: 100, Window: Concurrency}} {
		a, b := storeOf(t, StoreConfig{Partitions: 1}), storeOf(t, StoreConfig{Partitions: 1})
		b.Freeze(0)
		for _, id := range []string{"x", "y", "z"} {
			reserve(t, a, 0, l, 20, id, time.Minute)
		}
		settle(t, a, 0, "x", 0)
		states, all := a.Export(second, 0), a.ExportReserved(second, 0)
		if len(all) != 3 {
			t.Fatalf("%v: %d reservations, want 3: %+v", l, len(all), all)
		}
		for range 2 { // it may come twice
			if err := errors.Join(b.Import(9*second, 0, states), b.ImportReserved(9*second, 0, all)); err != nil {
				t.Fatal(err)
			}
		}
		b.Hold(0)
		if got := b.Stats().Reservations; got != 2 || level(t, b, 9*second, l) != 60 {
			t.Errorf("%v: %d reservations and %d left, want 2 and 60", l, got, level(t, b, 9*second, l))
		}
		if got := settle(t, b, 9*second, "x", 20); got != (Settled{Known: true, Reserved: 20}) {
			t.Errorf("%v: settled twice: %+v", l, got)
		}
		settle(t, b, 9*second, "y", 0)
		if err := b.ImportReserved(9*second, 0, all); err != nil { // late
			t.Fatal(err)
		}
		if got := level(t, b, 9*second, l); got != 80 {
			t.Errorf("%v: %d left, want 80", l, got)
		}
		b.Expire(69 * second)
		if got := b.Stats().Reservations; got != 0 {
			t.Errorf("%v: %d reservations after their time", l, got)
		}
	}
}

// Changes tell a replica of reservations: as it has them, they go on there.
func TestChangesReserved(t *testing.T) {
	for _, l := range []Limit{{Burst: 100}, {Burst: 100, Window: Concurrency}} {
		s, replica := storeOf(t, StoreConfig{Partitions: 1}), storeOf(t, StoreConfig{Partitions: 1})
		s.Track(true)
		replica.Freeze(0)
		pass := func(lose bool) {
			for _, c := range s.Changes(0, 100, nil) {
				if lose {
					s.Retell(&c)
					continue
				}
				do := replica.Follow
				if c.Replaces {
					do = replica.Replace
				}
				if err := errors.Join(do(0, 0, []State{c.State}), replica.ImportReserved(0, 0, c.Reserved)); err != nil {
					t.Fatal(err)
				}
			}
		}
		reserve(t, s, 0, l, 20, "x", time.Minute)
		reserve(t, s, 0, l, 30, "y", time.Minute)
		if c, ok := s.Change(0, 0, "k", "", false); !ok || len(c.Reserved) != 2 {
			t.Errorf("%v: %+v, %v, want two reservations", l, c, ok)
		}
		pass(true)
		pass(false)
		settle(t, s, 0, "x", 0)
		pass(true)
		pass(false)
		if got := s.Changes(0, 100, nil); len(got) != 0 {
			t.Errorf("%v: told twice: %+v", l, got)
		}
		if diff := cmp.Diff(replica.ExportReserved(0, 0), s.ExportReserved(0, 0)); diff != "" && l.Window == Concurrency {
			t.Errorf("%v: the replica differs: %s", l, diff)
		}
		replica.Hold(0)
		if got := level(t, replica, 0, l); got != 70 || replica.Stats().Reservations != 1 {
			t.Errorf("%v: the replica has %d left and %+v", l, got, replica.Stats())
		}
		settle(t, replica, 0, "x", 0)
		settle(t, replica, 0, "y", 0)
		if got := level(t, replica, 0, l); got < 80 || got > 100 || l.Window == Concurrency && got != 100 {
			t.Errorf("%v: %d left in the end", l, got)
		}
	}
}

// Of copies that went apart the larger debt stays, and with it only what was reserved of that: what the other one had reserved
// is not in it, and is not given back of it.
func TestReservedApart(t *testing.T) {
	quota := Limit{Burst: 100}
	for _, more := range []string{"a", "b"} {
		a, b := storeOf(t, StoreConfig{Partitions: 1}), storeOf(t, StoreConfig{Partitions: 1})
		reserve(t, a, 0, quota, 20, "of a", time.Minute)
		reserve(t, b, 0, quota, 20, "of b", time.Minute)
		for name, s := range map[string]*Store{"a": a, "b": b} {
			if name == more {
				reserve(t, s, 0, quota, 30, "more", time.Minute)
			}
		}
		if err := errors.Join(a.Import(0, 0, b.Export(0, 0)), a.ImportReserved(0, 0, b.ExportReserved(0, 0))); err != nil {
			t.Fatal(err)
		}
		if got := level(t, a, 0, quota); got != 50 || a.Stats().Reservations != 3 {
			t.Errorf("%d left and %+v, want 50 and 3 reservations", got, a.Stats())
		}
		lost := map[string]string{"a": "of b", "b": "of a"}[more]
		if got := settle(t, a, 0, lost, 0); !got.Known || level(t, a, 0, quota) != 50 {
			t.Errorf("%q is settled: %+v, and %d are left, want 50: the bucket does not owe it", lost, got, level(t, a, 0, quota))
		}
		settle(t, a, 0, "of "+more, 0)
		if settle(t, a, 0, "more", 0); level(t, a, 0, quota) != 100 {
			t.Errorf("%d are left after all was settled, want 100", level(t, a, 0, quota))
		}
	}
}
