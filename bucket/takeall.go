package bucket

import (
	"errors"
	"slices"
)

// An Item is one request of an all-or-nothing check.
type Item struct {
	Partition int
	Request   *Request
	Decision  Decision // is set by TakeAll

	tag     uint32
	plan    uint16   // referenced by the group, or by the key's record
	work    int      // index into the group's buckets
	receipt Receipt  // of what was taken
	booked  *booking // the living reservation that it renews
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

// takeNew is TakeInto for what it does not know yet: a new key, another limit, a request id, a bad request.
func (s *Store) takeNew(now Instant, part int, r *Request, d *Decision) error {
	g := s.newGroup()
	defer g.done()
	g.request = *r // so that r itself may be on its caller's stack
	g.item[0] = Item{Partition: part, Request: &g.request}
	if err := g.run(now, g.item[:]); err != nil {
		return err
	}
	*d = g.item[0].Decision
	return nil
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
	sharing bool // the buckets of crowds are locked
	held    int  // items that were looked at and have a reference to their plan
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
	clear(g.work)
	*g = group{shards: g.shards[:0], work: g.work[:0]}
	s.groups.Put(g)
}

// errStranger says that some item is not plainly under the limit that its key's bucket has.
var errStranger = errors.New("needs a closer look")

// run decides on items. Mostly all their keys are known, under these limits, and that is seen when they are found;
// only if not, the requests are looked at in full: a third of the time.
func (g *group) run(now Instant, items []Item) error {
	g.now, g.items = now, items
	if err := g.place(); err != nil {
		return err
	}
	if _, err := g.try(); !errors.Is(err, errStranger) {
		return err
	}
	if err := g.look(); err != nil {
		return err
	}
	for {
		done, err := g.try()
		if done || err != nil {
			return err
		}
		if !g.s.evict(g.now) {
			return g.s.noRoom()
		}
	}
}

// place finds out where the keys are.
func (g *group) place() error {
	for i := range g.items {
		it := &g.items[i]
		if !g.s.has(it.Partition) {
			return ErrMoved
		}
		it.tag = g.s.tag(it.Partition, it.Request.Key)
		g.shards = append(g.shards, it.Partition>>g.s.width)
	}
	slices.Sort(g.shards)
	g.shards = slices.Compact(g.shards)
	return nil
}

// look checks the requests and takes references to their plans.
func (g *group) look() error {
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
	}
	return nil
}
