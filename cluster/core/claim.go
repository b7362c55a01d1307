package core

import (
	"slices"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// A claim is a node's question to all members who has what it should hold. One is under way at a time.
type claim struct {
	round   uint64         // 0 if none is under way
	wanted  []int          // what is asked for, in ascending order
	waiting []ring.Member  // who has not answered yet
	stuck   map[int]bool   // somebody may have it, or will not give it yet
	copies  map[int]origin // the newest replica that somebody else has and this node has not
	silent  bool           // somebody could not be asked
	missing bool           // the same, or somebody has another view
	next    bucket.Instant // when to claim again, if something is wanted then
}

// origin is who has a replica, and of which term.
type origin struct {
	of   ring.Member
	term Term
}

// claimAll claims all that this node should hold anew, after a change of the view: also what it holds, since after a cut
// somebody else may hold it too.
func (n *Core) claimAll(now bucket.Instant) {
	n.calm = false
	for p := range n.parts {
		q := &n.parts[p]
		q.expect, q.doubt, q.merged = "", n.isTarget(p), nil
	}
	n.begin(now, func(p int) bool { return n.parts[p].doubt })
}

// reclaim claims what this node should hold, and does not or not alone, and has not been promised.
func (n *Core) reclaim(now bucket.Instant) {
	n.calm = true
	n.begin(now, func(p int) bool {
		if !n.isTarget(p) || !n.wants(p) && !n.parts[p].doubt {
			return false
		}
		n.calm = false
		return !n.expected(now, p)
	})
}

// expected says whether somebody is about to hand p over.
func (n *Core) expected(now bucket.Instant, p int) bool {
	q := &n.parts[p]
	m := n.members[q.expect]
	return m != nil && now < max(q.due, m.handed+bucket.Instant(expectFor*n.Retry))
}

// expectFor is how many times Config.Retry a promised handoff is waited for.
const expectFor = 10

// claimMost is how many partitions are claimed at once: so many have room in an answer.
const claimMost = 8192

// begin starts a round for the partitions that want picks.
func (n *Core) begin(now bucket.Instant, want func(p int) bool) {
	n.seq++
	c := &n.claim
	*c = claim{next: now + bucket.Instant(n.Retry)}
	for p := range n.parts {
		switch q := &n.parts[p]; {
		case !want(p):
		case len(c.wanted) < claimMost:
			c.wanted = append(c.wanted, p)
			q.round = n.seq
		default: // it has its turn after these
			q.round, c.next = 0, now
		}
	}
	if len(c.wanted) == 0 {
		return
	}
	n.counts.Claims++
	c.round, c.stuck, c.copies = n.seq, map[int]bool{}, map[int]origin{}
	wanted := make([]ring.Partition, len(c.wanted))
	for i, p := range c.wanted {
		wanted[i] = ring.Partition(p)
	}
	for _, m := range n.order {
		c.waiting = append(c.waiting, m.id)
		n.send(now, m, &Message{Kind: Claim, Round: c.round, Wanted: wanted})
	}
	n.conclude(now)
}

// claimed answers a claim of m: what is here and should be m's is going to be sent there.
func (n *Core) claimed(m *member, msg *Message) []Place {
	places := make([]Place, len(msg.Wanted))
	for i, part := range msg.Wanted {
		p := int(part)
		q := &n.parts[p]
		places[i] = Place{Partition: part, Term: max(q.term, q.toTerm), Copy: q.copy, Status: n.stance(m, p)}
		if q.copy == 0 && q.state == away { // an orphan is started from what was saved rather than from nothing
			places[i].Copy = q.saved
		}
		if q.state == away && q.term > 0 && q.holder != m.id { // else it is a guess
			places[i].Holder = q.holder
		}
		if places[i].Status == Sends {
			n.promise(m, p, msg.Round)
		}
	}
	return places
}

// stance says how this node stands to m's claim of p.
func (n *Core) stance(m *member, p int) Status {
	q := &n.parts[p]
	named := n.table != nil && n.table.Target(ring.Partition(p)) == m.id
	switch {
	case q.state == sending && q.to != m.id:
		return Keeps // until it is known whether it arrived
	case q.state != away && named:
		return Sends
	case q.state != away || n.isTarget(p):
		return Keeps
	}
	return Nothing
}

// promise notes that p is to be sent to m, in answer to its claim of that round.
func (n *Core) promise(m *member, p int, round uint64) {
	q := &n.parts[p]
	if q.state == sending && q.toRound >= round {
		return // it is on its way, and the claim is a late one if it is an older one
	}
	q.toRound = round
	if q.state == sending {
		q.sending = 0 // what is on its way answers an older claim, and will be refused
	}
	q.to = m.id
	n.enqueue(m, p)
}

func (n *Core) enqueue(m *member, p int) {
	if q := &n.parts[p]; q.queued != m.id {
		q.queued = m.id
		if q.state != holding { // nobody decides on it meanwhile
			m.queue = slices.Insert(m.queue, 0, p)
			return
		}
		m.queue = append(m.queue, p)
	}
}

// answered notes what m said to a claim of the round that is under way.
func (n *Core) answered(now bucket.Instant, m *member, msg *Message, r *Reply) {
	c := &n.claim
	at := slices.Index(c.waiting, m.id)
	if msg.Round != c.round || at < 0 {
		return
	}
	c.waiting = slices.Delete(c.waiting, at, at+1)
	switch {
	case r == nil || len(r.Places) != len(msg.Wanted):
		c.missing, c.silent = true, true
	default:
		c.missing = c.missing || r.Epoch != n.epoch
		for i := range r.Places {
			n.placed(now, m, int(msg.Wanted[i]), &r.Places[i])
		}
	}
	n.conclude(now)
}

// placed notes what m said of p.
func (n *Core) placed(now bucket.Instant, m *member, p int, at *Place) {
	c, q := &n.claim, &n.parts[p]
	n.hear(p, at.Term)
	if at.Copy > c.copies[p].term && q.merged[m.id] < at.Copy {
		c.copies[p] = origin{m.id, at.Copy}
	}
	switch at.Status {
	case Nothing:
		if q.state == away && (q.holder == "" || q.holder == m.id) && at.Term > 0 && at.Term >= q.term {
			q.holder = n.lead(m, at.Holder)
		}
	case Sends:
		if q.round == n.claim.round {
			q.expect, q.due = m.id, now+bucket.Instant(expectFor*n.Retry)
		}
		if q.state != holding {
			q.holder = m.id
		}
		c.stuck[p] = true
	case Keeps:
		if q.state != holding {
			q.holder = m.id
		}
		c.stuck[p] = true
	}
	n.publish(p)
}

// lead returns whom to ask for what m takes holder to hold: m itself if only m knows the holder, as when one has just joined.
func (n *Core) lead(m *member, holder ring.Member) ring.Member {
	switch {
	case holder == "" || holder == n.Self:
		return ""
	case n.members[holder] == nil:
		return m.id
	}
	return holder
}
