package bucket

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A borrower is a node that spends what it was lent, as package cluster's do.
type borrower struct {
	name   string
	left   int64
	until  Instant
	serial uint64
	old    []Lending // sent before: they may come once more
}

// A pond is a store with one key that is lent of, and an ideal bucket for all that is admitted for it.
type pond struct {
	t         *testing.T
	rng       *rand.Rand
	s         *Store
	now       Instant
	r         Request
	plan      *Plan
	ideal     Bucket
	borrowers []*borrower
	spent     int
	wrong     string
}

func newPond(t *testing.T, seed uint64, limit string) *pond {
	t.Helper()
	p := &pond{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: Instant(time.Second)}
	p.s = newLentStore(t)
	p.r = Request{Key: "hot", Limit: mustParse(t, limit)}
	var err error
	if p.plan, err = NewPlan(p.r.Limit, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		p.borrowers = append(p.borrowers, &borrower{name: fmt.Sprint("node ", i)})
	}
	return p
}

func newLentStore(t *testing.T) *Store {
	t.Helper()
	s, err := NewStore(StoreConfig{Partitions: 4, MaxKeys: 20})
	if err != nil {
		t.Fatal(err)
	}
	s.Track(true)
	return s
}

func mustParse(t testing.TB, s string) Limit {
	t.Helper()
	l, err := ParseLimit(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// admit notes that cost was admitted.
func (p *pond) admit(who string, cost int64) {
	if d := p.ideal.Take(p.now, p.plan, cost); !d.Allowed && p.wrong == "" {
		p.wrong = fmt.Sprintf("%s admitted %d at %v of which an ideal bucket has %d", who, cost, time.Duration(p.now), d.Remaining)
	}
}

// take takes of the bucket itself.
func (p *pond) take() {
	r := p.r
	r.Cost = 1 + p.rng.Int64N(r.Limit.Burst/8)
	d, err := p.s.Take(p.now, 1, &r)
	if err != nil {
		p.t.Fatal(err)
	}
	if d.Allowed {
		p.admit("the holder", r.Cost)
	}
}

const lendFor = 500 * time.Millisecond

// borrow settles what b has and asks for more, or ends it. Its answer may get lost, and what it sent before may come again.
func (p *pond) borrow(b *borrower, want int64) {
	if p.now >= b.until {
		b.left = 0
	}
	b.serial++
	ln := Lending{To: b.name, Serial: b.serial, Rest: b.left, For: lendFor}
	if want == 0 {
		ln.Rest, ln.Back, b.left = 0, b.left, 0
	}
	b.old = append(b.old, ln)
	if p.rng.IntN(8) == 0 { // it does not arrive
		return
	}
	rest := ln.Rest
	r := p.r
	r.Cost = want
	if _, err := p.s.Lend(p.now, 1, &r, &ln); err != nil {
		p.t.Fatal(err)
	}
	if p.rng.IntN(6) > 0 {
		p.s.Lent(1, r.Key, &ln)
	}
	if p.rng.IntN(8) > 0 && want > 0 {
		b.left += ln.Held - rest
		b.until = max(b.until, p.now+Instant(lendFor))
	}
	if again := b.old[p.rng.IntN(len(b.old))]; p.rng.IntN(4) == 0 {
		r.Cost = p.rng.Int64N(2) * want
		if _, err := p.s.Lend(p.now, 1, &r, &again); err != nil {
			p.t.Fatal(err)
		}
	}
}

// spend spends of what b was lent.
func (p *pond) spend(b *borrower) {
	if p.now >= b.until || b.left == 0 {
		return
	}
	cost := 1 + p.rng.Int64N(b.left)
	b.left -= cost
	p.spent++
	p.admit(b.name, cost)
}

// move makes another store hold the bucket.
func (p *pond) move(forget bool) {
	states := p.s.Export(p.now, 1)
	for i := range states {
		if forget {
			states[i].Lent = 0
		}
	}
	ids := p.s.ExportIDs(p.now, 1)
	p.s = newLentStore(p.t)
	if err := errors.Join(p.s.Import(p.now, 1, states), p.s.ImportIDs(p.now, 1, ids)); err != nil {
		p.t.Fatal(err)
	}
	p.now += Instant(p.rng.Int64N(int64(lendFor)))
	for range 12 { // all that is there, here and lent
		p.take()
		for _, b := range p.borrowers {
			p.spend(b)
		}
	}
}

// step does something, and lets some time pass.
func (p *pond) step(forget bool) {
	b := p.borrowers[p.rng.IntN(len(p.borrowers))]
	switch p.rng.IntN(16) {
	case 0, 1:
		p.take()
	case 2, 3, 4, 5, 6:
		p.borrow(b, 1+p.rng.Int64N(p.r.Limit.Burst/2))
	case 7:
		p.borrow(b, 0)
	case 8:
		p.s.Sweep(p.now, 4)
		p.s.Changes(p.now, 100, nil)
	case 9: // there are more keys than have room
		for i := range 12 {
			r := Request{Key: fmt.Sprint("other ", p.rng.IntN(1000), i), Limit: p.r.Limit, Cost: 1}
			if _, err := p.s.Take(p.now, 1, &r); err != nil {
				p.t.Fatal(err)
			}
		}
	case 10:
		if p.rng.IntN(4) == 0 {
			p.move(forget)
		}
	default:
		p.spend(b)
	}
	p.now += Instant(p.rng.Int64N(int64(40 * time.Millisecond)))
	if p.rng.IntN(30) == 0 {
		p.now += Instant(time.Second)
	}
}

// The bucket and all that is lent of it never admit more than the bucket alone would have, whatever gets lost, comes twice or
// late, moves, is swept, or is pushed out by other keys; and the test finds it where a move forgets what is lent.
func TestLendNeverTooMuch(t *testing.T) {
	run := func(forget bool) (wrong string, spent int) {
		for seed := range uint64(60) {
			for _, l := range []string{"1000/s burst 500", "300/s burst 100", "70000/m burst 10000"} {
				p := newPond(t, seed, l)
				for range 600 {
					p.step(forget)
				}
				if spent += p.spent; p.wrong != "" {
					return fmt.Sprintf("seed %d, %s: %s", seed, l, p.wrong), spent
				}
			}
		}
		return "", spent
	}
	wrong, spent := run(false)
	if wrong != "" {
		t.Error(wrong)
	}
	if spent < 5_000 {
		t.Errorf("only %d spent of leases", spent)
	}
	if wrong, _ := run(true); wrong == "" {
		t.Error("nothing is found where a move forgets what is lent")
	}
}

// lend asks for want tokens as to, and tells that the replica knows.
func lend(t *testing.T, s *Store, now Instant, r Request, to string, serial uint64, rest, back, want int64) (Lending, Decision) {
	t.Helper()
	ln := Lending{To: to, Serial: serial, Rest: rest, Back: back, For: lendFor}
	r.Cost = want
	d, err := s.Lend(now, 1, &r, &ln)
	if err != nil {
		t.Fatal(err)
	}
	s.Lent(1, r.Key, &ln)
	return ln, d
}

// What a lease goes through: what is set aside is lent the next time, so much that half as much again waits; what is given back is
// there again; what is not reported is spent; what is not asked for in time is spent.
func TestLend(t *testing.T) {
	const now = Instant(time.Second)
	r := Request{Key: "k", Limit: mustParse(t, "1/h burst 1000")}
	steps := []struct {
		to               string
		serial           uint64
		rest, back, want int64
		held, next, left int64 // afterwards, and the level
	}{
		{"a", 1, 0, 0, 200, 0, 300, 700},
		{"a", 2, 0, 0, 200, 300, 0, 700},
		{"a", 2, 0, 0, 200, -1, 0, 0},        // the same once more
		{"a", 3, 100, 0, 200, 100, 200, 500}, // 200 are spent
		{"b", 1, 0, 0, 400, 0, 266, 234},     // a third of what is not spent
		{"a", 4, 0, 0, 0, 0, 0, 434},         // 100 are spent, 200 were set aside
		{"b", 2, 0, 0, 400, 266, 84, 350},    // half of 700 is its share now
		{"b", 3, 0, 266, 0, 0, 0, 700},
		{"b", 2, 0, 266, 400, 0, 350, 350}, // late, and nobody will spend that
	}
	s := newLentStore(t)
	for i, st := range steps {
		ln, d := lend(t, s, now, r, st.to, st.serial, st.rest, st.back, st.want)
		got := [3]int64{ln.Held, ln.Next, d.Remaining}
		if want := [3]int64{st.held, st.next, st.left}; got != want {
			t.Errorf("step %d: held, next, level %v, want %v", i, got, want)
		}
	}
}

// Nothing is lent of other kinds of limits, and a bucket that comes under one has nothing lent.
func TestLendable(t *testing.T) {
	for l, want := range map[string]bool{
		"100/s burst 100": true, "1/h burst 1000": true, "100/s burst 99": false, "100/s burst 100 queue 1": false,
		"quota 1000": false, "window 1000 per 1m": false, "quota 1000 per day": false,
	} {
		s, limit := newLentStore(t), mustParse(t, l)
		if got := limit.Lendable(); got != want {
			t.Errorf("%s: Lendable %v, want %v", l, got, want)
		}
		ln, _ := lend(t, s, 0, Request{Key: "k", Limit: limit}, "a", 1, 0, 0, 50)
		if got := ln.Next > 0; got != want {
			t.Errorf("%s: %+v", l, ln)
		}
	}
	s := newLentStore(t)
	r := Request{Key: "k", Limit: mustParse(t, "1/h burst 1000"), Cost: 1}
	lend(t, s, 0, r, "a", 1, 0, 0, 200)
	r.Limit = mustParse(t, "quota 1000")
	d, err := s.Take(0, 1, &r)
	if err != nil || d.Remaining != 699 {
		t.Errorf("under a quota: %+v, %v, want 699 left of 1000: 300 are spent", d, err)
	}
	if _, err := s.Take(Instant(time.Second), 1, &r); err != nil || s.lentKeys.Load() != 0 {
		t.Errorf("%d quotas have leases after a second, %v", s.lentKeys.Load(), err)
	}
}

// What is lent is never there, whatever makes the bucket fuller.
func TestLentIsNotThere(t *testing.T) {
	const now = Instant(time.Second)
	r := Request{Key: "k", Limit: mustParse(t, "1000/s burst 1000"), Cost: 0}
	level := func(s *Store, now Instant) int64 {
		d, err := s.Take(now, 1, &r)
		if err != nil {
			t.Fatal(err)
		}
		return d.Remaining
	}
	for name, do := range map[string]func(s *Store) (at Instant){
		"time passes": func(*Store) Instant { return now + Instant(400*time.Millisecond) },
		"reset": func(s *Store) Instant {
			if err := s.Reset(1, "k"); err != nil {
				t.Fatal(err)
			}
			return now
		},
		"refund": func(s *Store) Instant {
			c := r
			c.Cost = 600
			holds, err := s.TakeAll(now, []Item{{Partition: 1, Request: &c}}, true)
			if err != nil || len(holds) != 1 {
				t.Fatal(holds, err)
			}
			s.Refund(now+Instant(300*time.Millisecond), holds)
			return now + Instant(300*time.Millisecond)
		},
		"swept": func(s *Store) Instant {
			s.Sweep(now+Instant(400*time.Millisecond), 4)
			return now + Instant(400*time.Millisecond)
		},
		"a merge": func(s *Store) Instant {
			if err := s.Import(now, 1, []State{{Key: "k", Limit: r.Limit, Debt: 1}}); err != nil {
				t.Fatal(err)
			}
			return now + Instant(400*time.Millisecond)
		},
	} {
		s := newLentStore(t)
		lend(t, s, now, r, "a", 1, 0, 0, 200)
		at := do(s)
		if got := level(s, at); got != 700 {
			t.Errorf("%s: %d tokens are there, want 700: 300 are lent", name, got)
		}
		if got := level(s, now+Instant(lendFor+lendFor/8)+Instant(10*time.Millisecond)); got != 710 {
			t.Errorf("%s: %d tokens are there 10 ms after the lease is over, want 710", name, got)
		}
	}
}

// A replica knows what is lent, for how long, and when less is.
func TestLentReplica(t *testing.T) {
	const now = Instant(time.Second)
	s, replica := newLentStore(t), newLentStore(t)
	r := Request{Key: "k", Limit: mustParse(t, "1000/s burst 1000")}
	tell := func() (lent []int64) {
		for _, c := range s.Changes(now, 10, nil) {
			lent = append(lent, c.Lent)
			if c.LentFor <= 0 || c.LentFor > lendFor+lendFor/8+lendLonger {
				t.Errorf("lent for %v", c.LentFor)
			}
			do := replica.Import
			if c.Replaces {
				do = replica.Replace
			}
			if err := do(now, 1, []State{c.State}); err != nil {
				t.Fatal(err)
			}
		}
		if st, ok := replica.State(now, 1, "k"); !ok || len(lent) != 1 || st.Lent != lent[0] {
			t.Errorf("the replica has %+v, was told of %v", st, lent)
		}
		return lent
	}
	lend(t, s, now, r, "a", 1, 0, 0, 200)
	got := [][]int64{tell()}
	lend(t, s, now, r, "a", 2, 0, 0, 200)
	got = append(got, tell())
	lend(t, s, now, r, "a", 3, 10, 190, 20)
	got = append(got, tell())
	if diff := cmp.Diff(got, [][]int64{{300}, {300}, {30}}); diff != "" {
		t.Errorf("lent, as replicas are told (-got +want):\n%s", diff)
	}
}

// A lease of a bucket that is under another limit meanwhile is settled, and the bucket stays as it is.
func TestLendOtherLimit(t *testing.T) {
	for _, l := range []string{"quota 1000", "1/h burst 600", "100/30d burst 1000", "window 1000 per 1h", "1/h burst 1000 queue 5"} {
		s := newLentStore(t)
		old := Request{Key: "k", Limit: mustParse(t, "1000/s burst 1000")}
		lend(t, s, 0, old, "a", 1, 0, 0, 200)
		lend(t, s, 0, old, "a", 2, 0, 0, 200)
		r := Request{Key: "k", Limit: mustParse(t, l), Cost: 100}
		before, err := s.Take(0, 1, &r)
		if err != nil || !before.Allowed {
			t.Fatal(l, before, err)
		}
		ln, _ := lend(t, s, 0, old, "a", 3, 200, 0, 400)
		if ln.Held != 0 || ln.Next != 0 {
			t.Errorf("%s: %+v, want nothing lent under the old limit", l, ln)
		}
		r.Cost = 0
		if d, err := s.Take(0, 1, &r); err != nil || d.Remaining != before.Remaining {
			t.Errorf("%s: %+v, %v, want %d left as before", l, d, err, before.Remaining)
		}
	}
}

// Tokens that are lent stay lent under a limit of which they are more than it counts.
func TestLentOverflow(t *testing.T) {
	s := newLentStore(t)
	lend(t, s, 0, Request{Key: "k", Limit: mustParse(t, "1000000/s burst 1000000000")}, "a", 1, 0, 0, 400_000_000)
	r := Request{Key: "k", Limit: mustParse(t, "100/30d burst 100"), Cost: 1}
	for _, at := range []Instant{0, Instant(time.Second / 2), Instant(2 * time.Second)} {
		if d, err := s.Take(at, 1, &r); err != nil || d.Allowed {
			t.Errorf("at %v: %+v, %v, want a denial", at, d, err)
		}
	}
}

// One key in two partitions, as only a node that hashes wrongly would ask for, is two buckets.
func TestLendTwoPartitions(t *testing.T) {
	s, err := NewStore(StoreConfig{}) // 16 partitions share a shard
	if err != nil {
		t.Fatal(err)
	}
	r := Request{Key: "k", Limit: mustParse(t, "1/h burst 1000"), Cost: 200}
	for part := range 3 {
		ln := Lending{To: "a", Serial: 1, For: lendFor}
		if _, err := s.Lend(0, part, &r, &ln); err != nil || ln.Next != 300 {
			t.Errorf("%+v, %v", ln, err)
		}
	}
	for part := range 3 {
		if d, err := s.Take(Instant(time.Second), part, &r); err != nil || d.Remaining != 500 {
			t.Errorf("partition %d: %+v, %v, want 500 left: 300 are spent, 200 taken", part, d, err)
		}
		s.Drop(part)
	}
	if n := s.lentKeys.Load(); n != 0 {
		t.Errorf("%d keys have leases after all were dropped", n)
	}
}

// What refill did not bring because it is lent is not given back by a refund either.
func TestRefundBesideLease(t *testing.T) {
	s := newLentStore(t)
	r := Request{Key: "k", Limit: mustParse(t, "1000/s burst 1000"), Cost: 100}
	lend(t, s, 0, r, "a", 1, 0, 0, 334)
	lend(t, s, 0, r, "a", 2, 0, 0, 334) // 500 are lent, its fair share
	holds, err := s.TakeAll(0, []Item{{Partition: 1, Request: &r}}, true)
	if err != nil || len(holds) != 1 {
		t.Fatal(holds, err)
	}
	at := Instant(100 * time.Millisecond) // as many are refilled
	lend(t, s, at, r, "a", 3, 0, 0, 0)    // and all that was lent is spent
	s.Refund(at, holds)
	r.Cost = 0
	if d, err := s.Take(at, 1, &r); err != nil || d.Remaining != 500 {
		t.Errorf("%+v, %v, want 500 left: 500 of 1,000 are spent", d, err)
	}
}
