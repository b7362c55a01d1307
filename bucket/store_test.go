package bucket

import (
	"hash/maphash"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

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
				if b := m.ref.buckets[key]; b != nil {
					m.ref.buckets[key] = m.ref.fresh(b.limit)
				}
				m.forget(key)
			},
			"sweep": func(t *rapid.T) {
				for i, s := range m.stores {
					s.Sweep(m.at(i), rapid.IntRange(1, machineParts).Draw(t, "partitions"))
				}
				m.read = max(m.read, m.now)
				m.dropSwept()
			},
			"charge":       m.charge,
			"changes":      m.changes,
			"lose":         m.lose,
			"freeze, hold": m.waver,
			"move":         m.move,
			"copy": func(t *rapid.T) {
				part := rapid.IntRange(0, machineParts-1).Draw(t, "part")
				states := slices.DeleteFunc(m.export(t, part), func(s State) bool { return s.Debt == 0 })
				m.copies = append(m.copies, machineCopy{part, states})
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
