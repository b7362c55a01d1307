package core

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// A View is the membership as a node sees it.
type View struct {
	Members []Member    // all that are alive, this node among them
	Table   *ring.Table // of those that should hold something
	Heirs   *ring.Table // the same without this node; nil if there would be nobody
}

// epoch returns a hash of all members, with their runs, and of the table.
func (v View) epoch() uint64 {
	members := slices.Clone(v.Members)
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	b := binary.LittleEndian.AppendUint64(nil, v.Table.Epoch())
	for _, m := range members {
		b = binary.LittleEndian.AppendUint64(b, m.Boot)
		b = binary.AppendUvarint(b, uint64(len(m.ID)))
		b = append(b, m.ID...)
	}
	return xxhash.Sum64(b)
}

// A Member is one node that is alive.
type Member struct {
	ID       ring.Member
	Boot     uint64
	Draining bool // leaves as soon as it has nothing any more
}

// member is what a core knows of another node.
type member struct {
	id       ring.Member
	boot     uint64
	draining bool

	heard    bucket.Instant // when the last message was sent by whose answer it knows this node, or gossip told of it
	answered bucket.Instant // when it was last told that this node knows it
	epoch    uint64         // of its view, as far as this node has heard
	beat     bucket.Instant // when the last beat was sent
	inflight int            // messages under way
	bulk     int            // handoffs and replicas among them

	queue  []int            // partitions that it is to be sent, in the order in which it claimed them
	fills  []int            // partitions whose whole replica it is to be sent
	fetch  []fetched        // replicas that it is to be sent
	rid    []ring.Partition // whose replicas it need not keep
	handed bucket.Instant   // when it has last handed something over

	changes [][]bucket.Change // that it is to be sent, by partition
}

// View makes n go by v. Who is not among its members any more has left if it was draining, and is taken for dead, and still
// counted for the majority, if not.
func (n *Core) View(now bucket.Instant, v View) {
	n.lapse(now)
	// Who is new has not answered yet: this node decides as long as before it came, neither longer nor shorter.
	met := min(now, bucket.Instant(n.fence.Load()-int64(n.Fence)))
	for id, m := range n.members {
		i := slices.IndexFunc(v.Members, func(o Member) bool { return o.ID == id })
		if i >= 0 && v.Members[i].Boot == m.boot {
			m.draining = v.Members[i].Draining
			continue
		}
		delete(n.members, id)
		n.doubt(now, m)
		if i < 0 && !m.draining {
			n.miss(now, Run{id, m.boot})
		}
		n.lose(id)
	}
	for _, o := range v.Members {
		if o.ID != n.Self && n.members[o.ID] == nil {
			n.members[o.ID] = &member{id: o.ID, boot: o.Boot, draining: o.Draining, heard: met, answered: now, beat: math.MinInt64 / 2}
			delete(n.settled, o.ID)
		}
	}
	n.order = n.order[:0]
	for _, id := range keysOf(n.members) {
		n.order = append(n.order, n.members[id])
	}
	n.remember()
	n.table, n.heirs, n.epoch, n.since = v.Table, v.Heirs, v.epoch(), now
	n.publishAll()
	n.claimAll(now)
	for p := range n.parts {
		if q := &n.parts[p]; q.state == holding && q.heir != n.heir(p) {
			n.refill(p)
		}
	}
	n.refence(now)
}

// remember notes the targets as the holders where nothing better is known: until the next targets have claimed what is to be
// theirs, they mostly are.
func (n *Core) remember() {
	for p := range n.parts {
		if q := &n.parts[p]; n.table != nil && q.holder == "" && q.state == away {
			if id := n.table.Target(ring.Partition(p)); n.members[id] != nil {
				q.holder = id
			}
		}
	}
}

