package core

import (
	"math"
	"slices"

	"github.com/noriahq/noria/bucket"
)

// doubt notes that m, which is not a member any more, decides for Fence after this node has last answered it, if it lives.
// The membership may be wrong about that. And if m saw other members than this node, it may have given them something
// before it went: this node has to hear of them first.
func (n *Core) doubt(now bucket.Instant, m *member) {
	if n.Gateway || len(n.lately) >= missedMost || n.plant == plantEager {
		return
	}
	drift := n.Fence / 32 // of clocks, and more than any has
	l := lateness{m.boot, m.answered + bucket.Instant(n.Fence+drift), m.epoch != n.epoch && m.epoch != 0}
	if l.ahead {
		l.until = max(l.until, now+bucket.Instant(n.Fence))
	}
	n.lately[m.id] = l
}

// unsure says whether somebody who is not in the view may decide yet.
func (n *Core) unsure(now bucket.Instant) bool {
	for id, l := range n.lately {
		if m := n.members[id]; now >= l.until || m != nil {
			delete(n.lately, id)
		}
	}
	return len(n.lately) > 0
}

// whole says whether this node, which is no gateway, sees more than half of the settled membership.
func (n *Core) whole() bool { return 2*(len(n.members)+1) > n.Size() }

// Counted returns how many may answer while a holder is missing: all who counted for the majority of late, and the gateways.
// It is safe for concurrent use.
func (n *Core) Counted() int { return int(n.counted.Load()) }

// Size returns how many members count for the majority.
func (n *Core) Size() int {
	size := len(n.members) + len(n.settled)
	if !n.Gateway {
		size++
	}
	if n.plant == plantVoters {
		size += n.countGates()
	}
	return size
}

// refence computes until when this node decides: Fence after the last moment at which more than half of the settled
// membership, itself among them, is known to have heard it.
func (n *Core) refence(now bucket.Instant) {
	size := n.Size()
	n.counted.Store(int64(size + n.countGates()))
	if n.Gateway {
		return // it decides on nothing, whoever hears it
	}
	if n.sealed {
		n.pass(now)
		return
	}
	need := size / 2 // besides this node
	until := int64(math.MaxInt64)
	if need > 0 {
		heard := n.heard[:0]
		for _, m := range n.order {
			heard = append(heard, m.heard)
		}
		n.heard = heard
		if len(heard) < need {
			n.pass(now)
			return
		}
		slices.Sort(heard)
		until = int64(heard[len(heard)-need]) + int64(n.Fence)
	}
	if n.plant == plantNoFence {
		until = math.MaxInt64
	}
	if until <= int64(now) {
		n.pass(now)
		return
	}
	n.fence.Store(until)
	n.lapsed = false
}

// lapse is pass if this node does not decide any more: nothing that it is told comes before that.
func (n *Core) lapse(now bucket.Instant) {
	if !n.Decides(now) {
		n.pass(now)
	}
}

// pass makes this node stop deciding: what it holds may be held by others from now on.
func (n *Core) pass(now bucket.Instant) {
	n.fence.Store(min(int64(now), n.fence.Load()))
	if n.held == 0 && n.lapsed {
		return
	}
	if !n.lapsed {
		n.counts.Fenced++
	}
	n.lapsed = true
	for p := range n.parts {
		switch q := &n.parts[p]; q.state {
		case holding:
			n.freeze(p, stale)
			n.moved(Fenced, "")
		case sending: // whoever takes it in from now on must not take it for what its holder has
			n.strand(p)
		case away, stale:
		}
	}
}
