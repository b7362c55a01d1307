package cluster

import (
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/ring"
)

// lent is a request of a whole that was admitted by what its holder has lent to this node, and put back if another one is denied.
type lent struct {
	req   int // index into whole.reqs
	lease *lease
	round core.Round
}

// spend admits request i, whose key has the hash h, by what was lent to this node, and says whether it could. What it takes cannot
// be denied afterwards, so nobody need be asked to hold anything for its sake.
//
// Of a key that is there twice nothing is spent: its limits are for one holder to compare.
func (w *whole) spend(i int, h uint64) bool {
	r := &w.reqs[i]
	l := w.n.leases.set(h).find(h, r.Key)
	if l == nil || w.twice(r.Key) {
		return false
	}
	round, ok := w.n.spendOf(l, r, &w.decisions[i])
	if ok {
		w.lent = append(w.lent, lent{i, l, round})
	}
	return ok
}

// putBack gives back what was spent. What a holder has learned of already counts as spent.
func (w *whole) putBack() {
	for _, s := range w.lent {
		cost := w.reqs[s.req].Cost
		if s.lease.Return(cost, s.round) {
			s.lease.spends.Add(^uint64(0))
			w.decisions[s.req].Remaining += cost
		}
	}
	w.lent = nil
}

// warm notes which keys other nodes have admitted, so that this one is lent of those that are asked for often.
func (w *whole) warm() {
	now := w.n.now()
	for i := range w.groups {
		g := &w.groups[i]
		if g.ask == nil || g.state != took {
			continue
		}
		for _, k := range g.reqs {
			r := &w.reqs[k]
			h := ring.Hash(r.Key)
			w.n.warm(now, h, w.v.table.Partition(h), r, &w.decisions[k])
		}
	}
}
