package bucket

import (
	"fmt"
	"hash/maphash"
	"math/big"
	"slices"
)

// An Item is one request of an all-or-nothing check.
type Item struct {
	Partition int
	Request   *Request
	Decision  Decision // is set by TakeAll

	tag  uint32
	plan uint32 // referenced while TakeAll runs
	work int    // index into the group's buckets
}

// A Hold is what TakeAll took for one item, for Store.Refund. It is good for one refund.
type Hold struct {
	part    int
	key, id string
	plan    *Plan
	receipt Receipt
	given   uint64 // partition.given at the time
}

// TakeAll decides on items, 1 or more, together: it takes all their costs or none, and nobody sees it half done. If one
// is denied, the Decisions of the others say what they would have been. It returns the errors of Take, and ErrConflict if
// items ask for one key under two limits. With hold it returns what Refund needs to give everything back.
func (s *Store) TakeAll(now Instant, items []Item, hold bool) ([]Hold, error) {
	g := group{s: s, now: now, items: items, hold: hold}
	defer g.release()
	if err := g.prepare(); err != nil {
		return nil, err
	}
	for {
		done, err := g.try()
		if done || err != nil {
			return g.holds, err
		}
		if !s.evict(now) {
			return nil, fmt.Errorf("%w: no room for a new key, MaxKeys is %d", ErrFull, s.maxKeys)
		}
	}
}

// A group is a call of TakeAll.
type group struct {
	s     *Store
	now   Instant
	items []Item
	parts []int  // in ascending order, each once
	work  []work // one for each key
	hold  bool
	holds []Hold
	held  int // items with a reference to their plan
}

// work is a bucket that the group works on: a copy, until all items are allowed.
type work struct {
	item   int // the first that names the key
	slot   int // -1 if the key has none
	bucket Bucket
}

func (g *group) prepare() error {
	g.parts = make([]int, 0, len(g.items))
	for i := range g.items {
		it := &g.items[i]
		plan, err := g.s.plans.hold(it.Request.Limit)
		if err != nil {
			return err
		}
		it.plan, g.held = plan, i+1
		if err := it.Request.check(); err != nil {
			return err
		}
		it.tag = tagOf(maphash.String(g.s.seed, it.Request.Key))
		g.parts = append(g.parts, it.Partition)
	}
	slices.Sort(g.parts)
	g.parts = slices.Compact(g.parts)
	return nil
}

// release gives back the references that prepare took.
func (g *group) release() {
	for i := range g.items[:g.held] {
		g.s.plans.release(g.items[i].plan, 1)
	}
}

// try decides with all partitions locked. It is not done if there is no room for the keys that it would add.
func (g *group) try() (done bool, err error) {
	for _, part := range g.parts {
		p := &g.s.parts[part]
		p.mu.Lock()
		defer p.mu.Unlock()
	}
	for _, part := range g.parts {
		if g.s.parts[part].frozen {
			return false, ErrMoved
		}
	}
	if err := g.load(); err != nil {
		return false, err
	}
	if !g.decide() {
		return true, nil
	}
	return g.commit(), nil
}

// load copies the buckets that the items name.
func (g *group) load() error {
	g.work = g.work[:0]
	for i := range g.items {
		it := &g.items[i]
		it.work = -1
		for w := range g.work {
			first := &g.items[g.work[w].item]
			if first.tag == it.tag && first.Partition == it.Partition && first.Request.Key == it.Request.Key {
				if first.plan != it.plan {
					return fmt.Errorf("%w: key %q under limits %q and %q", ErrConflict, it.Request.Key, first.Request.Limit, it.Request.Limit)
				}
				it.work = w
			}
		}
		if it.work >= 0 {
			continue
		}
		it.work = len(g.work)
		g.work = append(g.work, g.bucket(i))
	}
	return nil
}

// bucket returns the bucket of item i, owing under the item's limit what it owes under its own.
func (g *group) bucket(i int) work {
	it := &g.items[i]
	p := &g.s.parts[it.Partition]
	w := work{item: i, slot: p.find(it.tag, it.Request.Key)}
	if w.slot < 0 {
		return w
	}
	have := &p.slots[w.slot]
	w.bucket = have.bucket
	if have.plan != it.plan {
		w.bucket.convert(g.now, g.s.plans.at(have.plan), g.s.plans.at(it.plan))
	}
	return w
}

