package core

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/noriahq/noria/ring"
)

// A span is a fault of a node: what it admitted from a while before it on may be lost to who holds its partitions next.
type span struct{ from, to time.Duration }

const open = time.Duration(math.MaxInt64)

// lose begins a fault of n.
func (s *sim) lose(n *simNode) {
	if i := len(n.faults); i == 0 || n.faults[i-1].to != open {
		n.faults = append(n.faults, span{min(n.missed, s.now), open})
		for p := range n.kept {
			n.kept[p] = n.core.parts[p].heir.name()
		}
	}
}

// back ends it.
func (s *sim) back(n *simNode) {
	if i := len(n.faults); i > 0 && n.faults[i-1].to == open {
		n.faults[i-1].to = s.now
	}
}

// window is how long an admission may be without a replica: a tick, the way there, and what loss and delay add.
func (s *sim) window() time.Duration {
	w := 20*time.Millisecond + 2*s.net.delay
	if s.net.spike > 0 {
		w += 60 * 2 * s.net.delay
	}
	if s.net.loss > 0 {
		w += 3 * (tellWait + 20*time.Millisecond)
	}
	return w
}

// mayLose says whether what n admitted at some time may be lost to who is not n.
func (s *sim) mayLose(n *simNode, at time.Duration) bool {
	for _, f := range n.faults {
		if at >= f.from-s.window() && at <= f.to && (f.to == open || s.now <= f.to+healWait) {
			return true
		}
	}
	return false
}

// alone says whether n is lost to the others, or was a moment ago.
func (s *sim) alone(n *simNode) bool {
	if n == nil || len(n.faults) == 0 {
		return false
	}
	return s.now-healWait <= n.faults[len(n.faults)-1].to
}

// bothAlone says whether the holder of p is lost to the others together with who had the whole replica, or lives and nobody had
// it just then: that is two faults at once. All that was admitted is lost then, and at most one burst is admitted again.
func (s *sim) bothAlone(p int) bool {
	h := s.owner[p]
	if !s.alone(h) {
		return false
	}
	keeper := s.nodes[h.kept[p]]
	return s.alone(keeper) || h.alive && (keeper == nil || !keeper.alive)
}

// regard looks at who is alone, and whether all see the same, after either may have changed.
func (s *sim) regard() {
	holders := s.voters()
	agree := len(s.cuts) == 0 && len(holders) > 0
	for _, n := range holders {
		reach := 1
		for _, o := range holders {
			if o != n && s.hears(n, o) {
				reach++
			}
		}
		switch {
		case reach == len(holders):
			n.missed = open
		case n.missed == open:
			n.missed = s.now
		}
		if s.now < n.paused || 2*reach <= len(holders)+s.dead {
			s.lose(n)
		} else {
			s.back(n)
		}
	}
	for _, n := range s.alive {
		agree = agree && s.sees(n, len(holders)) && s.now >= n.paused && n.core.epoch == s.alive[0].core.epoch && !n.dirty
	}
	if agree != s.agree {
		s.agree, s.agreed = agree, s.now
	}
}

// voters returns the nodes that are alive and no gateways: they count for the majority.
func (s *sim) voters() (holders []*simNode) {
	for _, n := range s.alive {
		if !n.gateway {
			holders = append(holders, n)
		}
	}
	return holders
}

// sees says whether n goes by who is alive, of whom so many hold, and nobody else.
func (s *sim) sees(n *simNode, holders int) bool {
	lives := func(id ring.Member, boot uint64, gateway bool) bool {
		o := s.nodes[id]
		return o != nil && o.alive && o.boot == boot && o.gateway == gateway
	}
	for id, m := range n.core.members {
		if !lives(id, m.boot, false) {
			return false
		}
	}
	for id, m := range n.core.gates.seen {
		if !lives(id, m.Boot, true) {
			return false
		}
	}
	if !n.gateway {
		holders--
	}
	return n.core.epoch != 0 && len(n.core.members) == holders && len(n.core.members)+len(n.core.gates.seen)+1 == len(s.alive)
}

// idle looks whether gateways have nothing, and nobody counts fewer than those it has seen and who live and stay: they may all
// answer at once while a holder is missing, each with its share.
func (s *sim) idle() {
	for _, n := range s.alive {
		if n.core.table == nil {
			continue
		}
		live := 1
		for id, boot := range n.met {
			if o := s.nodes[id]; o != n && o.alive && o.boot == boot && !o.draining {
				live++
			}
		}
		if got := n.core.Counted(); got < live {
			s.fail("%s counts %d who may answer while a holder is missing, and knows %d", n.id, got, live)
		}
		for p := range n.core.parts {
			if q := &n.core.parts[p]; n.gateway && (q.state != away || q.copy > 0) {
				s.fail("%s, a gateway, has partition %d:%s", n.id, p, s.describe(ring.Partition(p)))
			}
		}
	}
}

