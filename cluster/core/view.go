package core

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// A View is the membership as a node sees it.
type View struct {
	Members []Member    // all that are alive, this node among them
	Table   *ring.Table // of those that should hold something, which no gateway does
	Heirs   *ring.Table // the same without this node; nil if there would be nobody
}

// epoch returns a hash of all members that are no gateways, with their runs, and of the table.
func (v View) epoch() uint64 {
	members := slices.Clone(v.Members)
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	b := binary.LittleEndian.AppendUint64(nil, v.Table.Epoch())
	for _, m := range members {
		if m.Gateway {
			continue
		}
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
	Gateway  bool // never holds anything
}

// member is what a core knows of another node that is no gateway.
type member struct {
	id       ring.Member
	boot     uint64
	route    uint64 // its number in Core.names
	draining bool
	gone     bool // it is no member any more

	heard    bucket.Instant // when the last message was sent by whose answer it knows this node, or gossip told of it
	answered bucket.Instant // when it was last told that this node knows it
	epoch    uint64         // of its view, as far as this node has heard
	beat     bucket.Instant // when the last beat was sent
	called   bucket.Instant // when the last one was that told of gateways
	asked    bool           // of all that this node holds, since it came, and since it leaves
	inflight int            // messages under way
	bulk     int            // handoffs and replicas among them

	queue   []int            // partitions that it is to be sent: first those that nobody decides on, then as it claimed them
	fills   []int            // partitions whose whole replica it is to be sent
	fetch   []fetched        // replicas that it is to be sent
	ask     []int            // partitions of which it is to be asked whether it wants what was saved
	brings  []int            // partitions of which it wants that
	rid     []ring.Partition // whose replicas it need not keep
	handed  bucket.Instant   // when it has last handed something over
	resume  bucket.Instant   // when it may be handed something again
	bringAt bucket.Instant   // when it may be asked again to take what was saved

	changes [][]bucket.Change // that it is to be sent, by partition
	behind  bucket.Instant    // when the oldest changes were sent that may not have arrived, 0 if all have
	acked   time.Duration     // how long the last changes took to be acknowledged
}

// name returns the member's id, "" for nobody.
func (m *member) name() ring.Member {
	if m == nil {
		return ""
	}
	return m.id
}

// noIndex is the index of who is not in a table: TargetIndex returns another one for nobody.
const noIndex = -2

// View makes n go by v. Who is not among its members any more has left if it was draining, and is taken for dead, and still
// counted for the majority, if not.
func (n *Core) View(now bucket.Instant, v View) {
	n.lapse(now)
	if n.seeGates(now, v.Members) && n.sameHolders(v) { // nothing moves for a gateway
		n.refence(now)
		return
	}
	// Who is new has not answered yet: this node decides as long as before it came, neither longer nor shorter.
	met := min(now, bucket.Instant(n.fence.Load()-int64(n.Fence)))
	for id, m := range n.members {
		i := slices.IndexFunc(v.Members, func(o Member) bool { return o.ID == id })
		if i >= 0 && v.Members[i].Boot == m.boot && !v.Members[i].Gateway {
			m.asked = m.asked && m.draining == v.Members[i].Draining
			m.draining = v.Members[i].Draining
			continue
		}
		delete(n.members, id)
		m.gone = true
		n.doubt(now, m)
		if i < 0 && !m.draining {
			n.miss(now, Run{ID: id, Boot: m.boot})
		}
		n.lose(m)
	}
	for _, o := range v.Members {
		if o.ID != n.Self && n.members[o.ID] == nil && !o.Gateway {
			n.members[o.ID] = &member{
				id: o.ID, boot: o.Boot, draining: o.Draining, heard: met, answered: now, route: uint64(n.number(o.ID)), beat: math.MinInt64 / 2, called: math.MinInt64 / 2,
				asked: n.plant == plantUnasked,
			}
			delete(n.settled, o.ID)
			if n.gone[o.ID].boot >= o.Boot {
				delete(n.gone, o.ID)
			}
			n.releaseAll(n.members[o.ID])
		}
	}
	n.order = n.order[:0]
	for _, id := range keysOf(n.members) {
		n.order = append(n.order, n.members[id])
	}
	n.Store.Track(len(n.order) > 0) // before replicas are filled; who is alone has nobody to tell
	n.remember()
	n.table, n.heirs, n.epoch, n.since = v.Table, v.Heirs, v.epoch(), now
	n.byT, n.byH = n.membersOf(n.table), n.membersOf(n.heirs)
	if i, ok := n.table.Index(n.Self); ok {
		n.self = i
	} else {
		n.self = noIndex
	}
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
		if q := &n.parts[p]; q.holder == nil && q.state == away {
			if m := n.target(p); m != nil && !m.gone {
				q.holder = m
			}
		}
	}
}

// lose forgets what was expected from a run of a member that has ended, and what was on the way to it.
func (n *Core) lose(m *member) {
	for p := range n.parts {
		q := &n.parts[p]
		if q.holder == m {
			q.holder = nil
		}
		if q.expect == m {
			q.expect = nil
		}
		if q.heir == m {
			q.heir = nil
		}
		if q.queued == m {
			q.queued = nil
		}
		if q.fill == m {
			q.fill = nil
		}
		if q.bring == m {
			q.bring = nil
		}
		if q.state == sending && q.to == m { // it may have arrived, and may have been admitted from: a crash
			q.holder = nil
			n.strand(p)
		}
	}
}

// strand makes p, which may have arrived where it was sent, stale.
func (n *Core) strand(p int) {
	q := &n.parts[p]
	q.state, q.to, q.toRound, q.sending = stale, nil, 0, 0
	if !q.lapsed {
		n.hear(p, q.toTerm)
	}
	n.publish(p)
}

// heir returns who is to keep the replica of p, nil if nobody.
func (n *Core) heir(p int) *member { return named(n.heirs, n.byH, p) }

// target returns whom this node's view names for p, n.me if that is this node, nil if nobody.
func (n *Core) target(p int) *member { return named(n.table, n.byT, p) }

// named returns whom t, whose members are those, names for p.
func named(t *ring.Table, members []*member, p int) *member {
	if t == nil {
		return nil
	}
	if i := t.TargetIndex(ring.Partition(p)); i >= 0 {
		return members[i]
	}
	return nil
}

// membersOf returns the members of t, nil for one that this node does not see.
func (n *Core) membersOf(t *ring.Table) (members []*member) {
	if t == nil {
		return nil
	}
	for _, id := range t.Members() {
		if id == n.Self {
			members = append(members, n.me)
			continue
		}
		members = append(members, n.members[id])
	}
	return members
}
