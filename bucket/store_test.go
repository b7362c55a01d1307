package bucket

import (
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// machineLimits are the limits that a machine's requests have.
func machineLimits() []Limit {
	return []Limit{
		{Tokens: 10, Per: time.Second, Burst: 20},
		{Tokens: 7, Per: 3 * time.Second, Burst: 5, Queue: 6},
		{Tokens: 1, Per: time.Hour, Burst: 3},
		{Burst: 15},
		{Burst: 8, Window: Fixed, Per: time.Minute},
		{Burst: 30, Window: Hour, Zone: "Europe/Berlin"},
	}
}

const machineParts = 3

// machineKeys returns keys of which some have one tag: they meet in whichever table they are.
func machineKeys(seed maphash.Seed) []string {
	keys := []string{"a", "b", "c", "a longer key", "ü", "\x00"}
	first := make(map[uint32]int)
	for i := 0; len(keys) < 10; i++ {
		tag := tagOf(0, 0, maphash.String(seed, fmt.Sprint("key ", i)))
		if j, ok := first[tag]; ok {
			keys = append(keys, fmt.Sprint("key ", j), fmt.Sprint("key ", i))
		}
		first[tag] = i
	}
	return keys
}

// A machine drives two stores, of which one at a time holds each partition, and a reference that knows nothing of that.
type machine struct {
	keys    []string
	stores  [2]*Store
	holder  [machineParts]int
	offsets [2]Instant               // of a store's clock
	ids     [2]map[memoKey]plainMemo // that a store remembers: they do not move
	ref     *reference
	now     Instant

	holds    []machineHold
	copies   []machineCopy
	admitted map[string][]admission // since the last time the key was reset or had another limit
	limits   map[string]Limit
	eras     map[string]int // counts these times
}

type machineHold struct {
	store int
	holds []Hold
	notes []noted
}

// noted tells which admission a hold is of.
type noted struct {
	key   string
	index int
	era   int // of the key
}

type machineCopy struct {
	part   int
	states []State
}

func newMachine(t rapid.TB, seed maphash.Seed, keys []string) *machine {
	ref, err := newReference(machineLimits(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{
		keys: keys, ref: ref, offsets: [2]Instant{0, Instant(5 * time.Hour)},
		admitted: make(map[string][]admission), limits: make(map[string]Limit), eras: make(map[string]int),
	}
	for i := range m.stores {
		s, err := NewStore(StoreConfig{Partitions: machineParts, IDAge: time.Minute, Epoch: time.Unix(0, -int64(m.offsets[i]))})
		if err != nil {
			t.Fatal(err)
		}
		s.seed, s.width, s.shards = seed, 1, s.shards[:2] // two partitions share a shard
		m.stores[i], m.ids[i] = s, make(map[memoKey]plainMemo)
	}
	for part := range machineParts {
		m.stores[1].Freeze(part)
	}
	return m
}

func partOf(key string) int { return len(key) % machineParts }

// at returns the machine's time on a store's clock, not before what the store knows of these partitions.
func (m *machine) at(store int) Instant { return m.now + m.offsets[store] }

func (m *machine) request(t *rapid.T) *Request {
	r := &Request{
		Key:   rapid.SampledFrom(m.keys).Draw(t, "key"),
		Limit: rapid.SampledFrom(machineLimits()).Draw(t, "limit"),
	}
	if have, ok := m.limits[r.Key]; ok && rapid.IntRange(0, 3).Draw(t, "same") > 0 {
		r.Limit = have
	}
	r.Cost = rapid.Int64Range(0, r.Limit.Burst).Draw(t, "cost")
	r.ID = rapid.SampledFrom([]string{"", "", "", "id 1", "id 2"}).Draw(t, "id")
	return r
}

// take asks the holder and the reference the same.
func (m *machine) take(t *rapid.T, requests []*Request, hold bool) {
	store := m.holder[partOf(requests[0].Key)]
	s, now := m.stores[store], m.at(store)
	items, moved := make([]Item, len(requests)), false
	known := len(requests) == 1 && !hold && requests[0].ID == "" && m.known(requests[0])
	for i, r := range requests {
		items[i] = Item{Partition: partOf(r.Key), Request: r}
		moved = moved || m.holder[items[i].Partition] != store
		if !known {
			now = max(now, s.seen[items[i].Partition>>s.width])
		}
	}
	var holds []Hold
	var err error
	if len(requests) == 1 && !hold {
		items[0].Decision, err = s.Take(m.at(store), items[0].Partition, requests[0])
	} else {
		holds, err = s.TakeAll(m.at(store), items, hold)
	}
	got := make([]Decision, len(items))
	for i := range items {
		got[i] = items[i].Decision
	}
	if moved {
		if !errors.Is(err, ErrMoved) {
			t.Fatalf("%+v: error %v, want ErrMoved", requests, err)
		}
		return
	}
	m.ref.ids = m.ids[store]
	before := maps.Clone(m.ref.ids)
	want, wantErr := m.ref.takeAll(now-m.offsets[store], requests)
	if err := same(got, err, want, wantErr); err != nil {
		t.Fatalf("%+v at %d: %v", requests, m.now, err)
	}
	if err == nil {
		m.note(now-m.offsets[store], before, store, requests, want, holds)
	}
}

// find returns the record of a key.
func find(s *Store, part int, key string) *record { return s.shard(part).find(s.tag(part, key), key) }

// known says whether the holder answers r by the short way.
func (m *machine) known(r *Request) bool {
	s := m.stores[m.holder[partOf(r.Key)]]
	rec := find(s, partOf(r.Key), r.Key)
	return rec != nil && s.plans.at(rec.plan).limit == r.Limit
}

// note remembers what was admitted.
func (m *machine) note(now Instant, ids map[memoKey]plainMemo, store int, requests []*Request, want []Decision, holds []Hold) {
	for _, r := range requests {
		if m.limits[r.Key] != r.Limit && m.ref.buckets[r.Key] != nil && m.ref.buckets[r.Key].limit == r.Limit {
			m.forget(r.Key)
			m.limits[r.Key] = r.Limit
		}
	}
	if slices.ContainsFunc(want, func(d Decision) bool { return !d.Allowed }) {
		return
	}
	mh := machineHold{store: store, holds: holds}
	charged := make(map[memoKey]bool)
	for i, r := range requests {
		k := memoKey{r.ID, r.Key}
		if old, ok := ids[k]; r.Cost == 0 || r.ID != "" && (charged[k] || ok && now.Sub(old.at) <= m.ref.idAge) {
			continue
		}
		charged[k] = true
		last := max(int64(now), m.ref.buckets[r.Key].ideal.last)
		m.admitted[r.Key] = append(m.admitted[r.Key], admission{max(last, int64(now)+int64(want[i].Delay)), r.Cost})
		mh.notes = append(mh.notes, noted{r.Key, len(m.admitted[r.Key]) - 1, m.eras[r.Key]})
	}
	if len(holds) > 0 {
		m.holds = append(m.holds, mh)
	}
}

func (m *machine) forget(key string) {
	delete(m.admitted, key)
	m.eras[key]++
}

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
		delete(m.ids[mh.store], memoKey{h.id, h.key})
		m.relieve(t, s, mh.store, h, mh.holds)
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
	plan := s.plans.at(r.plan)
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
	m.now += Instant(rapid.Int64Range(0, int64(time.Second)).Draw(t, "transit"))
	m.stores[from].Drop(part)
	m.holder[part] = to
	m.stores[to].Hold(part)
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
		got[st.Key] = st.Debt
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

// A Store answers as a map of exact buckets does, whatever is taken together, given back, reset, swept, moved and merged;
// nobody who keeps what was admitted has more than the limit.
func TestStoreIsTheReference(t *testing.T) {
	seed := maphash.MakeSeed()
	keys := machineKeys(seed)
	checkMany(t, 5, func(t *rapid.T) {
		m := newMachine(t, seed, keys)
		t.Repeat(map[string]func(*rapid.T){
			"": m.check,
			"wait": func(t *rapid.T) {
				m.now += Instant(rapid.OneOf(rapid.Int64Range(0, 10), rapid.Int64Range(0, int64(5*time.Second)), rapid.Int64Range(0, int64(2*time.Hour))).Draw(t, "ns"))
			},
			"read an older clock": func(t *rapid.T) {
				m.now -= min(m.now, Instant(rapid.Int64Range(0, 1e6).Draw(t, "ns")))
			},
			"take":  func(t *rapid.T) { m.take(t, []*Request{m.request(t)}, false) },
			"take ": func(t *rapid.T) { m.take(t, []*Request{m.request(t)}, false) },
			"hold":  func(t *rapid.T) { m.take(t, []*Request{m.request(t)}, true) },
			"take all": func(t *rapid.T) {
				var requests []*Request
				for range rapid.IntRange(1, 6).Draw(t, "requests") {
					requests = append(requests, m.request(t))
				}
				m.take(t, requests, rapid.Bool().Draw(t, "hold"))
			},
			"refund":  m.refund,
			"refund ": m.refund,
			"reset": func(t *rapid.T) {
				key := rapid.SampledFrom(m.keys).Draw(t, "key")
				if err := m.stores[m.holder[partOf(key)]].Reset(partOf(key), key); err != nil {
					t.Fatal(err)
				}
				delete(m.ref.buckets, key)
				m.forget(key)
			},
			"sweep": func(t *rapid.T) {
				for i, s := range m.stores {
					s.Sweep(m.at(i), rapid.IntRange(1, machineParts).Draw(t, "partitions"))
				}
				m.dropSwept()
			},
			"move": m.move,
			"copy": func(t *rapid.T) {
				part := rapid.IntRange(0, machineParts-1).Draw(t, "part")
				m.copies = append(m.copies, machineCopy{part, m.export(t, part)})
			},
			"merge": func(t *rapid.T) {
				if len(m.copies) > 0 {
					c := rapid.SampledFrom(m.copies).Draw(t, "copy")
					m.arrive(t, c.part, c.states, false)
				}
			},
			"wrong": m.wrong,
		})
	})
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
