package core

import (
	"slices"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// filled notes that m has the whole replica of p: the others need not keep theirs.
func (n *Core) filled(m *member, p int) {
	n.parts[p].heir = m
	n.release(p)
}

// release tells all but the heir of p that they need not keep a replica.
func (n *Core) release(p int) {
	for _, m := range n.order {
		if m != n.parts[p].heir {
			m.rid = append(m.rid, ring.Partition(p))
		}
	}
}

// releaseAll tells m, who is new, that it need not keep a replica of what others have one of: while this node did not see m it
// could not.
func (n *Core) releaseAll(m *member) {
	for p := range n.parts {
		if q := &n.parts[p]; q.state == holding && q.heir != nil && q.heir != m {
			m.rid = append(m.rid, ring.Partition(p))
		}
	}
}

// releaseMost is how many releases go out in one message; the others wait for the next Tick.
const releaseMost = 4096

// releaseNext sends m the releases that wait.
func (n *Core) releaseNext(now bucket.Instant, m *member) {
	if len(m.rid) == 0 || now < m.resume {
		return
	}
	slices.Sort(m.rid)
	m.rid = slices.Compact(m.rid)
	next := m.rid[:min(len(m.rid), releaseMost)]
	m.rid = slices.Clone(m.rid[len(next):])
	msg := &Message{Kind: Release, Parts: make([]Parcel, 0, len(next))}
	for _, p := range next {
		if q := &n.parts[p]; q.state == holding && q.heir != nil && q.heir != m {
			msg.Parts = append(msg.Parts, Parcel{Partition: p, Term: q.term})
		}
	}
	if len(msg.Parts) > 0 {
		n.copyTo(now, m, msg)
	}
}

// releaseAgain makes a message that may not have arrived be sent again: a node that leaves waits for it.
func (m *member) releaseAgain(msg *Message) {
	for i := range msg.Parts {
		m.rid = append(m.rid, msg.Parts[i].Partition)
	}
}

// released drops replicas that the sender, who holds them, has elsewhere: those of older terms, and of its own if nothing
// has come since. Of what is on its way to the sender, as far as this node knows, it makes none once that has arrived.
func (n *Core) released(msg *Message) {
	for i := range msg.Parts {
		pl := &msg.Parts[i]
		p := int(pl.Partition)
		q := &n.parts[p]
		if q.state == away && q.copy > 0 && (q.copy < pl.Term || q.copy == pl.Term && q.copySeq < msg.Round) {
			n.forget(p)
			q.freed, q.copySeq = pl.Term, msg.Round
		}
		if q.state == sending {
			q.freed = max(q.freed, pl.Term)
		}
	}
}
