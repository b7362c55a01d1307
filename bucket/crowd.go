package bucket

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// crowds are the buckets that new keys of a limit share while it has StoreConfig.LimitKeys others.
//
// They belong to no partition: each node has its own, which is lost with it.
type crowds struct {
	mu      sync.Mutex
	buckets map[uint16]*Bucket // by the number of their plan, to which they hold a reference; guarded by mu

	shared atomic.Uint64 // decisions
}

// isCrowded says whether the key of item i, which has no bucket and asks for some tokens, gets none of its own. The items before
// i that will get one are counted, and others that come at the same instant are not.
func (g *group) isCrowded(i int) bool {
	most := g.s.limitKeys
	if most == 0 || g.held == 0 {
		return false
	}
	it := &g.items[i]
	plan := g.s.plans.at(it.plan)
	keys := plan.keys.Load()
	if plan.slots || keys+int64(len(g.work)) < most {
		return false
	}
	for w := range g.work {
		if o := &g.work[w]; o.record == nil && !o.shared && g.items[o.item].plan == it.plan {
			keys++
		}
	}
	return keys >= most
}

// crowd returns the index of the work on the bucket that item i shares with others, which is there from now on.
func (g *group) crowd(i int) (int, error) {
	it := &g.items[i]
	if it.Request.Reserve > 0 {
		return 0, fmt.Errorf("%w: limit %q has %d keys, and one that shares a bucket cannot reserve", ErrFull, it.Request.Limit, g.s.limitKeys)
	}
	for w := range g.work {
		if g.work[w].shared && g.items[g.work[w].item].plan == it.plan {
			return w, nil
		}
	}
	g.shares()
	w := work{item: i, shared: true}
	if b := g.s.crowds.buckets[it.plan]; b != nil {
		w.before = *b
	}
	w.bucket = w.before
	g.work = append(g.work, w)
	return len(g.work) - 1, nil
}

// shares locks the buckets that are shared until unlock. They come after all shards.
func (g *group) shares() {
	if !g.sharing {
		g.s.crowds.mu.Lock()
		g.sharing = true
	}
}

// writeShared writes w back, which was asked for.
func (g *group) writeShared(w *work) {
	cs, number := &g.s.crowds, g.items[w.item].plan
	cs.shared.Add(1)
	b := cs.buckets[number]
	if b == nil {
		if w.bucket.debt == 0 {
			return
		}
		if cs.buckets == nil {
			cs.buckets = map[uint16]*Bucket{}
		}
		b = new(Bucket)
		cs.buckets[number] = b
		g.s.plans.at(number).refs.Add(1)
	}
	*b = w.bucket
}

// sweepCrowds forgets shared buckets that are full.
func (s *Store) sweepCrowds(now Instant) {
	cs := &s.crowds
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for number, b := range cs.buckets {
		if b.Full(now, s.plans.at(number)) {
			delete(cs.buckets, number)
			s.plans.release(number)
		}
	}
}