// doubt notes that m, which is not a member any more, decides for Fence after this node has last answered it, if it lives.
// The membership may be wrong about that. And if m saw other members than this node, it may have given them something
// before it went: this node has to hear of them first.
func (n *Core) doubt(now bucket.Instant, m *member) {
	if len(n.lately) >= missedMost || n.plant == plantEager {
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

// Gone notes that a run of a member has left, or that its process has ended, for certain: its address refuses connections.
// It does not count for the majority any more.
func (n *Core) Gone(now bucket.Instant, r Run) {
	m := n.members[r.ID]
	if was, ok := n.gone[r.ID]; r.ID == n.Self || m != nil && m.boot == r.Boot || ok && was.boot >= r.Boot || len(n.gone) >= missedMost {
		return
	}
	n.gone[r.ID] = absence{r.Boot, now}
	if l, ok := n.lately[r.ID]; ok && l.boot <= r.Boot && !l.ahead {
		delete(n.lately, r.ID)
	}
	if was, ok := n.settled[r.ID]; ok && was.boot <= r.Boot {
		delete(n.settled, r.ID)
	}
	n.refence(now)
}

// miss notes that others count a run of a member for the majority although it is dead.
func (n *Core) miss(now bucket.Instant, r Run) {
	if was, ok := n.gone[r.ID]; ok && was.boot >= r.Boot || n.members[r.ID] != nil || r.ID == n.Self {
		return
	}
	if was, ok := n.settled[r.ID]; ok && was.boot >= r.Boot || !ok && len(n.settled) >= missedMost {
		return
	}
	n.settled[r.ID] = absence{r.Boot, now}
}

// missedMost bounds, to what a message has room for with the longest names, whom a node counts for the majority although they are dead, and whom it knows to be gone.
const missedMost = 800

// heardOf notes what others know of the absent.
func (n *Core) heardOf(now bucket.Instant, missed, gone []Run) {
	for _, r := range gone {
		n.Gone(now, r)
	}
	for _, r := range missed {
		n.miss(now, r)
	}
}

// runs returns the members of absent, in order.
func runs(absent map[ring.Member]absence) []Run {
	if len(absent) == 0 {
		return nil
	}
	list := make([]Run, 0, len(absent))
	for _, id := range keysOf(absent) {
		list = append(list, Run{id, absent[id].boot})
	}
	return list
}

// lose forgets what was expected from a run of a member that has ended, and what was on the way to it.
func (n *Core) lose(id ring.Member) {
	for p := range n.parts {
		q := &n.parts[p]
		if q.holder == id {
			q.holder = ""
		}
		if q.expect == id {
			q.expect = ""
		}
		if q.heir == id {
			q.heir = ""
		}
		if q.queued == id {
			q.queued = ""
		}
		if q.fill == id {
			q.fill = ""
		}
		if q.state == sending && q.to == id { // it may have arrived, and may have been admitted from: a crash
			q.holder = ""
			n.strand(p)
		}
	}
}

// strand makes p, which may have arrived where it was sent, stale.
func (n *Core) strand(p int) {
	q := &n.parts[p]
	q.state, q.to, q.toRound, q.sending = stale, "", 0, 0
	if !q.lapsed {
		n.hear(p, q.toTerm)
	}
	n.publish(p)
}

// whole says whether this node sees more than half of the settled membership.
func (n *Core) whole() bool { return 2*(len(n.members)+1) > len(n.members)+1+len(n.settled) }

// Counted returns how many members counted for the majority of late. It is safe for concurrent use.
func (n *Core) Counted() int { return int(n.counted.Load()) }

// Size returns how many members count for the majority.
func (n *Core) Size() int { return len(n.members) + 1 + len(n.settled) }

// heir returns who is to keep the replica of p, "" if nobody.
func (n *Core) heir(p int) ring.Member {
	if n.heirs == nil {
		return ""
	}
	id := n.heirs.Target(ring.Partition(p))
	if n.members[id] == nil {
		return ""
	}
	return id
}

// refence computes until when this node decides: Fence after the last moment at which more than half of the settled
// membership, itself among them, is known to have heard it.
func (n *Core) refence(now bucket.Instant) {
	size := n.Size()
	n.counted.Store(int64(size))
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
	n.lapsed = true
	for p := range n.parts {
		switch q := &n.parts[p]; q.state {
		case holding:
			n.freeze(p, stale)
		case sending: // whoever takes it in from now on must not take it for what its holder has
			n.strand(p)
		case away, stale:
		}
	}
}
