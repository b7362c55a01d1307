package bucket

import "fmt"

// work is a bucket that a group works on: a copy, until all items are allowed.
type work struct {
	item   int     // the first that names the key
	record *record // nil if the key has none; good until another key gets one
	before Bucket  // under the item's limit
	bucket Bucket
	asked  bool // some item asks for tokens
	loud   bool // some that does wants a replica of it
	shared bool // its bucket is that of a crowd
	slots  bool // what bucket owes is reserved: it is in no record
}

// try decides with all shards locked. It is not done if there is no room for the keys that it would add.
func (g *group) try() (done bool, err error) {
	g.lock()
	defer g.unlock()
	for i := range g.items {
		if part := g.items[i].Partition; g.s.shard(part).isFrozen(g.s.number(part)) {
			return false, ErrMoved
		}
	}
	if err := g.load(); err != nil {
		return false, err
	}
	if !g.decide() {
		g.convert()
		return true, nil
	}
	return g.commit()
}

func (g *group) lock() {
	for _, i := range g.shards {
		g.s.shards[i].mu.Lock()
		g.now = max(g.now, g.s.seen[i])
	}
}

func (g *group) unlock() {
	if g.sharing {
		g.sharing = false
		g.s.crowds.mu.Unlock()
	}
	for _, i := range g.shards {
		g.s.shards[i].mu.Unlock()
	}
}

// load copies the buckets that the items name.
func (g *group) load() error {
	g.work = g.work[:0]
	for i := range g.items {
		it := &g.items[i]
		if it.work = g.find(i); it.work < len(g.work) {
			first := &g.items[g.work[it.work].item]
			if first.Request.Limit != it.Request.Limit {
				return fmt.Errorf("%w: key %q under limits %q and %q", ErrConflict, it.Request.Key, first.Request.Limit, it.Request.Limit)
			}
			it.plan = first.plan
		} else if err := g.read(i); err != nil {
			return err
		}
		if it.Request.Reserve > 0 {
			if err := g.clash(it); err != nil {
				return err
			}
		}
		w := &g.work[it.work]
		w.asked = w.asked || it.Request.Cost > 0
		w.loud = w.loud || it.Request.Cost > 0 && it.Request.Durability != Ephemeral
	}
	return nil
}

// find returns the index of the work on item i's key, or of the next one if there is none.
func (g *group) find(i int) int {
	it := &g.items[i]
	for w := range g.work {
		first := &g.items[g.work[w].item]
		if first.tag == it.tag && first.Partition == it.Partition && first.Request.Key == it.Request.Key {
			return w
		}
	}
	return len(g.work)
}

// read copies the bucket of item i, as it is under the item's limit.
func (g *group) read(i int) (err error) {
	it := &g.items[i]
	w := work{item: i, record: g.s.shard(it.Partition).find(it.tag, it.Request.Key)}
	if g.held == 0 {
		if w.record == nil || !g.s.plans.at(w.record.plan()).knows(it.Request) {
			return errStranger
		}
		it.plan = w.record.plan()
	}
	if g.held > 0 && g.s.plans.at(it.plan).slots { // else it is the plan of the record
		return g.readSlots(w)
	}
	if w.record != nil {
		g.s.firm(g.now, it.Partition>>g.s.width, w.record)
		w.before = g.s.under(g.now, w.record, it.plan)
	} else if g.isCrowded(i) {
		it.work, err = g.crowd(i)
		return err
	} else {
		w.before = g.s.first(g.now, it.Partition, g.s.plans.at(it.plan), it.Request.ColdStart)
	}
	w.bucket = w.before
	g.work = append(g.work, w)
	return nil
}

// decide takes from the copies and says whether every item is allowed.
func (g *group) decide() bool {
	all := true
	for i := range g.items {
		it := &g.items[i]
		it.Decision, it.receipt, it.booked = Decision{}, Receipt{}, nil
		if !g.recall(i) {
			plan, b := g.s.plans.at(it.plan), &g.work[it.work].bucket
			b.take(g.now, plan, it.Request.Cost, &it.Decision)
			if it.Decision.Allowed && it.Request.Cost > 0 {
				it.receipt = b.Receipt(plan, it.Request.Cost)
				it.receipt.owed -= g.lent(it)
			}
			if g.work[it.work].slots {
				g.times(it)
			}
		}
		all = all && it.Decision.Allowed
	}
	return all
}

