package bucket

import (
	"errors"
	"fmt"
	"math/big"
	"time"
)

// reference is a Store as plain as can be: a map of buckets in numbers without bounds. All its limits count in ticks of a
// nanosecond.
type reference struct {
	buckets map[string]*plainBucket
	ids     map[memoKey]plainMemo
	cold    map[int]Instant // since when partitions are
	idAge   time.Duration
	plans   map[Limit]*Plan
}

// plainBucket is one of its buckets: under a window or not.
type plainBucket struct {
	limit Limit
	ideal ideal
	win   windowed
}

type plainMemo struct {
	decision Decision
	at       Instant
}

func newReference(limits []Limit, idAge time.Duration) (*reference, error) {
	r := &reference{
		buckets: make(map[string]*plainBucket), idAge: idAge, plans: make(map[Limit]*Plan),
		ids: make(map[memoKey]plainMemo), cold: make(map[int]Instant),
	}
	for _, l := range limits {
		p, err := NewPlan(l, time.Unix(0, 0))
		if err != nil || p.tick != 1 {
			return nil, fmt.Errorf("%v: %w", l, err)
		}
		r.plans[l] = p
	}
	return r, nil
}

func (r *reference) fresh(l Limit) *plainBucket {
	return &plainBucket{limit: l, ideal: *newIdeal(l), win: windowed{l: l, opens: r.plans[l].opens}}
}

func (b *plainBucket) clone() *plainBucket {
	c := *b
	c.ideal.full = new(big.Int).Set(b.ideal.full)
	return &c
}

func wallAt(now Instant) time.Time { return time.Unix(0, int64(now)) }

// take decides on cost, and charges it if it allows it.
func (b *plainBucket) take(now Instant, cost int64) Decision {
	if b.limit.Window != None {
		return b.win.take(wallAt(now), cost)
	}
	m, l := &b.ideal, b.limit
	at := max(int64(now), m.last)
	line := m.units(l.Burst + l.Queue)
	wait := func(debt *big.Int) time.Duration {
		if d := m.wait(debt); d != 0 && d != Never {
			return d + time.Duration(at-int64(now))
		}
		return m.wait(debt)
	}
	over := new(big.Int).Sub(m.after(at, cost), line)
	if over.Sign() > 0 && cost > 0 {
		return Decision{Remaining: m.remaining(m.owed(at)), RetryAfter: wait(over), ResetAfter: wait(m.owed(at))}
	}
	d := Decision{Allowed: true}
	if cost > 0 {
		turn := at
		if late := m.wait(new(big.Int).Sub(m.after(at, cost), m.units(l.Burst))); late > 0 {
			turn += int64(late)
			d.Delay = time.Duration(turn - int64(now))
		}
		m.full = new(big.Int).Add(maxBig(m.full, m.gain(turn)), m.units(cost))
		m.last = at
	}
	d.Remaining, d.ResetAfter = m.remaining(m.owed(at)), wait(m.owed(at))
	return d
}

// debt returns what b owes in the units of its plan, rounded up.
func (b *plainBucket) debt(now Instant, p *Plan) int64 {
	if b.limit.Window != None {
		if start, _ := b.win.opens(wallAt(now)); b.win.start.Before(start) {
			return 0
		}
		return b.win.taken
	}
	owed := b.ideal.owed(int64(now))
	return ceilDiv(owed.Mul(owed, big.NewInt(p.p)), b.ideal.units(1))
}

func ceilDiv(a, b *big.Int) int64 {
	a = new(big.Int).Add(a, b)
	return a.Sub(a, big.NewInt(1)).Div(a, b).Int64()
}

// set makes b owe a debt in the units of its plan.
func (b *plainBucket) set(now Instant, p *Plan, debt int64) {
	if b.limit.Window != None {
		b.win.start, b.win.end = b.win.opens(wallAt(now))
		b.win.taken = debt
		return
	}
	owed := new(big.Int).Mul(big.NewInt(debt), b.ideal.units(1))
	b.ideal.full = owed.Div(owed, big.NewInt(p.p)).Add(owed, b.ideal.gain(int64(now)))
	b.ideal.last = int64(now)
}

// under returns the bucket of key as it is under l.
func (r *reference) under(now Instant, key string, l Limit) *plainBucket {
	have := r.buckets[key]
	switch {
	case have == nil:
		return r.fresh(l)
	case have.limit == l:
		return have.clone()
	}
	if have.limit.Window == None {
		now = max(now, Instant(have.ideal.last))
	}
	from, to := r.plans[have.limit], r.plans[l]
	b := r.fresh(l)
	if debt := have.debt(now, from); debt > 0 {
		b.set(now, to, ceilDiv(new(big.Int).Mul(big.NewInt(debt), big.NewInt(to.p)), big.NewInt(from.p)))
	}
	return b
}

