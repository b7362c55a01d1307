package bucket

import (
	"fmt"
	"slices"
)

// An Item is one request of an all-or-nothing check.
type Item struct {
	Partition int
	Request   *Request
	Decision  Decision // is set by TakeAll

	tag     uint32
	plan    uint16  // referenced while TakeAll runs
	work    int     // index into the group's buckets
	receipt Receipt // of what was taken
}

// TakeAll decides on items, 1 or more, together: it takes all their costs or none, and nobody sees it half done. If one
// is denied, the Decisions of the others say what they would have been. It returns the errors of Take, and ErrConflict if
// items ask for one key under two limits. With hold it returns what Refund needs to give everything back.
func (s *Store) TakeAll(now Instant, items []Item, hold bool) ([]Hold, error) {
	g := s.newGroup()
	defer g.done()
	g.hold = hold
	err := g.run(now, items)
	return g.holds, err
}

// takeNew is Take for what it does not know yet: a new key, another limit, a request id, a bad request.
func (s *Store) takeNew(now Instant, part int, r *Request) (Decision, error) {
	g := s.newGroup()
	defer g.done()
	g.request = *r // so that r itself may be on its caller's stack
	g.item[0] = Item{Partition: part, Request: &g.request}
	if err := g.run(now, g.item[:]); err != nil {
		return Decision{}, err
	}
	return g.item[0].Decision, nil
}

// A group is a call of TakeAll, or of takeNew, for which it has room for one item. It is used again: that saves four
// allocations.
type group struct {
	s       *Store
	now     Instant
	items   []Item
	request Request
	item    [1]Item
	shards  []int  // of all items, in ascending order, each once
	work    []work // one for each key
	hold    bool
	holds   []Hold
	held    int // items with a reference to their plan
}

// work is a bucket that the group works on: a copy, until all items are allowed.
type work struct {
	item   int    // the first that names the key
	known  bool   // the key has a record
	before Bucket // under the item's limit
	bucket Bucket
	asked  bool // some item asks for tokens
}

func (s *Store) newGroup() *group {
	g, ok := s.groups.Get().(*group)
	if !ok {
		g = new(group)
	}
	g.s = s
	return g
}

// done gives back what g refers to, and g itself.
func (g *group) done() {
	for i := range g.items[:g.held] {
		g.s.plans.release(g.items[i].plan)
	}
	s := g.s
	*g = group{shards: g.shards[:0], work: g.work[:0]}
	s.groups.Put(g)
}

// run decides on items.
func (g *group) run(now Instant, items []Item) error {
	g.now, g.items = now, items
	if err := g.prepare(); err != nil {
		return err
	}
	for {
		done, err := g.try()
		if done || err != nil {
			return err
		}
		if !g.s.evict(now) {
			return g.s.full()
		}
	}
}

func (g *group) prepare() error {
	for i := range g.items {
		it := &g.items[i]
		if !g.s.has(it.Partition) {
			return ErrMoved
		}
		plan, err := g.s.plans.hold(it.Request.Limit)
		if err != nil {
			return err
		}
		it.plan, it.receipt, g.held = plan, Receipt{}, i+1
		if err := it.Request.check(); err != nil {
			return err
		}
		it.tag = g.s.tag(it.Partition, it.Request.Key)
		g.shards = append(g.shards, it.Partition>>g.s.width)
	}
	slices.Sort(g.shards)
	g.shards = slices.Compact(g.shards)
	return nil
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
	for _, i := range g.shards {
		g.s.shards[i].mu.Unlock()
	}
}

// load copies the buckets that the items name.
func (g *group) load() error {
	g.work = g.work[:0]
	for i := range g.items {
		it := &g.items[i]
		it.work = g.find(i)
		if it.work == len(g.work) {
			b, known := g.s.read(g.now, g.s.shard(it.Partition), it.tag, it.Request.Key, it.plan)
			g.work = append(g.work, work{item: i, known: known, before: b, bucket: b})
		}
		w := &g.work[it.work]
		if first := &g.items[w.item]; first.plan != it.plan {
			return fmt.Errorf("%w: key %q under limits %q and %q", ErrConflict, it.Request.Key, first.Request.Limit, it.Request.Limit)
		}
		w.asked = w.asked || it.Request.Cost > 0
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

// decide takes from the copies and says whether every item is allowed.
func (g *group) decide() bool {
	all := true
	for i := range g.items {
		it := &g.items[i]
		if g.recall(i) {
			all = all && it.Decision.Allowed
			continue
		}
		plan, b := g.s.plans.at(it.plan), &g.work[it.work].bucket
		it.Decision = Decision{}
		b.take(g.now, plan, it.Request.Cost, &it.Decision)
		if it.Decision.Allowed && it.Request.Cost > 0 {
			it.receipt = b.Receipt(plan, it.Request.Cost)
		}
		all = all && it.Decision.Allowed
	}
	return all
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
	d, ok := g.s.ids.recall(g.now, it.Request)
	if ok {
		it.Decision = d
	}
	return ok
}

// convert leaves the buckets that were asked for, and under another limit, as they are under the one asked for.
func (g *group) convert() {
	for i := range g.work {
		if w := &g.work[i]; w.known && w.asked {
			w.bucket = w.before
			g.write(w)
		}
	}
}

// commit writes the copies back. It is not done if there is no room for new keys.
func (g *group) commit() (done bool, err error) {
	added := int64(0)
	for i := range g.work {
		if w := &g.work[i]; !w.known && w.bucket.debt != 0 {
			added++
		}
	}
	if !g.s.reserve(added) {
		if added > g.s.maxKeys {
			return false, g.s.full()
		}
		return false, nil
	}
	for i := range g.work {
		if w := &g.work[i]; w.asked {
			g.write(w)
		}
	}
	for i := range g.items {
		g.note(&g.items[i])
	}
	return true, nil
}

// write makes the bucket of w its key's.
func (g *group) write(w *work) {
	it := &g.items[w.item]
	g.s.write(g.s.shard(it.Partition), it.tag, it.Request.Key, it.plan, w.bucket)
}

// note remembers that it was charged.
func (g *group) note(it *Item) {
	r := it.Request
	g.s.ids.remember(g.now, r, &it.Decision)
	if weight := g.s.shard(it.Partition).sample(); weight != 0 {
		g.s.top.add(r.Key, weight)
	}
	if g.hold && it.receipt.units > 0 {
		g.holds = append(g.holds, Hold{
			part: it.Partition, key: cloned(r.Key), id: cloned(r.ID),
			plan: g.s.plans.at(it.plan), receipt: it.receipt, then: g.s.reliefs.of(it.tag),
		})
	}
}
