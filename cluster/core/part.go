package core

import (
	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// A part is what a node knows of one partition. There are many, and all are looked at when the view changes: what that is about
// comes first.
type part struct {
	state  state
	doubt  bool                 // its buckets are here, and somebody else may have some too
	lapsed bool                 // what is sent was stale before
	term   Term                 // the highest heard of; of this node's holding if it holds
	holder *member              // whom this node takes for the holder, nil if it does not know
	round  uint64               // of the last claim of it
	expect *member              // who has said that it will send it
	due    bucket.Instant       // when to claim it again nevertheless
	heir   *member              // who has the whole replica of what this node holds, nil if nobody
	merged map[ring.Member]Term // whose replicas were merged, of which terms

	mine Term // by which this node held it last

	// Of what this node claims.
	accepted uint64  // round of the last handoff that was accepted
	got      *chunks // of the handoff under way, nil if there is none

	// Of what this node sends.
	to      *member // where to
	toRound uint64  // the receiver's
	toTerm  Term
	queued  *member // in whose queue it waits
	tries   int32   // how often it was sent
	sending int32   // parcels under way

	// Of the replica that this node keeps, and of that which it has made.
	copy      Term    // term of the replica here, 0 without one
	copySeq   uint64  // of its sender's last message
	freed     Term    // of a holder who needs no replica here of what it was sent, 0 if that is not known
	fill      *member // in whose fill queue it waits
	fillRound uint64  // of the whole replica that was sent last
	fillLeft  int32   // parcels of it that have not arrived, as far as is known

	// Of what this node had saved.
	bringLeft  int32   // parcels that are on their way
	saved      Term    // by which it held it then, 0 if there is nothing
	bring      *member // who is asked to take it
	bringRound uint64  // of the parcels, 0 while it is only asked
}

// state is what a node does with a partition.
type state uint8

const (
	away    state = iota // its buckets are not here
	holding              // its buckets are here, and this node decides
	stale                // its buckets are here, frozen: somebody else may decide
	sending              // its buckets are frozen and on their way
)

// Held returns how many partitions this node decides on.
func (n *Core) Held() int { return n.held }

// Drained says whether this node leaves, has no buckets any more and takes in none: it may go.
func (n *Core) Drained() bool { return n.self == noIndex && n.held == 0 && n.Has() == 0 }

// Has returns how many partitions this node has buckets of.
func (n *Core) Has() (count int) {
	for p := range n.parts {
		if n.parts[p].state != away {
			count++
		}
	}
	return count
}

// Kept returns of how many partitions this node has a replica that their holder may have nowhere else: 0 when nobody misses a
// leaving node. It is 0 as well where the others are too few to keep a replica of each other's.
func (n *Core) Kept() (count int) {
	if !n.keeps() {
		return 0
	}
	for p := range n.parts {
		if n.keepsOf(p) {
			count++
		}
	}
	return count
}

// Keeps says whether Kept is more than 0. It looks first where it found something the last time, so that who waits for it may
// ask often.
func (n *Core) Keeps() bool {
	if !n.keeps() {
		return false
	}
	for range n.parts {
		if n.keepsOf(n.kept) {
			return true
		}
		n.kept = (n.kept + 1) % len(n.parts)
	}
	return false
}

// keeps says whether the others are enough to keep replicas of each other's.
func (n *Core) keeps() bool {
	if n.table == nil {
		return false
	}
	others := len(n.table.Members())
	if n.self != noIndex {
		others--
	}
	return others >= 2
}

// keepsOf says whether this node has a replica of p, which a member holds.
func (n *Core) keepsOf(p int) bool {
	q := &n.parts[p]
	return q.state == away && q.copy > 0 && q.holder != nil && !q.holder.gone
}

// Lacks says whether Wants is more than 0. It mostly looks at no partition, so that who waits for it may ask often.
func (n *Core) Lacks() bool {
	return n.table != nil && n.self != noIndex && n.held < n.table.Count(n.self) || n.Wants() > 0
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
	return n.table != nil && n.table.TargetIndex(ring.Partition(p)) == n.self
}

// hold makes this node the holder of p at term.
func (n *Core) hold(p int, term Term) {
	q := &n.parts[p]
	if q.state != holding {
		n.held++
	}
	n.founded = true
	q.state, q.term, q.mine, q.holder, q.expect = holding, term, term, n.me, nil
	q.to, q.toRound, q.toTerm, q.sending, q.heir = nil, 0, 0, 0, nil // no term but mine was given away
	q.got, q.merged = nil, nil
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
	if to == away && q.doubt {
		q.doubt, n.calm = false, false
	}
	if to == stale && q.holder == n.me {
		q.holder = nil
	}
	n.publish(p)
}

// leave makes the buckets of p, which holder has since term, a replica, until the holder says that it has another one.
func (n *Core) leave(now bucket.Instant, p int, holder *member, term Term) {
	q := &n.parts[p]
	n.freeze(p, away)
	if q.freed < term {
		_ = n.Replicas.Import(now, p, n.Store.Export(now, p)) // an error is a full store: a replica is worth no other's place
		_ = n.Replicas.ImportIDs(now, p, n.Store.ExportIDs(now, p))
		n.reserve(now, n.Replicas, p, n.Store.ExportReserved(now, p))
		if term > q.copy {
			q.copy, q.copySeq = term, 0
		}
	} else if q.copy > 0 && q.copy <= term {
		n.forget(p)
	}
	n.Store.Drop(p)
	q.holder, q.to, q.toRound, q.sending, q.heir = holder, nil, 0, 0, nil
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
