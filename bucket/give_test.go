package bucket

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// give gives back, and fails the test if that is an error.
func give(t *testing.T, s *Store, now Instant, part int, r Request) (int64, Decision) {
	t.Helper()
	given, d, err := s.Give(now, part, &r)
	if err != nil {
		t.Fatalf("Give(%+v): %v", r, err)
	}
	return given, d
}

// What is given back is there again, and never more than the limit has.
func TestGive(t *testing.T) {
	const now = Instant(time.Second)
	for _, c := range []struct {
		limit                string
		take, charge, give   int64
		wantGiven, wantLevel int64
	}{
		{"10/s burst 100", 30, 0, 10, 10, 80},
		{"10/s burst 100", 30, 0, 31, 30, 100},
		{"10/s burst 100", 0, 0, 5, 0, 100},
		{"10/s burst 100", 0, 150, 60, 60, 10}, // it was overdrawn
		{"10/s burst 100", 1, 0, MaxCost, 1, 100},
		{"10/s burst 100", 30, 0, 0, 0, 70},
		{"quota 100", 100, 0, 1, 1, 1},
		{"quota 100", 10, 0, 50, 10, 100},
		{"quota 100 per month in Europe/Berlin", 60, 0, 50, 50, 90},
		{"window 100 per 1m", 60, 0, 100, 60, 100},
		{"10/s burst 100 queue 50", 60, 0, 50, 50, 90},
		{"10/s burst 100 queue 50", 100, 0, 50, 50, 50},
		{"10/s burst 100 queue 50", 100, 20, 50, 0, 0}, // turns were told
		{"7/3s burst 40", 20, 0, 7, 7, 27},
	} {
		s := storeOf(t, StoreConfig{Partitions: 4})
		r := Request{Key: "k", Limit: mustParse(t, c.limit), Cost: c.take}
		if d, err := s.Take(now, 1, &r); err != nil || !d.Allowed {
			t.Fatal(d, err)
		}
		r.Cost = c.charge
		if err := s.Charge(now, 1, &r); err != nil {
			t.Fatal(err)
		}
		r.Cost = c.give
		given, d := give(t, s, now, 1, r)
		if given != c.wantGiven || d.Remaining != c.wantLevel || !d.Allowed {
			t.Errorf("%s, %d taken, %d charged, %d given back: %d came back, %+v; want %d and %d left", c.limit, c.take, c.charge, c.give, given, d,
				c.wantGiven, c.wantLevel)
		}
		r.Cost = 0
		if d, err := s.Take(now, 1, &r); err != nil || d.Remaining != c.wantLevel {
			t.Errorf("%s: %+v, %v afterwards, want %d left", c.limit, d, err, c.wantLevel)
		}
	}
}

// A window that is over gives nothing back, and the one after it has no more than it has.
func TestGiveLate(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1})
	r := Request{Key: "k", Limit: mustParse(t, "window 10 per 1s"), Cost: 8}
	if _, err := s.Take(0, 0, &r); err != nil {
		t.Fatal(err)
	}
	if given, d := give(t, s, Instant(1500*time.Millisecond), 0, r); given != 0 || d.Remaining != 10 {
		t.Errorf("given back a window late: %d, %+v, want 0 and 10 left", given, d)
	}
}

// With an id tokens are given back once, also where the bucket has moved and where a replica has taken over, and the id of a
// request that took some is another one.
func TestGiveOnce(t *testing.T) {
	for _, id := range []string{"order 7", fmt.Sprintf("%064d", 7)} {
		s, replica := storeOf(t, StoreConfig{Partitions: 4}), storeOf(t, StoreConfig{Partitions: 4})
		s.Track(true)
		r := Request{Key: "k", Limit: mustParse(t, "quota 100"), Cost: 30, ID: id}
		for range 2 {
			if d, err := s.Take(0, 1, &r); err != nil || d.Remaining != 70 {
				t.Fatal(d, err)
			}
		}
		r.Cost = 20
		if given, d := give(t, s, 0, 1, r); given != 20 || d.Remaining != 90 {
			t.Errorf("the first time: %d, %+v", given, d)
		}
		if given, d := give(t, s, 0, 1, r); given != 0 || d.Remaining != 90 {
			t.Errorf("the second time: %d, %+v, want 0 and as the first", given, d)
		}
		for _, c := range s.Changes(0, 10, nil) {
			if err := errors.Join(replica.Replace(0, 1, []State{c.State}), replica.ImportIDs(0, 1, c.IDs)); err != nil {
				t.Fatal(err)
			}
		}
		if given, _ := give(t, replica, 0, 1, r); given != 0 {
			t.Errorf("after the holder's death %d came back once more", given)
		}
		r.Cost = 30
		if d, err := replica.Take(0, 1, &r); err != nil || d.Remaining != 70 {
			t.Errorf("the take again after the holder's death: %+v, %v, want it answered as the first", d, err)
		}
		r.Cost, r.ID = 0, ""
		if d, err := replica.Take(0, 1, &r); err != nil || d.Remaining != 90 {
			t.Errorf("%+v, %v, want 90 left", d, err)
		}
	}
}

// An id is good for one gift also where the first came to a full bucket.
func TestGiveOnceToFull(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1})
	r := Request{Key: "k", Limit: mustParse(t, "quota 10"), Cost: 3, ID: "x"}
	give(t, s, 0, 0, r)
	if _, err := s.Take(0, 0, &Request{Key: "k", Limit: r.Limit, Cost: 5}); err != nil {
		t.Fatal(err)
	}
	if given, _ := give(t, s, 0, 0, r); given != 0 {
		t.Errorf("%d came back the second time", given)
	}
}

