package bucket

import (
	"sync"
	"sync/atomic"
)

// coldMarks say which partitions' former holders took their memory with them.
type coldMarks struct {
	some  atomic.Bool // there is one: others need not look
	mu    sync.Mutex
	since map[int]Instant // guarded by mu
}

func (c *coldMarks) init() { c.since = make(map[int]Instant) }

func (c *coldMarks) set(part int, since Instant, cold bool) {
	if !cold && !c.some.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if cold {
		c.since[part] = since
	} else {
		delete(c.since, part)
	}
	c.some.Store(len(c.since) > 0)
}

func (c *coldMarks) get(part int) (since Instant, cold bool) {
	if !c.some.Load() {
		return 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	since, cold = c.since[part]
	return since, cold
}

func (c *coldMarks) has(part int) bool {
	_, cold := c.get(part)
	return cold
}

// SetCold says whether what partition part had in its buckets was lost at since, or before it. Then a key without a bucket
// there that is asked for with the ColdStart Empty has the one that was empty at since: it fills from then on, with its
// window, or never if it has a quota. For a limit that has had the time to fill the mark means nothing any more. since may
// be negative, before the clock's base. Drop forgets the mark.
func (s *Store) SetCold(part int, since Instant, cold bool) {
	if s.has(part) {
		s.cold.set(part, since, cold)
	}
}

// Cold returns whether partition part is marked by SetCold, and since when: at a handoff the mark goes with the
// buckets, before Import.
func (s *Store) Cold(part int) (since Instant, cold bool) { return s.cold.get(part) }

// first returns the bucket of a key in partition part that has none.
func (s *Store) first(now Instant, part int, p *Plan, start ColdStart) Bucket {
	if start != Empty {
		return Bucket{}
	}
	since, cold := s.cold.get(part)
	if !cold {
		return Bucket{}
	}
	return p.emptied(now, since)
}

// emptied returns the bucket that was empty at since, as it is at now.
func (p *Plan) emptied(now, since Instant) Bucket {
	if p.opens != nil {
		w := p.window(now)
		if since < w.begin {
			return Bucket{}
		}
		return Bucket{debt: p.empty, at: w.name}
	}
	b := Bucket{debt: p.empty, at: p.ceil(since)}
	if b.Full(now, p) {
		return Bucket{}
	}
	return b
}

// isCold says whether the key of r, of shard i, might begin empty if it had no record.
func (s *Store) isCold(now Instant, i int, r *record) bool {
	if !s.cold.some.Load() {
		return false
	}
	return s.first(now, s.part(i, r), s.plans.at(r.plan()), Empty).debt > 0
}