// decide takes from the copies and says whether every item is allowed.
func (g *group) decide() bool {
	receipts := make([]Receipt, len(g.items))
	all := true
	for i := range g.items {
		it := &g.items[i]
		if d, ok := g.s.ids.recall(g.now, it.Request); ok {
			it.Decision = d
			continue
		}
		it.Decision, receipts[i] = g.work[it.work].bucket.take(g.now, g.s.plans.at(it.plan), it.Request.Cost)
		all = all && it.Decision.Allowed
	}
	if all && g.hold {
		g.holds = g.receipts(receipts)
	}
	return all
}

func (g *group) receipts(receipts []Receipt) []Hold {
	holds := make([]Hold, 0, len(g.items))
	for i, r := range receipts {
		it := &g.items[i]
		if r.units == 0 {
			continue
		}
		holds = append(holds, Hold{
			part: it.Partition, key: cloned(it.Request.Key), id: cloned(it.Request.ID),
			plan: g.s.plans.at(it.plan), receipt: r, given: g.s.parts[it.Partition].given,
		})
	}
	return holds
}

// commit writes the copies back, and says whether there was room.
func (g *group) commit() bool {
	added := int64(0)
	for i := range g.work {
		if w := &g.work[i]; w.slot < 0 && w.bucket.debt != 0 {
			added++
		}
	}
	if added > 0 && g.s.keys.Add(added) > g.s.maxKeys {
		g.s.keys.Add(-added)
		return false
	}
	for i := range g.work {
		g.write(&g.work[i])
	}
	for i := range g.items {
		r := g.items[i].Request
		g.s.ids.remember(g.now, r, &g.items[i].Decision)
		if weight := g.s.parts[g.items[i].Partition].sample(); weight != 0 {
			g.s.top.add(r.Key, weight)
		}
	}
	return true
}

// write puts w into the slot of its key, a new one if it has none and is not full.
func (g *group) write(w *work) {
	it := &g.items[w.item]
	p := &g.s.parts[it.Partition]
	var to *slot
	switch {
	case w.slot >= 0:
		// A slot that an earlier write added may have made the table anew.
		to = &p.slots[p.find(it.tag, it.Request.Key)]
		g.s.plans.release(to.plan, 1)
	case w.bucket.debt != 0:
		to = p.add(it.tag, it.Request.Key, it.plan)
	default:
		return
	}
	g.s.plans.at(it.plan).refs.Add(1)
	to.plan, to.bucket = it.plan, w.bucket
}

// Refund gives back what holds say was taken, as far as it is still missing (see Bucket.Refund). What has moved to
// another node, was reset, or is under another limit meanwhile is left as it is.
func (s *Store) Refund(now Instant, holds []Hold) {
	for i := range holds {
		s.refund(now, &holds[i])
	}
}

func (s *Store) refund(now Instant, h *Hold) {
	tag := tagOf(maphash.String(s.seed, h.key))
	p := &s.parts[h.part]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen {
		return
	}
	s.ids.forget(h.id, h.key)
	i := p.find(tag, h.key)
	if i < 0 || s.plans.at(p.slots[i].plan) != h.plan {
		return
	}
	since := h.plan.cost(int64(min(p.given-h.given, MaxCost)))
	if units := p.slots[i].bucket.Refund(now, h.plan, h.receipt, since); units > 0 {
		p.given += uint64((units-1)/h.plan.p + 1)
	}
}

// convert makes b, which is under the plan from, owe as many tokens under the plan to, rounded up. What it owes in a
// window stays owed for the whole of the new one, or until it is paid back.
func (b *Bucket) convert(now Instant, from, to *Plan) {
	var debt int64
	if from.opens != nil {
		_, debt = b.inWindow(from.window(now))
	} else {
		debt, _, _ = b.owed(now, from)
	}
	*b = Bucket{}
	if debt == 0 {
		return
	}
	units := new(big.Int).Mul(big.NewInt(debt), big.NewInt(to.p))
	units.Add(units, big.NewInt(from.p-1)).Div(units, big.NewInt(from.p))
	b.debt = maxDebt
	if units.IsInt64() {
		b.debt = min(units.Int64(), maxDebt)
	}
	if to.opens != nil {
		b.at = to.window(now).name
		return
	}
	_, b.at = to.ticks(now)
}