// begin returns the bucket that q asks.
func (r *reference) begin(now Instant, q *Request) *plainBucket {
	since, cold := r.cold[partOf(q.Key)]
	if r.buckets[q.Key] != nil || !cold || q.ColdStart != Empty {
		return r.under(now, q.Key, q.Limit)
	}
	b := r.fresh(q.Limit)
	if q.Limit.Window == None {
		b.ideal.full, b.ideal.last = new(big.Int).Add(b.ideal.gain(int64(since)), b.ideal.units(q.Limit.Burst)), int64(since)
		if b.debt(now, r.plans[q.Limit]) == 0 {
			return r.fresh(q.Limit)
		}
	} else if start, end := b.win.opens(wallAt(now)); !wallAt(since).Before(start) {
		b.win.start, b.win.end, b.win.taken = start, end, q.Limit.Burst
	}
	return b
}

// charge takes q's cost whether it is there or not.
func (r *reference) charge(now Instant, q *Request) {
	if q.Cost == 0 {
		return
	}
	b := r.begin(now, q)
	if q.Limit.Window != None {
		if start, end := b.win.opens(wallAt(now)); b.win.taken == 0 || b.win.start.Before(start) {
			b.win.start, b.win.end, b.win.taken = start, end, 0
		}
		b.win.taken += q.Cost
	} else {
		at := max(int64(now), b.ideal.last)
		b.ideal.full = new(big.Int).Add(maxBig(b.ideal.full, b.ideal.gain(at)), b.ideal.units(q.Cost))
		b.ideal.last = at
	}
	r.buckets[q.Key] = b
}

// takeAll decides on requests together.
func (r *reference) takeAll(now Instant, requests []*Request) ([]Decision, error) {
	work, asked, begun := make(map[string]*plainBucket), make(map[string]bool), make(map[string]*plainBucket)
	for _, q := range requests {
		if b := work[q.Key]; b != nil && b.limit != q.Limit {
			return nil, ErrConflict
		}
		if work[q.Key] == nil {
			work[q.Key] = r.begin(now, q)
			begun[q.Key] = work[q.Key].clone()
		}
		asked[q.Key] = asked[q.Key] || q.Cost > 0
	}
	decisions, all := make([]Decision, len(requests)), true
	for i, q := range requests {
		if d, ok := r.recall(now, requests[:i], decisions, q); ok {
			decisions[i] = d
		} else {
			decisions[i] = work[q.Key].take(now, q.Cost)
		}
		all = all && decisions[i].Allowed
	}
	for key, b := range work {
		switch {
		case !asked[key]:
		case all:
			r.buckets[key] = b
		case r.buckets[key] != nil || begun[key].debt(now, r.plans[b.limit]) > 0:
			r.buckets[key] = begun[key]
		}
	}
	if all {
		r.remember(now, requests, decisions)
	}
	return decisions, nil
}

func (r *reference) recall(now Instant, before []*Request, decisions []Decision, q *Request) (Decision, bool) {
	if q.ID == "" {
		return Decision{}, false
	}
	for i, b := range before {
		if b.Cost > 0 && b.ID == q.ID && b.Key == q.Key {
			return decisions[i], true
		}
	}
	m, ok := r.ids[memoKey{partOf(q.Key), q.ID, q.Key}]
	return m.decision, ok && now.Sub(m.at) <= r.idAge
}

func (r *reference) remember(now Instant, requests []*Request, decisions []Decision) {
	for i, q := range requests {
		k := memoKey{partOf(q.Key), q.ID, q.Key}
		if m, ok := r.ids[k]; q.ID != "" && q.Cost > 0 && (!ok || now.Sub(m.at) > r.idAge) {
			r.ids[k] = plainMemo{decisions[i], now}
		}
	}
}

// same returns an error if two answers differ.
func same(got []Decision, gotErr error, want []Decision, wantErr error) error {
	if (gotErr == nil) != (wantErr == nil) || wantErr != nil && !errors.Is(gotErr, wantErr) {
		return fmt.Errorf("error %w, want %w", gotErr, wantErr)
	}
	for i := range want {
		if gotErr == nil && got[i] != want[i] {
			return fmt.Errorf("decision %d is %+v, want %+v", i, got[i], want[i])
		}
	}
	return nil
}
