package core

import (
	"slices"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// gates are the gateways: members that hold nothing. They count only where somebody answers while a holder is missing.
type gates struct {
	seen   map[ring.Member]Member  // this node is not among them
	missed map[ring.Member]absence // who went without a word, and may live beyond a cut
	told   int                     // where in missed the next message begins
}

func newGates() gates {
	return gates{seen: map[ring.Member]Member{}, missed: map[ring.Member]absence{}}
}

const (
	// gatesMost bounds how many gateways count although they are dead.
	gatesMost = 4096

	// gatesBytes is how much of them goes into one message; the others go into the next.
	gatesBytes = 16 << 10
)

// seeGates notes the gateways among members, and says whether they are others than before. Who is not among them any more
// has left if it was draining, and counts on if not.
func (n *Core) seeGates(now bucket.Instant, members []Member) (changed bool) {
	seen := map[ring.Member]Member{}
	for _, m := range members {
		if n.gates.missed[m.ID].boot <= m.Boot {
			delete(n.gates.missed, m.ID)
		}
		if !m.Gateway || m.ID == n.Self {
			continue
		}
		seen[m.ID] = m
		if n.settled[m.ID].boot < m.Boot { // it held partitions in an earlier run
			delete(n.settled, m.ID)
		}
		changed = changed || n.gates.seen[m.ID] != m
	}
	was := n.gates.seen
	n.gates.seen = seen
	for id, m := range was {
		if slices.ContainsFunc(members, func(o Member) bool { return o.ID == id }) {
			continue
		}
		changed = true
		if !m.Draining {
			n.missGate(now, Run{ID: id, Boot: m.Boot})
		}
	}
	return changed || len(seen) != len(was)
}

// missGate notes that a gateway counts although it is not seen: since the first of all missed it.
func (n *Core) missGate(now bucket.Instant, r Run) {
	g := &n.gates
	m := n.members[r.ID]
	if _, ok := g.seen[r.ID]; ok || r.ID == n.Self || m != nil && m.boot > r.Boot || n.gone[r.ID].boot >= r.Boot {
		return
	}
	noteAbsent(g.missed, now, r, gatesMost)
}

// heardOfGates notes which gateways others miss.
func (n *Core) heardOfGates(now bucket.Instant, missed []Run) {
	for _, r := range missed {
		if r.For < n.Forget {
			n.missGate(now, r)
		}
	}
}

// gone notes that a run, if it was one of a gateway, has ended for certain.
func (g *gates) gone(r Run) {
	if was, ok := g.missed[r.ID]; ok && was.boot <= r.Boot {
		delete(g.missed, r.ID)
	}
}

// replace says whether a later run of r's member is a gateway.
func (g *gates) replace(r Run) bool { return g.seen[r.ID].Boot > r.Boot }

// countGates returns how many gateways count, this node among them if it is one.
func (n *Core) countGates() int {
	if n.plant == plantUncounted {
		return 0
	}
	count := len(n.gates.seen) + len(n.gates.missed)
	if n.Gateway {
		count++
	}
	return count
}

// sameHolders says whether v has the members that this node goes by, but for gateways.
func (n *Core) sameHolders(v View) bool {
	if n.table == nil || n.table.Epoch() != v.Table.Epoch() || n.epoch != v.epoch() {
		return false
	}
	for _, m := range v.Members {
		if was := n.members[m.ID]; !m.Gateway && m.ID != n.Self && was.draining != m.Draining {
			return false
		}
	}
	return true
}

// beatTo asks m whether it hears this node, and tells it who is missing: of gateways no more often than Config.Call says.
func (n *Core) beatTo(now bucket.Instant, m *member) {
	m.beat = now
	msg := &Message{Kind: Beat, Missed: runs(now, n.settled), Gone: runs(now, n.gone)}
	if now-m.called >= bucket.Instant(n.Call) {
		m.called = now
		msg.Gates = n.someGates(now)
	}
	n.send(now, m, msg)
}

// someGates returns the gateways that are missed, or as many of them as go into one message, others each time.
func (n *Core) someGates(now bucket.Instant) []Run {
	all := runs(now, n.gates.missed)
	if len(all) == 0 {
		return nil
	}
	from := n.gates.told % len(all)
	size := 0
	for i := range all {
		r := &all[(from+i)%len(all)]
		if size += runBytes + len(r.ID); size > gatesBytes {
			n.gates.told = from + i
			return slices.Concat(all[from:min(from+i, len(all))], all[:max(0, from+i-len(all))])
		}
	}
	return all
}

// runBytes is the most that a Run has on the wire besides its name.
const runBytes = 17

// tellGate answers a gateway, who asks nothing but who is missing.
func (n *Core) tellGate(now bucket.Instant, from ring.Member, msg *Message, r *Reply) {
	m, ok := n.gates.seen[from]
	if !ok || m.Boot != msg.Boot || n.Gateway || msg.Kind != Beat {
		return
	}
	r.Known = true
	n.heardOf(now, msg.Missed, msg.Gone)
	n.heardOfGates(now, msg.Gates)
	r.Missed, r.Gone, r.Gates = runs(now, n.settled), runs(now, n.gone), n.someGates(now)
}
