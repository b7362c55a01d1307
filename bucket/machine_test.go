package bucket

import (
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
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
	offsets [2]Instant // of a store's clock
	ref     *reference
	now     Instant
	read    Instant // what is full then is forgotten

	holds    []machineHold
	copies   []machineCopy
	told     map[string]*plainBucket // what Changes last said of a key, since its holder took it
	silent   map[string]bool         // changed since without a word, for a request said to
	admitted map[string][]admission  // since the last time the key was reset or had another limit
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
		told: make(map[string]*plainBucket), silent: make(map[string]bool),
	}
	for i := range m.stores {
		s, err := NewStore(StoreConfig{Partitions: machineParts, IDAge: time.Minute, Epoch: time.Unix(0, -int64(m.offsets[i]))})
		if err != nil {
			t.Fatal(err)
		}
		s.seed, s.width, s.shards = seed, 1, s.shards[:2] // two partitions share a shard
		s.changed = s.changed[:2]
		s.Track(true)
		m.stores[i] = s
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
	r.ColdStart = rapid.SampledFrom([]ColdStart{Full, Empty}).Draw(t, "cold start")
	r.Durability = rapid.SampledFrom([]Durability{Async, Async, Async, Async, Sync, Ephemeral}).Draw(t, "durability")
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
	before := maps.Clone(m.ref.ids)
	want, wantErr := m.ref.takeAll(now-m.offsets[store], requests)
	if err := same(got, err, want, wantErr); err != nil {
		t.Fatalf("%+v at %d: %v", requests, m.now, err)
	}
	if err == nil {
		m.note(now-m.offsets[store], before, store, requests, want, holds)
		m.hush(requests)
	}
}

// find returns the record of a key.
func find(s *Store, part int, key string) *record { return s.shard(part).find(s.tag(part, key), key) }

// known says whether the holder answers r by the short way.
func (m *machine) known(r *Request) bool {
	s := m.stores[m.holder[partOf(r.Key)]]
	rec := find(s, partOf(r.Key), r.Key)
	return rec != nil && s.plans.at(rec.plan()).limit == r.Limit
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
		k := memoKey{partOf(r.Key), r.ID, r.Key}
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
