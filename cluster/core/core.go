// Package core decides who holds each partition of a cluster: who claims, hands over, replicates and promotes. It is the
// part of a node that must be right whatever the network does, so it has no goroutines, no clock and no network of its
// own: it is told the time and what happened, and says what to send. One seeded simulator and real nodes run the same code.
//
// # The rules
//
// The ring names a target for each partition, and views of the membership differ for a while, so a name grants nothing:
// only the node that has a partition's buckets, its holder, decides on them. A holder gives a partition away only to a node
// that claims it and that its own view names too, and stops deciding before the buckets leave. It never resumes what may
// have arrived: the target that it goes to says whether it did.
//
// A claim goes to all members at once. What nobody has, by the word of every member and by the same view, is an orphan: its
// target starts it again, from all replicas of the last term. Terms count the holders of a partition; who meets a higher one
// stops.
//
// A gateway holds nothing: it is no target, keeps no replica, is asked nothing and told nothing, and does not count for the
// majority. It asks the holders who is missing, since who answers for a lost holder has to know how many others do.
//
// Whoever has not been heard by more than half of the settled membership for Config.Fence stops deciding. What it has is
// stale then: it is merged by whoever claims it, and makes nobody a holder. The others start no orphan for as long as one
// whom they have answered may decide, whatever the membership says of it; only who is gone for certain is not waited for.
//
// Copies of a bucket are merged by the larger debt, so messages may come late, twice and in any order.
package core

import (
	"math"
	"sync/atomic"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// A Term counts the holders that a partition has had; the higher replaces the lower.
type Term uint64

// A Core is the state of one node. It is not safe for concurrent use but for Holder and Decides. Times that it is told must
// not fall.
type Core struct {
	Config
	table *ring.Table    // targets; nil before the first view
	self  int            // index of this node in table, noIndex if it leaves
	heirs *ring.Table    // targets if this node were gone
	me    *member        // this node, where a part names it: it is gone, since it is none of the others
	byT   []*member      // the members of table, nil who is not seen
	byH   []*member      // and of heirs
	epoch uint64         // of the view: a hash of all that others must agree on
	since bucket.Instant // when the view came

	founded bool // some partition has had a holder, as far as this node has heard

	members map[ring.Member]*member // the others that are alive
	order   []*member               // the same, by id
	settled map[ring.Member]absence // who counts for the majority besides this node and members
	gone    map[ring.Member]absence // who has left, or whose process has ended, for certain
	gates   gates
	parts   []part

	// Who is not in the view any more and may decide yet, and until when: it was answered by this node before.
	lately map[ring.Member]lateness

	unsaved int  // partitions of which something was saved that is not merged yet
	lost    bool // what was saved could not be read
	sealed  bool // this node decides on nothing any more

	held int  // partitions whose buckets are here and that this node decides on
	calm bool // nothing is wanted or in doubt, nor has ceased to be, since begin last looked

	claim   claim
	counts  Counts
	pace    pace
	leaving pace   // of what goes from a node that leaves
	kept    int    // where Keeps found something
	turn    int    // counts Ticks
	seq     uint64 // of rounds, and of messages with replicas
	out     []Out

	routes  []atomic.Uint64 // of the partitions, for Route
	names   atomic.Pointer[[]ring.Member]
	numbers map[ring.Member]int // of names

	changes []bucket.Change  // room for one tick's
	one     [1]bucket.State  // room for one that is told
	heard   []bucket.Instant // room for refence
	fence   atomic.Int64     // Instant from which on this node does not decide
	lapsed  bool             // it has stopped since
	counted atomic.Int64     // what Size said last
	moves   map[Move]int     // since Moves was asked
	plant   plant            // a planted bug, in tests and by build tags
}

// lateness is which run of a member may decide yet, and until when.
type lateness struct {
	boot  uint64
	until bucket.Instant
	ahead bool // it saw other members
}

// absence is which run of a member is missed, and since when.
type absence struct {
	boot  uint64
	since bucket.Instant
}

// A plant is a bug that the simulator has to find.
type plant uint8

// Out is a message to a member.
type Out struct {
	To   ring.Member
	Boot uint64 // which run of it
	Msg  *Message

	Sent bucket.Instant // for Done

	beside bool // it does not count among those under way
}

// New returns the core of a node without members: it holds nothing before the first View. It returns an error that says
// which field of c is wrong.
func New(c Config) (*Core, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	n := &Core{
		Config: c.withDefaults(), members: map[ring.Member]*member{}, settled: map[ring.Member]absence{},
		gone: map[ring.Member]absence{}, lately: map[ring.Member]lateness{},
		gates: newGates(), me: &member{id: c.Self, route: routeSelf, gone: true},
		parts: make([]part, c.Partitions), plant: built,
	}
	n.routes, n.numbers = make([]atomic.Uint64, c.Partitions), map[ring.Member]int{c.Self: routeSelf}
	n.names.Store(&[]ring.Member{c.Self})
	n.fence.Store(math.MaxInt64)
	if c.Gateway {
		n.fence.Store(0)
	}
	for p := range n.parts {
		n.Store.Freeze(p)
		n.Replicas.Freeze(p)
		if n.Saved != nil {
			n.Saved.Freeze(p)
		}
	}
	n.refillPaces(math.MaxInt64)
	n.pace.last, n.leaving.last = 0, 0
	return n, nil
}

// send appends a message for m.
func (n *Core) send(now bucket.Instant, m *member, msg *Message) {
	msg.Boot = n.Boot
	msg.Epoch = n.epoch
	m.inflight++
	n.out = append(n.out, Out{To: m.id, Boot: m.boot, Msg: msg, Sent: now})
}

// Outbox returns what is to be sent, and forgets it. Done is to be called for each.
func (n *Core) Outbox() []Out {
	out := n.out
	n.out = nil
	return out
}

// Decides says whether this node may decide at now on what its Store holds. It is safe for concurrent use.
func (n *Core) Decides(now bucket.Instant) bool { return int64(now) < n.fence.Load() }

// Holder returns whom this node takes for the holder of p, and the highest term that it has heard of; "" if it does not
// know.
func (n *Core) Holder(p ring.Partition) (ring.Member, Term) {
	m, term := n.holder(int(p))
	return m.name(), term
}

// holder is Holder, with nil for "".
func (n *Core) holder(p int) (*member, Term) {
	q := &n.parts[p]
	switch {
	case q.state == holding:
		return n.me, q.term
	case q.state == sending:
		return q.to, q.toTerm
	case q.holder != nil:
		return q.holder, q.term
	}
	if m := n.target(p); m != n.me {
		return m, q.term
	}
	return nil, q.term
}

// LostSaved notes that what this node had saved cannot be read: a partition that it starts from nothing was more than that.
func (n *Core) LostSaved() { n.lost = true }

// Learn notes that somebody who was asked takes holder for the holder of p, "" if it does not know, and has heard of term.
func (n *Core) Learn(p ring.Partition, holder ring.Member, term Term) {
	q := &n.parts[p]
	if q.state != away || term < q.term || term > maxTerm {
		return
	}
	q.holder = n.members[holder] // nobody if who was asked knows no better, or only one who has left: the next best is to ask the target
	n.hear(int(p), term)
	n.publish(int(p))
}

// Lost notes that holder does not answer for p because its process has ended: the next best is to ask the target.
func (n *Core) Lost(p ring.Partition, holder ring.Member) {
	if q := &n.parts[p]; q.holder.name() == holder {
		q.holder = nil
		n.publish(int(p))
	}
}
