package bucket

import (
	"errors"
	"maps"
	"math/big"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// refund gives a hold back, and checks that the bucket owes less by what was taken at most. What it owes from then on the
// reference learns from the store.
func (m *machine) refund(t *rapid.T) {
	if len(m.holds) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.holds)-1).Draw(t, "hold")
	mh := m.holds[i]
	m.holds = slices.Delete(m.holds, i, i+1)
	s := m.stores[mh.store]
	s.Refund(m.at(mh.store), mh.holds)
	for i, h := range mh.holds {
		if m.holder[h.part] != mh.store {
			continue
		}
		delete(m.ref.ids, memoKey{h.part, h.id, h.key})
		m.relieve(t, s, mh.store, h, mh.holds)
		m.silent[h.key] = m.silent[h.key] || h.silent
		n := mh.notes[i]
		if n.era == m.eras[n.key] {
			m.admitted[n.key][n.index].cost = 0
		}
	}
}

// relieve gives the reference back what the store gave.
func (m *machine) relieve(t *rapid.T, s *Store, store int, h Hold, holds []Hold) {
	r, b := find(s, h.part, h.key), m.ref.buckets[h.key]
	if r == nil || b == nil {
		return
	}
	plan := s.plans.at(r.plan())
	debt, _ := r.bucket.missing(m.at(store), plan)
	before, units := b.debt(m.now, plan), int64(0)
	for _, other := range holds {
		if other.key == h.key {
			units += other.receipt.units
		}
	}
	if debt > before || debt < before-units {
		t.Fatalf("Refund of %+v: owes %d before (under %v) and %d after (under %v)", h, before, b.limit, debt, plan.limit)
	}
	if debt == before {
		return
	}
	if plan.opens != nil {
		b.win.taken = debt
		return
	}
	b.set(max(m.now, Instant(b.ideal.last)), plan, debt)
}

// move hands a partition from its holder to the other store.
func (m *machine) move(t *rapid.T) {
	part := rapid.IntRange(0, machineParts-1).Draw(t, "part")
	from := m.holder[part]
	to := 1 - from
	m.stores[from].Freeze(part)
	states := m.export(t, part)
	transit := Instant(rapid.Int64Range(0, int64(time.Second)).Draw(t, "transit"))
	m.moveIDs(t, part, to, transit)
	m.moveCold(part, to, transit)
	m.now += transit
	m.stores[from].Drop(part)
	m.holder[part] = to
	defer func() { m.stores[to].TouchAll(part) }() // for whoever keeps the replica now
	if rapid.Bool().Draw(t, "hold first") {
		m.stores[to].Hold(part)
	} else {
		defer m.stores[to].Hold(part)
	}
	m.untell(part)
	for key := range m.ref.buckets {
		if partOf(key) == part && !slices.ContainsFunc(states, func(s State) bool { return s.Key == key }) {
			delete(m.ref.buckets, key)
		}
	}
	m.arrive(t, part, states, true)
}

// export checks that states are what the reference owes. It does not read an older clock: nobody receives a state before
// it is what it is.
func (m *machine) export(t *rapid.T, part int) []State {
	store := m.holder[part]
	for key, b := range m.ref.buckets {
		if partOf(key) == part {
			m.now = max(m.now, Instant(b.ideal.last))
		}
	}
	states := m.stores[store].Export(m.at(store), part)
	want := make(map[string]int64)
	for key, b := range m.ref.buckets {
		if debt := b.debt(m.now, m.ref.plans[b.limit]); partOf(key) == part && debt > 0 {
			want[key] = debt
		}
	}
	got := make(map[string]int64)
	for _, st := range states {
		if st.Debt > 0 {
			got[st.Key] = st.Debt
		}
	}
	if !maps.Equal(got, want) {
		t.Fatalf("Export(%d) = %v, want %v", part, got, want)
	}
	return states
}

// arrive imports states into a partition, whole or on top of what is there.
func (m *machine) arrive(t *rapid.T, part int, states []State, whole bool) {
	store := m.holder[part]
	if err := m.stores[store].Import(m.at(store), part, states); err != nil {
		t.Fatal(err)
	}
	for _, st := range states {
		if st.Debt == 0 { // a full bucket in a cold partition
			m.ref.buckets[st.Key] = m.ref.fresh(st.Limit)
			continue
		}
		plan := m.ref.plans[st.Limit]
		b := m.ref.under(m.now, st.Key, st.Limit)
		if whole {
			b = m.ref.fresh(st.Limit)
		} else if m.limits[st.Key] != st.Limit {
			m.forget(st.Key)
			m.limits[st.Key] = st.Limit
		}
		other := m.ref.fresh(st.Limit)
		m.arrived(other, plan, st)
		if m.ref.later(b, other) {
			if owed := b.debt(m.now, plan); st.Limit.Window != None { // also if the other one is of a window to come
				other.win.taken = max(other.win.taken, owed)
			}
			b = other
		} else if b.ideal.full.Cmp(other.ideal.full) == 0 {
			b.ideal.last = min(b.ideal.last, other.ideal.last)
		}
		m.ref.buckets[st.Key] = b
	}
}

// arrived makes b owe what st says.
func (m *machine) arrived(b *plainBucket, plan *Plan, st State) {
	got := plan.arrived(m.now, &st)
	if plan.opens == nil {
		b.set(m.now, plan, st.Debt)
		return
	}
	if got.debt > 0 {
		b.win.start, b.win.end = plan.opens(time.Unix(0, got.at))
		b.win.taken = got.debt
	}
}

// later says whether b owes more than a.
func (r *reference) later(a, b *plainBucket) bool {
	if a.limit.Window == None {
		zero := new(big.Int)
		return b.ideal.full.Cmp(maxBig(zero, a.ideal.full)) > 0
	}
	return b.win.taken > 0 && (a.win.taken == 0 || b.win.start.After(a.win.start) || b.win.start.Equal(a.win.start) && b.win.taken > a.win.taken)
}

// check judges all that was admitted and the stores themselves.
func (m *machine) check(t *rapid.T) {
	for _, s := range m.stores {
		if err := s.intact(); err != nil {
			t.Fatal(err)
		}
	}
	for key, as := range m.admitted {
		if l := m.limits[key]; l.Window == None {
			if err := overWindow(l, as); err != nil {
				t.Fatalf("key %q: %v", key, err)
			}
		}
	}
}

// dropSwept makes the reference forget the full buckets that their holders forgot.
func (m *machine) dropSwept() {
	for key := range m.ref.buckets {
		if find(m.stores[m.holder[partOf(key)]], partOf(key), key) == nil {
			delete(m.ref.buckets, key)
		}
	}
}

// wrong asks for what is not to be had, and checks that it says so.
func (m *machine) wrong(t *rapid.T) {
	r := m.request(t)
	part, want := partOf(r.Key), error(nil)
	store := m.holder[part]
	switch rapid.IntRange(0, 7).Draw(t, "wrong") {
	case 0:
		r.Key, want = "", ErrKey
	case 1:
		r.Key, want = "\xff", ErrKey
	case 2:
		r.Cost, want = -1, ErrCost
	case 3:
		r.Cost, want = r.Limit.Burst+1, ErrCost
	case 4:
		r.Limit, want = Limit{}, ErrLimit
	case 5:
		r.ID, want = "\xff", ErrID
	case 6:
		part, want = machineParts, ErrMoved
	case 7:
		part, want = -1, ErrMoved
	}
	if _, err := m.stores[store].Take(m.at(store), part, r); !errors.Is(err, want) {
		t.Fatalf("Take(%d, %+v): error %v, want %v", part, r, err, want)
	}
}