// hears says whether o answers n.
func (s *sim) hears(n, o *simNode) bool {
	m := o.core.members[n.id]
	return s.now >= o.paused && m != nil && m.boot == n.boot && !s.cuts[[2]ring.Member{n.id, o.id}] && !s.cuts[[2]ring.Member{o.id, n.id}]
}

// watch looks at which partitions n has begun and ceased to hold.
func (s *sim) watch(n *simNode) {
	for p := range n.holds {
		switch holds := n.core.parts[p].state == holding; {
		case holds && !n.holds[p]:
			s.begun(n, p)
			n.holds[p] = true
		case !holds && n.holds[p]:
			s.last[p] = s.now
			n.holds[p] = false
		}
		if id, _ := n.core.Holder(ring.Partition(p)); n.core.table != nil {
			if got, _ := n.core.Route(ring.Partition(p)); got != id {
				s.fail("%s routes partition %d to %q, and takes %q for the holder", n.id, p, got, id)
			}
		}
	}
}

// begun notes that n has begun to hold p. Nobody else may decide on it; and what those admitted who were lost may be lost,
// unless p came from its holder.
func (s *sim) begun(n *simNode, p int) {
	s.count(uint64(s.now), uint64(n.id[0]), uint64(p))
	given := false
	for _, o := range s.alive {
		q := &o.core.parts[p]
		if o != n && n.core.Decides(s.clock(n)) && q.state == holding && s.now >= o.paused && o.core.Decides(s.clock(o)) {
			s.fail("%s has begun to hold partition %d, and %s has not ceased%s", n.id, p, o.id, s.describe(ring.Partition(p)))
		}
		given = given || q.state == sending && q.to.name() == n.id && q.toTerm == n.core.parts[p].mine
	}
	s.rush(p)
	all := s.bothAlone(p)
	for _, k := range s.keys {
		if int(k.part) != p {
			continue
		}
		k.judge.lost(s.now - s.last[p])
		if !given {
			k.judge.forgive(s.now, func(a *admission) bool { return all || a.node != n && s.mayLose(a.node, a.at) || s.unsaved(p, a.at) })
		}
	}
	if !given {
		s.forgiveBooked(n, p, all)
		s.forgiveSold(n, p, all)
	}
	s.owner[p], s.saves.begun[p] = n, true
}

// check looks at the promises that hold once all see the same for a while.
func (s *sim) check() {
	if s.agree && s.now >= s.agreed+healWait {
		if err := s.stuck(); err != nil {
			s.fail("all views are the same since %v, and %v", s.agreed, err)
		}
	}
	s.idle()
	for p := range ring.Partition(simPartitions) {
		if ids := s.holders(p); len(ids) > 1 {
			s.fail("partition %d is held by %v:%s", p, ids, s.describe(p))
		}
	}
	s.after(100*time.Millisecond, s.check)
}

// holders returns who decides on p now.
func (s *sim) holders(p ring.Partition) (ids []ring.Member) {
	for _, n := range s.alive {
		if s.now >= n.paused && n.core.parts[p].state == holding && n.core.Decides(s.clock(n)) {
			ids = append(ids, n.id)
		}
	}
	return ids
}

// stuck returns what is not as it should be once all has calmed down.
func (s *sim) stuck() error {
	for p := range ring.Partition(simPartitions) {
		if ids := s.holders(p); len(ids) != 1 || s.nodes[ids[0]].gateway {
			return fmt.Errorf("partition %d is held by %v:%s", p, ids, s.describe(p))
		}
	}
	for _, n := range s.alive {
		if w := n.core.Wants(); w > 0 {
			return fmt.Errorf("%s still wants %d partitions", n.id, w)
		}
	}
	return nil
}

// describe tells what each node knows of p.
func (s *sim) describe(p ring.Partition) string {
	var b strings.Builder
	for _, n := range s.alive {
		if n.core.table == nil {
			continue
		}
		q := n.core.parts[p]
		fmt.Fprintf(&b, "\n  %s/%d: state %d term %d mine %d holder %q expect %q to %q copy %d heir %q, target %q, members %v settled %v decides %v",
			n.id, n.boot, q.state, q.term, q.mine, q.holder.name(), q.expect.name(), q.to.name(), q.copy, q.heir.name(), n.core.table.Target(p), keysOf(n.core.members),
			keysOf(n.core.settled), n.core.Decides(s.clock(n)))
	}
	return b.String()
}