// lent returns the units that are lent of it's bucket: with these it is as full as it can be.
func (g *group) lent(it *Item) int64 {
	r := g.work[it.work].record
	if r == nil || r.bits&lent == 0 {
		return 0
	}
	return g.s.plans.at(it.plan).cost(g.s.leases[it.Partition>>g.s.width][g.s.leased(r)].total)
}

// recall answers item i as a request with its id and key was answered before, here or among the items before it, if any
// was.
func (g *group) recall(i int) bool {
	it := &g.items[i]
	if it.Request.ID == "" {
		return false
	}
	for j := range g.items[:i] {
		if r := g.items[j].Request; r.Cost > 0 && r.ID == it.Request.ID && r.Key == it.Request.Key {
			it.Decision = g.items[j].Decision
			return true
		}
	}
	if g.renews(it) {
		return true
	}
	if g.s.plans.at(it.plan).slots { // once it was given back its id is free again
		return false
	}
	d, ok := g.s.ids.recall(g.now, it.Partition, it.Request)
	if ok {
		it.Decision = d
	}
	return ok
}

// convert leaves the buckets that were asked for, and under another limit, as they are under the one asked for. Those
// that begin empty are kept, where there is room, so that a Reset can fill them.
func (g *group) convert() {
	for i := range g.work {
		g.work[i].bucket = g.work[i].before
	}
	if !g.s.reserve(g.added()) {
		for i := range g.work {
			if w := &g.work[i]; w.record == nil {
				w.bucket = Bucket{}
			}
		}
	}
	g.write()
}

// commit writes the copies back. It is not done if there is no room for new keys.
func (g *group) commit() (done bool, err error) {
	if added := g.added(); !g.s.reserve(added) {
		if added > g.s.maxKeys {
			return false, g.s.noRoom()
		}
		return false, nil
	}
	if err := g.bookRoom(); err != nil {
		g.s.keys.Add(-g.added())
		return false, err
	}
	g.write()
	for i := range g.items {
		g.note(&g.items[i])
	}
	return true, nil
}

// added returns how many keys write adds.
func (g *group) added() int64 {
	added := int64(0)
	for i := range g.work {
		if g.work[i].isNew() {
			added++
		}
	}
	return added
}

// isNew says whether w's key gets a record.
func (w *work) isNew() bool {
	return w.record == nil && w.asked && w.bucket.debt != 0 && !w.slots && !w.shared
}

// write writes the copies that were asked for back.
func (g *group) write() {
	for i := range g.work { // before records move
		w := &g.work[i]
		if w.shared && w.asked {
			g.writeShared(w)
		}
		if w.record == nil || !w.asked {
			continue
		}
		it := &g.items[w.item]
		g.s.rewrite(it.Partition, w.record, it.plan, w.bucket, !w.loud)
	}
	for i := range g.work {
		w := &g.work[i]
		if !w.isNew() {
			continue
		}
		it := &g.items[w.item]
		r := g.s.add(it.Partition, it.tag, it.Request.Key, it.plan, w.bucket)
		if w.loud {
			g.s.note(it.Partition, r, 0)
		}
	}
}

// note remembers that it was charged.
func (g *group) note(it *Item) {
	r := it.Request
	round := uint64(0)
	if r.Reserve > 0 {
		round = g.book(it)
	}
	if r.ID != "" && !g.work[it.work].slots {
		g.s.ids.remember(g.now, it.Partition, r, &it.Decision)
		if r.Durability != Ephemeral && it.receipt.units > 0 {
			if rec := g.s.shard(it.Partition).find(it.tag, r.Key); rec != nil {
				g.s.tellID(it.Partition, rec, r.ID)
			}
		}
	}
	if weight := g.s.shard(it.Partition).sample(); weight != 0 {
		g.s.top.Add(r.Key, weight)
	}
	if g.hold && it.receipt.units > 0 {
		g.holds = append(g.holds, Hold{
			part: it.Partition, key: cloned(r.Key), id: cloned(r.ID), silent: r.Durability == Ephemeral,
			plan: g.s.plans.at(it.plan), receipt: it.receipt, then: g.s.reliefs.of(it.tag),
			at: g.now, round: round,
		})
	}
}
