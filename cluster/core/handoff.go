package core

import (
	"slices"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// The pace of handoffs and replicas: how much goes into one message, and how many are on their way to one member. A message
// has less than messageBytes + parcelBytes + the size of one entry, half of what a transport takes (256 KiB).
const (
	parcelMost   = 256      // buckets, or request ids
	parcelBytes  = 64 << 10 // after which another entry goes into the next parcel
	messageParts = 256      // parcels
	messageBytes = 48 << 10 // after which another parcel goes into the next message
	bulkMost     = 4
)

// chunks is which parcels of a handoff have come.
type chunks struct {
	round uint64
	from  ring.Member
	count int
	left  int      // how many have not come
	have  []uint64 // a bit for each

	reserved []bucket.Reserved // of those, until all buckets are there
}

// come notes that a parcel has come, and says whether it is the first time.
func (c *chunks) come(i int) bool {
	bit := uint64(1) << (i % 64)
	if c.have[i/64]&bit != 0 {
		return false
	}
	c.have[i/64] |= bit
	c.left--
	return true
}

// fetched is a replica that is to be sent to who has claimed it in a round.
type fetched struct {
	p     int
	round uint64
}

// hand sends m the next of what it was promised, as long as not too much is on its way.
func (n *Core) hand(now bucket.Instant, m *member) {
	if now < m.resume || len(m.queue) == 0 {
		return
	}
	k := n.handoffs(now, m)
	switch urgent := n.parts[m.queue[0]].state != holding; {
	case urgent: // somebody waits for it
	case n.self == noIndex:
		k.pace, k.light = &n.leaving, true
	default:
		k.pace = &n.pace
	}
	drain(m, &m.queue, k, func(p int) { n.handOne(now, m, p, k) })
}

// handoffs returns a packer of handoffs to m.
func (n *Core) handoffs(now bucket.Instant, m *member) *packer {
	return &packer{send: func(parts []Parcel) { n.bulk(now, m, &Message{Kind: Handoff, Parts: parts}) }}
}

// handOne packs p, if it is still to go to m, and stops deciding on it.
func (n *Core) handOne(now bucket.Instant, m *member, p int, k *packer) {
	q := &n.parts[p]
	if q.queued == m {
		q.queued = nil
	}
	if q.to != m || q.toRound == 0 || q.state == away || q.sending > 0 {
		return
	}
	if q.state == holding && n.target(p) != m { // the view has changed since it was promised
		q.to, q.toRound = nil, 0
		return
	}
	if q.state != sending { // else it may have arrived already, by the term that was sent
		q.lapsed, q.toTerm, q.tries = q.state == stale && n.plant != plantStale, q.term.next(), 0
	}
	q.tries++
	if n.plant != plantNoFreeze {
		n.freeze(p, sending)
	} else {
		q.state = sending
	}
	if q.lapsed {
		n.restore(now, p) // who takes it in asks for no replica of this node any more
	}
	first := Parcel{Partition: ring.Partition(p), Round: q.toRound, Stale: q.lapsed}
	if first.Term = q.mine; !q.lapsed {
		first.Term = q.toTerm
	}
	n.publish(p)
	parcels := n.parcels(now, p, n.Store, first)
	if since, cold := n.Store.Cold(p); cold {
		parcels[0].Cold, parcels[0].ColdFor = true, now.Sub(since)
	}
	q.sending = int32(len(parcels))
	k.add(parcels...)
}

// bulk sends m a large message.
func (n *Core) bulk(now bucket.Instant, m *member, msg *Message) {
	if n.plant == plantSender && msg.Kind == Handoff {
		msg.Round = uint64(now)
	}
	m.bulk++
	n.send(now, m, msg)
}

// handed takes what from has sent, and tells in r what became of it.
func (n *Core) handed(now bucket.Instant, from *member, msg *Message, r *Reply) {
	from.handed = now
	for i := range msg.Parts {
		pl := &msg.Parts[i]
		switch accepted, whole := n.take(now, from, pl, msg.Round); {
		case whole:
			r.Taken = append(r.Taken, pl.Partition)
		case accepted:
			r.Partly = append(r.Partly, pl.Partition)
		case n.parts[pl.Partition].mine < pl.Term: // and of a later round than the one that it answers
			r.Never = append(r.Never, pl.Partition)
		}
	}
}

// take takes a parcel in. It does not accept one that answers an older claim than the last, or none: such a one may be a
// late copy of what has moved on since. So may one whose term this node has had already: it was sent again, for a later
// claim, because its sender does not know that it arrived.
func (n *Core) take(now bucket.Instant, from *member, pl *Parcel, sent uint64) (accepted, whole bool) {
	p := int(pl.Partition)
	q := &n.parts[p]
	if pl.Round == q.accepted && pl.Round != 0 && n.plant != plantAnyHandoff {
		return true, true // it came twice
	}
	fresh := pl.Round == q.round && pl.Round != 0 && n.isTarget(p)
	if !fresh && n.plant != plantAnyHandoff {
		return false, false
	}
	if q.got == nil || q.got.round != pl.Round || q.got.from != from.id || q.got.count != pl.Chunks {
		q.got = &chunks{round: pl.Round, from: from.id, count: pl.Chunks, left: pl.Chunks, have: make([]uint64, pl.Chunks/64+1)}
	}
	if q.got.come(pl.Chunk) {
		at := now
		if n.plant == plantSender {
			at = bucket.Instant(sent)
		}
		n.merge(at, p, pl.States)
		if n.plant != plantForgetIDs {
			_ = n.Store.ImportIDs(now, p, pl.IDs)
		}
		if n.plant != plantForgetReserved {
			q.got.reserved = append(q.got.reserved, pl.Reserved...)
		}
		if pl.Cold {
			n.Store.SetCold(p, now-bucket.Instant(max(pl.ColdFor, 0)), true)
		}
	}
	if q.got.left > 0 {
		return true, false
	}
	n.reserve(now, n.Store, p, q.got.reserved)
	q.got.reserved = nil
	if !pl.Stale { // else what its holder has may come yet, in answer to the same claim
		q.accepted = pl.Round
	}
	repeated := pl.Term <= q.mine && n.plant != plantRepeat
	if pl.Stale || repeated || !n.Decides(now) {
		n.takeStale(from, p, pl.Term)
		n.claim.next = now
		return true, true
	}
	if q.copy > 0 {
		n.forget(p) // what has come is newer
	}
	n.unsave(now, p, pl.Term)
	n.hold(p, max(pl.Term, q.term.next()))
	n.moved(TakenIn, from.id)
	q.doubt = false
	return true, true
}

// takeStale notes that buckets of p have come that make nobody its holder: they are merged, and what nobody has is an
// orphan still.
func (n *Core) takeStale(from *member, p int, term Term) {
	q := &n.parts[p]
	q.expect, q.got = nil, nil
	if q.state == holding {
		return
	}
	if q.state == sending { // it should be this node's again before it is known to have arrived
		n.strand(p)
	}
	if q.merged == nil {
		q.merged = map[ring.Member]Term{}
	}
	q.merged[from.id] = term
	q.state, q.mine = stale, max(q.mine, term)
	n.hear(p, term)
	n.calm = false
	n.publish(p)
}

// merge imports states into p. An error is a full store, or a state that breaks a rule: the others are taken.
func (n *Core) merge(now bucket.Instant, p int, states []bucket.State) {
	switch n.plant {
	case plantNewerWins:
		n.Store.Drop(p)
	case plantLoseStates:
		return
	case plantHalve:
		states = halved(states)
	case plantForgetLent:
		states = unlent(states)
	case plantSum:
		states = n.sum(now, p, states)
	default: // no bug here
	}
	_ = n.Store.Import(now, p, states)
}

// delivered notes what became of a handoff to m: r is nil if it is not known.
func (n *Core) delivered(now bucket.Instant, m *member, msg *Message, r *Reply) {
	for i := range msg.Parts {
		pl := &msg.Parts[i]
		p := int(pl.Partition)
		q := &n.parts[p]
		if q.state != sending || q.to != m || q.toRound != pl.Round {
			continue
		}
		switch {
		case r == nil && n.plant == plantResume:
			n.hold(p, q.term)
		case r == nil: // it may have arrived: send it again
			q.sending = 0
			n.enqueue(m, p)
		case slices.Contains(r.Taken, pl.Partition):
			if !q.lapsed {
				n.moved(HandedOver, m.id)
			}
			n.leave(now, p, m, pl.Term)
		case slices.Contains(r.Partly, pl.Partition):
			q.sending--
		case slices.Contains(r.Never, pl.Partition) && q.tries == 1 && !q.lapsed && q.term == q.mine:
			n.hold(p, q.term)
		default: // it may have arrived, and may have moved on
			q.holder = m
			n.strand(p)
		}
	}
}

// fetchedBy notes that m wants replicas that this node keeps.
func (n *Core) fetchedBy(m *member, msg *Message) {
	for _, part := range msg.Wanted {
		p := int(part)
		if (n.parts[p].copy > 0 || n.parts[p].saved > 0) && n.target(p) == m && len(m.fetch) < len(n.parts) {
			m.fetch = append(m.fetch, fetched{p, msg.Round})
		}
	}
}

// handReplicas sends m the replicas that it wants, as long as not too much is on its way.
func (n *Core) handReplicas(now bucket.Instant, m *member) {
	if len(m.fetch) == 0 {
		return
	}
	k := n.handoffs(now, m)
	drain(m, &m.fetch, k, func(f fetched) {
		q := &n.parts[f.p]
		first := Parcel{Partition: ring.Partition(f.p), Round: f.round, Stale: true}
		switch {
		case q.state != away:
		case q.copy > 0:
			first.Term = q.copy
			k.add(n.parcels(now, f.p, n.Replicas, first)...)
		case q.saved > 0:
			first.Term = q.saved
			k.add(n.parcels(now, f.p, n.Saved, first)...)
		}
	})
}
