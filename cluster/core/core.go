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
// A claim goes to all members at once. What nobody has, by the word of every member, is an orphan: its target starts it
// again, from the replica that is the newest. Terms count the holders of a partition; who meets a higher one stops.
//
// Whoever has not been heard by more than half of the settled membership for Config.Fence stops deciding, before the
// others, who wait longer than that, take its partitions for orphans. It resumes by claiming anew.
//
// Copies of a bucket are merged by the larger debt, so messages may come late, twice and in any order.
package core

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// A Term counts the holders that a partition has had; the higher replaces the lower.
type Term uint64

// Config is what a Core is made of. All fields but the durations are required.
type Config struct {
	// Self and Boot say who this node is; a newer run has a larger Boot.
	Self ring.Member
	Boot uint64

	// Store decides on the partitions that are held. All of them are frozen at first.
	Store *bucket.Store

	// Replicas keeps the copies of what others hold. All of its partitions are frozen for good.
	Replicas *bucket.Store

	// Partitions is the number of partitions of both stores and of the ring.
	Partitions int

	// Tick is how often the owner calls Tick. Default: 20ms. It is also how old a replica is at most when it is sent.
	Tick time.Duration

	// Beat is how often each member is asked whether it hears this node. Default: 100ms.
	Beat time.Duration

	// Fence is how long a node decides without being heard by more than half of the membership. Default: 1500ms. It must be
	// less than what the membership takes to miss a node.
	Fence time.Duration

	// Retry is how long a node waits before it claims again what it was refused. Default: 50ms.
	Retry time.Duration

	// Founder says that this node need not wait for anybody before it starts what nobody has ever held. The others wait for
	// Found, lest two who have just met and have not found the cluster yet start one of their own.
	Founder bool

	// Found is how long a view has to last before what nobody has ever held is started. Default: 2s.
	Found time.Duration

	// Forget is how long a dead member counts for the majority. Default: 10m.
	Forget time.Duration
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&c.Tick, 20*time.Millisecond)
	set(&c.Beat, 100*time.Millisecond)
	set(&c.Fence, 1500*time.Millisecond)
	set(&c.Retry, 50*time.Millisecond)
	set(&c.Found, 2*time.Second)
	set(&c.Forget, 10*time.Minute)
	return c
}

// check returns what is wrong with c.
func (c Config) check() error {
	switch {
	case c.Self == "":
		return fmt.Errorf("core: Self is empty")
	case c.Store == nil || c.Replicas == nil:
		return fmt.Errorf("core: Store or Replicas is nil")
	case c.Partitions < 1 || c.Partitions > 1<<16:
		return fmt.Errorf("core: Partitions is %d, want 1 to 65536", c.Partitions)
	case c.Tick < 0 || c.Beat < 0 || c.Fence < 0 || c.Retry < 0 || c.Found < 0 || c.Forget < 0:
		return fmt.Errorf("core: a duration is negative")
	}
	return nil
}

// A Core is the state of one node. It is not safe for concurrent use but for Holder and Decides. Times that it is told must
// not fall.
type Core struct {
	Config
	table *ring.Table    // targets; nil before the first view
	heirs *ring.Table    // targets if this node were gone
	epoch uint64         // of the view: a hash of all that others must agree on
	since bucket.Instant // when the view came

	founded bool // some partition has had a holder, as far as this node has heard

	members map[ring.Member]*member // the others that are alive
	order   []*member               // the same, by id
	settled map[ring.Member]absence // who counts for the majority besides this node and members
	gone    map[ring.Member]absence // who has left, or whose process has ended, for certain
	parts   []part

	// Who is not in the view any more and may decide yet, and until when: it was answered by this node before.
	lately map[ring.Member]lateness

	held int  // partitions whose buckets are here and that this node decides on
	calm bool // nothing is wanted or in doubt since reclaim last looked

	claim claim
	seq   uint64 // of rounds, and of messages with replicas
	out   []Out

	routes  []atomic.Uint64 // of the partitions, for Route
	names   atomic.Pointer[[]ring.Member]
	numbers map[ring.Member]int // of names

	changes []bucket.Change  // room for one tick's
	heard   []bucket.Instant // room for refence
	fence   atomic.Int64     // Instant from which on this node does not decide
	lapsed  bool             // it has stopped since
	counted atomic.Int64     // what Size said last
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

// A part is what a node knows of one partition.
type part struct {
	state  state
	term   Term        // the highest heard of; of this node's holding if it holds
	mine   Term        // by which this node held it last
	holder ring.Member // whom this node takes for the holder, "" if it does not know

	// Of what this node claims.
	expect   ring.Member    // who has said that it will send it
	due      bucket.Instant // when to claim it again nevertheless
	round    uint64         // of the last claim
	doubt    bool           // somebody else may have it too
	accepted uint64         // round of the last handoff that was accepted
	got      chunks         // of the handoff under way

	merged map[ring.Member]Term // whose replicas were merged, of which terms

	// Of what this node sends.
	to      ring.Member // where to
	toRound uint64      // the receiver's
	toTerm  Term
	lapsed  bool        // it was stale before
	tries   int         // how often it was sent
	queued  ring.Member // in whose queue it waits
	sending int         // parcels under way

	// Of the replica that this node keeps, and of that which it has made.
	copy    Term        // term of the replica here, 0 without one
	copySeq uint64      // of its sender's last message
	heir    ring.Member // who has the whole replica of what this node holds, "" if nobody
	fill    ring.Member // in whose fill queue it waits

	fillRound uint64 // of the whole replica that was sent last
	fillLeft  int    // parcels of it that have not arrived, as far as is known
}

// state is what a node does with a partition.
type state uint8

const (
	away    state = iota // its buckets are not here
	holding              // its buckets are here, and this node decides
	stale                // its buckets are here, frozen: somebody else may decide
	sending              // its buckets are frozen and on their way
)

// A plant is a bug that the simulator has to find.
type plant uint8

// Out is a message to a member.
type Out struct {
	To   ring.Member
	Boot uint64 // which run of it
	Msg  *Message

	Sent bucket.Instant // for Done
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
		parts: make([]part, c.Partitions), plant: built,
	}
	n.routes, n.numbers = make([]atomic.Uint64, c.Partitions), map[ring.Member]int{c.Self: routeSelf}
	n.names.Store(&[]ring.Member{c.Self})
	n.fence.Store(math.MaxInt64)
	for p := range n.parts {
		n.Store.Freeze(p)
		n.Replicas.Freeze(p)
	}
	n.Store.Track(true)
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
	q := &n.parts[p]
	switch {
	case q.state == holding:
		return n.Self, q.term
	case q.state == sending:
		return q.to, q.toTerm
	case q.holder != "":
		return q.holder, q.term
	case n.table != nil && n.table.Target(p) != n.Self:
		return n.table.Target(p), q.term
	}
	return "", q.term
}