// What was given back already does not come back with a Refund too, nor with a settlement.
func TestGiveAndRefund(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1})
	r := Request{Key: "k", Limit: mustParse(t, "quota 10"), Cost: 5}
	holds, err := s.TakeAll(0, []Item{{Request: &r}}, true)
	if err != nil {
		t.Fatal(err)
	}
	give(t, s, 0, 0, r)
	if d, err := s.Take(0, 0, &r); err != nil || d.Remaining != 5 {
		t.Fatal(d, err)
	}
	s.Refund(0, holds)
	if d, err := s.Take(0, 0, &Request{Key: "k", Limit: r.Limit}); err != nil || d.Remaining != 5 {
		t.Errorf("after the refund of what was given back: %+v, %v, want 5 left", d, err)
	}
	s = storeOf(t, StoreConfig{Partitions: 1})
	reserve(t, s, 0, r.Limit, 5, "x", time.Minute)
	give(t, s, 0, 0, r)
	if d, err := s.Take(0, 0, &r); err != nil || d.Remaining != 5 {
		t.Fatal(d, err)
	}
	if said, err := s.Settle(0, 0, &Settlement{Key: "k", ID: "x"}); err != nil || !said.Known {
		t.Fatal(said, err)
	}
	if d, err := s.Take(0, 0, &Request{Key: "k", Limit: r.Limit}); err != nil || d.Remaining != 5 {
		t.Errorf("after the settlement of what was given back: %+v, %v, want 5 left", d, err)
	}
}

// What cannot be given back is an error that says why.
func TestGiveErrors(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 2})
	l := mustParse(t, "10/s")
	for name, c := range map[string]struct {
		part int
		r    Request
		want error
	}{
		"elsewhere": {2, Request{Key: "k", Limit: l, Cost: 1}, ErrMoved},
		"no key":    {0, Request{Limit: l, Cost: 1}, ErrKey},
		"negative":  {0, Request{Key: "k", Limit: l, Cost: -1}, ErrCost},
		"much":      {0, Request{Key: "k", Limit: l, Cost: MaxCost + 1}, ErrCost},
		"slots":     {0, Request{Key: "k", Limit: mustParse(t, "concurrency 5"), Cost: 1}, ErrLimit},
		"no limit":  {0, Request{Key: "k", Cost: 1}, ErrLimit},
		"reserves":  {0, Request{Key: "k", Limit: l, Cost: 1, ID: "x", Reserve: time.Second}, ErrReserve},
		"id":        {0, Request{Key: "k", Limit: l, Cost: 1, ID: fmt.Sprintf("%065d", 1)}, ErrID},
	} {
		if _, _, err := s.Give(0, c.part, &c.r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	s.Freeze(1)
	if _, _, err := s.Give(0, 1, &Request{Key: "k", Limit: l, Cost: 1}); !errors.Is(err, ErrMoved) {
		t.Errorf("in a frozen partition: %v, want ErrMoved", err)
	}
}

// A giver is Store.Give, or has a planted bug.
type giver func(s *Store, now Instant, r *Request) error

func rightGiver(s *Store, now Instant, r *Request) error {
	_, _, err := s.Give(now, 1, r)
	return err
}

// A giver that forgets that some of the bucket is lent.
func careless(s *Store, now Instant, r *Request) error {
	st, ok := s.State(now, 1, r.Key)
	if !ok {
		return nil
	}
	plan, err := NewPlan(r.Limit, time.Unix(0, 0))
	if err != nil {
		return err
	}
	st.Debt, st.Lent = max(st.Debt-plan.cost(r.Cost), 0), 0
	return s.Replace(now, 1, []State{st})
}

// A giver that gives again when it is asked again.
func generous(s *Store, now Instant, r *Request) error {
	again := *r
	again.ID = ""
	return rightGiver(s, now, &again)
}

// Whatever is given back, and however often it is said, the bucket and what is lent of it never admit more than a bucket that was
// given the same once; and the test finds it where what is lent is forgotten, or given twice.
func TestGiveNeverTooMuch(t *testing.T) {
	run := func(do giver) string {
		for seed := range uint64(60) {
			for _, l := range []string{"1000/s burst 500", "300/s burst 100", "70000/m burst 10000"} {
				p := newPond(t, seed, l)
				var said []Request
				for i := range 600 {
					p.step(false)
					if p.rng.IntN(6) > 0 {
						continue
					}
					r := p.r
					r.Cost, r.ID = 1+p.rng.Int64N(r.Limit.Burst/2), fmt.Sprint(i)
					if len(said) > 0 && p.rng.IntN(3) == 0 {
						r = said[p.rng.IntN(len(said))]
					} else {
						p.ideal.give(p.now, p.plan, p.plan.cost(r.Cost))
						said = append(said, r)
					}
					if err := do(p.s, p.now, &r); err != nil {
						t.Fatal(err)
					}
				}
				if p.wrong != "" {
					return fmt.Sprintf("seed %d, %s: %s", seed, l, p.wrong)
				}
			}
		}
		return ""
	}
	if wrong := run(rightGiver); wrong != "" {
		t.Error(wrong)
	}
	for name, bug := range map[string]giver{"what is lent is forgotten": careless, "it gives twice": generous} {
		if wrong := run(bug); wrong == "" {
			t.Errorf("nothing is found where %s", name)
		}
	}
}
