package core

import (
	"maps"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// Tick does what is due. It is to be called every Config.Tick.
func (n *Core) Tick(now bucket.Instant) {
	if n.table == nil {
		return
	}
	n.lapse(now)
	n.forgetOld(now, n.settled)
	n.forgetOld(now, n.gone)
	n.forgetOld(now, n.gates.missed)
	n.refence(now)
	if c := &n.claim; c.round == 0 && now >= min(c.next, c.look) && !n.calm {
		n.begin(now)
	}
	n.replicate(now)
	n.refillPaces(now)
	for _, m := range n.order {
		if now-m.beat >= bucket.Instant(n.beatEvery()) && m.inflight < inflightMost {
			n.beatTo(now, m)
		}
	}
	n.turn++
	each := func(do func(now bucket.Instant, m *member)) {
		for i := range n.order { // another one comes first each time
			do(now, n.order[(i+n.turn)%len(n.order)])
		}
	}
	each(n.handReplicas)
	each(n.hand) // before whole replicas, which have what is left of the pace
	n.bring(now)
	each(n.fillNext)
	each(n.releaseNext)
}

// beatEvery is how often the others are asked whether they hear this node.
func (n *Core) beatEvery() time.Duration {
	if n.Gateway {
		return n.Call
	}
	return n.Beat
}

// forgetOld forgets who is absent for longer than it counts.
func (n *Core) forgetOld(now bucket.Instant, absent map[ring.Member]absence) {
	if len(absent) > 0 {
		maps.DeleteFunc(absent, func(_ ring.Member, a absence) bool { return now.Sub(a.since) > n.Forget })
	}
}

// inflightMost is how many messages to a member may be on their way before beats to it wait: a silent member costs a few.
const inflightMost = 16

// push sends m what waits for it.
func (n *Core) push(now bucket.Instant, m *member) {
	n.handReplicas(now, m)
	n.hand(now, m)
	n.bringNext(now, m)
	n.fillNext(now, m)
}

// Tell takes note of what from says and answers it. What is wrong with it is ignored, as far as it is wrong.
func (n *Core) Tell(now bucket.Instant, from ring.Member, msg *Message) *Reply {
	n.lapse(now)
	r := &Reply{Boot: n.Boot, Epoch: n.epoch, Founded: n.founded}
	m := n.members[from]
	if m == nil {
		n.tellGate(now, from, msg, r)
		return r
	}
	if m.boot != msg.Boot || !n.fits(msg) || n.Gateway && msg.Kind != Beat {
		return r
	}
	r.Known = true
	m.answered, m.epoch = now, msg.Epoch
	switch msg.Kind {
	case Beat:
		n.heardOf(now, msg.Missed, msg.Gone)
		n.heardOfGates(now, msg.Gates)
		r.Missed, r.Gone = runs(now, n.settled), runs(now, n.gone)
	case Claim:
		r.Places = n.claimed(m, msg)
		if n.unsure(now) {
			r.Epoch = 0 // what nobody has must not be started yet
		}
		n.push(now, m)
	case Handoff:
		n.handed(now, m, msg, r)
	case Fetch:
		n.fetchedBy(m, msg)
		n.push(now, m)
	case Replicate:
		r.Over = n.copied(now, m, msg)
	case Release:
		n.released(msg)
	case Merge:
		n.broughtBy(now, msg, r)
	}
	return r
}

// fits says whether all partitions in msg are there.
func (n *Core) fits(msg *Message) bool {
	for _, p := range msg.Wanted {
		if int(p) >= len(n.parts) {
			return false
		}
	}
	for i := range msg.Parts {
		pl := &msg.Parts[i]
		if int(pl.Partition) >= len(n.parts) || pl.Term > maxTerm || pl.Chunks < 0 || pl.Chunks > maxChunks || pl.Chunk < 0 || pl.Chunks > 0 && pl.Chunk >= pl.Chunks {
			return false
		}
		if msg.Kind == Handoff && pl.Chunks == 0 {
			return false
		}
	}
	return true
}

// Done notes what became of a message: r is its answer, nil if there was none.
func (n *Core) Done(now bucket.Instant, o Out, r *Reply) {
	n.lapse(now)
	m := n.members[o.To]
	if m == nil || m.boot != o.Boot {
		return
	}
	if !o.beside {
		m.inflight--
		if bulky(o.Msg.Kind) {
			m.bulk--
		}
	}
	if r != nil && r.Boot != m.boot {
		r = nil // another run of it
	}
	if r != nil && r.Known {
		m.heard, m.epoch = max(m.heard, o.Sent), r.Epoch
		n.heardOf(now, r.Missed, r.Gone)
		n.heardOfGates(now, r.Gates)
		n.founded = n.founded || r.Founded
	}
	known := r
	if r != nil && !r.Known {
		known = nil // it did nothing
	}
	switch o.Msg.Kind {
	case Claim:
		n.answered(now, m, o.Msg, known)
	case Handoff:
		if known == nil {
			m.resume = now + bucket.Instant(n.Retry) // else a member that cannot be told would take all of the pace
		}
		n.delivered(now, m, o.Msg, known)
	case Replicate:
		m.acknowledged(now, o.Sent, known != nil)
		n.copiedBy(m, o.Msg, known)
	case Release:
		if known == nil {
			m.resume = now + bucket.Instant(n.Retry)
			m.releaseAgain(o.Msg)
		}
	case Merge:
		n.brought(now, m, o.Msg, known)
	default: // there is nothing to note
	}
	if known != nil { // or else at the next Tick: a member that refuses is not asked again at once
		n.push(now, m)
	}
}

func bulky(k Kind) bool { return k == Handoff || k == Replicate || k == Merge }
