package bucket

import (
	"maps"
	"slices"

	"pgregory.net/rapid"
)

// charge takes what may not be there.
func (m *machine) charge(t *rapid.T) {
	r := m.request(t)
	r.Cost += rapid.Int64Range(0, 10).Draw(t, "more")
	part := partOf(r.Key)
	store := m.holder[part]
	s := m.stores[store]
	now := max(m.at(store), s.seen[part>>s.width])
	if err := s.Charge(m.at(store), part, r); err != nil {
		t.Fatal(err)
	}
	if r.Cost == 0 {
		return
	}
	m.ref.charge(now-m.offsets[store], r)
	if m.limits[r.Key] != r.Limit {
		m.forget(r.Key)
		m.limits[r.Key] = r.Limit
	}
	m.hush([]*Request{r})
}

// hush remembers which keys only requests changed whose changes are not noted.
func (m *machine) hush(requests []*Request) {
	for _, r := range requests {
		if r.Durability == Ephemeral && r.Cost > 0 {
			m.silent[r.Key] = true
		}
	}
}

// changes takes some of what one store noted, or all of it, and judges it by what the reference owes and what was told
// before. What is told is a copy as good as another.
func (m *machine) changes(t *rapid.T) {
	for key, b := range m.ref.buckets {
		m.now = max(m.now, m.read, Instant(b.ideal.last))
		if told := m.told[key]; told != nil {
			m.now = max(m.now, Instant(told.ideal.last))
		}
	}
	m.read = max(m.read, m.now) // what is full now is not told at an older reading of the clock
	store := rapid.IntRange(0, 1).Draw(t, "store")
	most := rapid.SampledFrom([]int{0, 1, 2, 3, 100}).Draw(t, "most")
	all := rapid.Bool().Draw(t, "all") && most > 0
	for {
		changes := m.stores[store].Changes(m.at(store), most, nil)
		if len(changes) > most {
			t.Fatalf("Changes(%d) = %+v", most, changes)
		}
		for i := range changes {
			m.tell(t, store, &changes[i])
		}
		if !all || len(changes) < most {
			break
		}
	}
	if all {
		m.complete(t, store)
	}
}

// tell judges one change.
func (m *machine) tell(t *rapid.T, store int, c *Change) {
	if m.holder[c.Partition] != store || partOf(c.Key) != c.Partition {
		t.Fatalf("%+v of store %d, which does not hold it", c, store)
	}
	debt, lower := m.behind(c.Key)
	if b := m.ref.buckets[c.Key]; c.Debt != debt || debt > 0 && b.limit != c.Limit {
		t.Fatalf("%+v, want a debt of %d", c, debt)
	}
	if c.Debt == 0 && !c.Replaces && len(c.IDs) == 0 || lower && !c.Replaces && !m.silent[c.Key] {
		t.Fatalf("%+v does not replace a debt of %d", c, m.told[c.Key].debt(m.now, m.ref.plans[m.told[c.Key].limit]))
	}
	delete(m.told, c.Key)
	if b := m.ref.buckets[c.Key]; b != nil {
		m.told[c.Key] = b.clone()
	}
	if rapid.IntRange(0, 9).Draw(t, "lost") == 0 {
		m.stores[store].Touch(c.Partition, c.Key, c.Replaces)
	}
	if delete(m.silent, c.Key); c.Debt > 0 {
		m.copies = append(m.copies, machineCopy{c.Partition, []State{c.State}})
	}
}

// behind returns what a key owes, and whether that is less than what was told, or under another limit, as of now.
func (m *machine) behind(key string) (debt int64, lower bool) {
	b, told := m.ref.buckets[key], m.told[key]
	if b != nil {
		debt = b.debt(m.now, m.ref.plans[b.limit])
	}
	if told == nil {
		return debt, false
	}
	before := told.debt(m.now, m.ref.plans[told.limit])
	return debt, before > 0 && (debt == 0 || b.limit != told.limit || before > debt)
}

// complete checks that all was told of what a store holds.
func (m *machine) complete(t *rapid.T, store int) {
	for _, key := range m.keys {
		if m.holder[partOf(key)] != store || m.silent[key] {
			continue
		}
		debt, lower := m.behind(key)
		b, told := m.ref.buckets[key], m.told[key]
		if lower || debt > 0 && (told == nil || told.limit != b.limit || told.debt(m.now, m.ref.plans[b.limit]) != debt) {
			t.Fatalf("key %q owes %d, and nobody was told", key, debt)
		}
	}
}

// untell forgets what was told of a partition: whoever knew it is not who is to know it.
func (m *machine) untell(part int) {
	maps.DeleteFunc(m.told, func(key string, _ *plainBucket) bool { return partOf(key) == part })
	maps.DeleteFunc(m.silent, func(key string, _ bool) bool { return partOf(key) == part })
}

// lose makes a holder forget a partition, as one does that begins without a replica.
func (m *machine) lose(t *rapid.T) {
	part := rapid.IntRange(0, machineParts-1).Draw(t, "part")
	s := m.stores[m.holder[part]]
	s.Drop(part)
	delete(m.ref.cold, part)
	if rapid.Bool().Draw(t, "cold") {
		s.SetCold(part, m.at(m.holder[part]), true)
		m.ref.cold[part] = m.now
	}
	maps.DeleteFunc(m.ref.ids, func(k memoKey, _ plainMemo) bool { return k.part == part })
	m.untell(part)
	for _, key := range m.keys {
		if partOf(key) == part {
			delete(m.ref.buckets, key)
			m.forget(key)
		}
	}
}

// waver freezes a partition and holds it again.
func (m *machine) waver(t *rapid.T) {
	part := rapid.IntRange(0, machineParts-1).Draw(t, "part")
	s := m.stores[m.holder[part]]
	s.Freeze(part)
	if changes := s.Changes(m.at(m.holder[part]), 100, nil); slices.ContainsFunc(changes, func(c Change) bool { return c.Partition == part }) {
		t.Fatalf("%+v of partition %d, which is frozen", changes, part)
	} else {
		for i := range changes {
			s.Touch(changes[i].Partition, changes[i].Key, changes[i].Replaces)
		}
	}
	s.Hold(part)
	s.TouchAll(part)
	m.untell(part)
}

// moveIDs brings the ids of a partition to its next holder.
func (m *machine) moveIDs(t *rapid.T, part, to int, transit Instant) {
	from := m.holder[part]
	ids := m.stores[from].ExportIDs(m.at(from), part)
	if err := m.stores[to].ImportIDs(m.at(to)+transit, part, ids); err != nil {
		t.Fatal(err)
	}
	for k, memo := range m.ref.ids {
		age := max(0, m.now.Sub(memo.at))
		switch {
		case k.part != part:
		case age > m.ref.idAge:
			delete(m.ref.ids, k)
		default:
			m.ref.ids[k] = plainMemo{memo.decision, m.now + transit - Instant(age)}
		}
	}
}

// moveCold tells a partition's next holder whether it is cold.
func (m *machine) moveCold(part, to int, transit Instant) {
	from := m.holder[part]
	since, cold := m.stores[from].Cold(part)
	if !cold {
		return
	}
	age := m.at(from) - since
	m.stores[to].SetCold(part, m.at(to)+transit-age, true)
	m.ref.cold[part] = m.now + transit - age
}