// Learn notes that somebody who was asked takes holder for the holder of p, "" if it does not know, and has heard of term.
func (n *Core) Learn(p ring.Partition, holder ring.Member, term Term) {
	q := &n.parts[p]
	if q.state != away || term < q.term || term > maxTerm {
		return
	}
	switch {
	case holder == "" || holder == n.Self: // who was asked knows no better: the next best is to ask the target
		q.holder = ""
	case n.members[holder] != nil:
		q.holder = holder
	}
	n.hear(int(p), term)
	n.publish(int(p))
}

// Lost notes that holder does not answer for p because its process has ended: the next best is to ask the target.
func (n *Core) Lost(p ring.Partition, holder ring.Member) {
	if q := &n.parts[p]; q.holder == holder {
		q.holder = ""
		n.publish(int(p))
	}
}

// Held returns how many partitions this node decides on.
func (n *Core) Held() int { return n.held }

// Has returns how many partitions this node has buckets of: 0 when a leaving node may go.
func (n *Core) Has() (count int) {
	for p := range n.parts {
		if n.parts[p].state != away {
			count++
		}
	}
	return count
}

// Wants returns how many partitions this node should hold and does not.
func (n *Core) Wants() (count int) {
	for p := range n.parts {
		if n.wants(p) {
			count++
		}
	}
	return count
}

// wants says whether this node should hold p and does not.
func (n *Core) wants(p int) bool {
	return n.parts[p].state != holding && n.isTarget(p)
}

// isTarget says whether this node's view names it for p.
func (n *Core) isTarget(p int) bool {
	return n.table != nil && n.table.Target(ring.Partition(p)) == n.Self
}

// hold makes this node the holder of p at term.
func (n *Core) hold(now bucket.Instant, p int, term Term) {
	q := &n.parts[p]
	if q.state != holding {
		n.held++
	}
	n.founded = true
	q.state, q.term, q.mine, q.holder, q.expect = holding, term, term, n.Self, ""
	q.to, q.toRound, q.sending, q.heir = "", 0, 0, ""
	q.got, q.merged = chunks{}, nil
	n.Store.Hold(p)
	n.refill(p)
	n.publish(p)
}

// freeze makes this node stop deciding on p, whose buckets stay, and go on in the state to.
func (n *Core) freeze(p int, to state) {
	q := &n.parts[p]
	if q.state == holding {
		n.held--
		n.calm = false
		n.Store.Freeze(p)
	}
	q.state = to
	if to == stale && q.holder == n.Self {
		q.holder = ""
	}
	n.publish(p)
}

// leave makes the buckets of p, which holder has since term, a replica, until the holder says that it has another one.
func (n *Core) leave(now bucket.Instant, p int, holder ring.Member, term Term) {
	q := &n.parts[p]
	n.freeze(p, away)
	n.Replicas.Import(now, p, n.Store.Export(now, p)) // an error is a full store: a replica is worth no other's place
	n.Replicas.ImportIDs(now, p, n.Store.ExportIDs(now, p))
	if term > q.copy {
		q.copy, q.copySeq = term, 0
	}
	n.Store.Drop(p)
	q.holder, q.to, q.toRound, q.sending, q.heir = holder, "", 0, 0, ""
	n.hear(p, term)
	n.publish(p)
}

// hear notes that p has had a holder at term.
func (n *Core) hear(p int, term Term) {
	if q := &n.parts[p]; term > q.term {
		q.term = term
		n.founded = true
	}
}
