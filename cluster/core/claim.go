package core

import (
	"slices"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// A claim is a node's question to members who has what it should hold. One is under way at a time.
type claim struct {
	round   uint64         // 0 if none is under way
	wanted  []int          // what is asked for, in ascending order
	stuck   []bool         // of each of them: somebody may have it, or will not give it yet
	copies  []origin       // of each of them, the newest replica that somebody else has and this node has not
	waiting []*member      // who has not answered yet
	silent  bool           // somebody could not be asked
	missing bool           // the same, or somebody has another view
	next    bucket.Instant // when to claim again, if something is wanted then
	look    bucket.Instant // when to ask again about what is in doubt
	from    int            // where that begins
	room    []int          // for begin
}

// origin is who has a replica, and of which term.
type origin struct {
	of   *member
	term Term
}

// claimAll claims all that this node should hold and does not, anew, after a change of the view. What it holds somebody else
// may hold too, or keep buckets of: who was not there before, as beyond a cut, or who leaves and is to have nothing then.
func (n *Core) claimAll(now bucket.Instant) {
	unasked := slices.ContainsFunc(n.order, func(m *member) bool { return !m.asked })
	for p := range n.parts {
		q := &n.parts[p]
		q.expect, q.merged, q.round = nil, nil, 0
		q.doubt = q.state != away && (q.doubt || unasked)
	}
	n.claim.next, n.claim.look, n.claim.from = now, now, 0
	n.begin(now)
}

// expected says whether somebody is about to hand p over.
func (n *Core) expected(now bucket.Instant, p int) bool {
	q := &n.parts[p]
	m := q.expect
	return m != nil && now < max(q.due, m.handed+bucket.Instant(expectFor*n.Retry))
}

// expectFor is how many times Config.Retry a promised handoff is waited for.
const expectFor = 10

// claimMost is how many partitions are claimed at once: so many have room in an answer.
const claimMost = 8192

// doubtShare is which part of all partitions is asked about at once of what this node holds: nobody waits for that, and checks
// would wait for it if it were all.
const doubtShare = 16

// begin starts a round for what this node should hold, and does not, and has not been promised. If there is nothing, it asks
// those about what it holds who were not asked yet: a few at a time.
func (n *Core) begin(now bucket.Instant) {
	n.seq++
	c := &n.claim
	*c = claim{next: c.next, look: c.look, from: c.from, wanted: c.wanted[:0], room: c.room}
	may, more := now >= c.next, false
	doubted := c.room[:0]
	sure := true
	n.calm = true
	for p := range n.parts {
		q := &n.parts[p]
		sure = sure && !q.doubt
		if q.state == holding && !q.doubt || !n.isTarget(p) {
			continue
		}
		n.calm = false
		switch {
		case n.expected(now, p):
		case q.state == holding:
			doubted = append(doubted, p)
		case may && len(c.wanted) < claimMost:
			c.wanted = append(c.wanted, p)
			q.round = n.seq
		case may: // it has its turn after these
			q.round, more = 0, true
		}
	}
	c.room = doubted
	if sure {
		for _, m := range n.order {
			m.asked = true
		}
	}
	if may && !more {
		c.next = now + bucket.Instant(n.Retry)
	}
	if len(doubted) == 0 {
		c.look = c.next
	}
	of := func(*member) bool { return true }
	if len(c.wanted) == 0 {
		if now < c.look || len(doubted) == 0 {
			return
		}
		c.wanted = append(c.wanted, n.someDoubted(now, doubted)...)
		of = func(m *member) bool { return !m.asked }
	}
	n.ask(now, of)
}

// someDoubted returns the next few of doubted, which are about to be asked about.
func (n *Core) someDoubted(now bucket.Instant, doubted []int) []int {
	c := &n.claim
	i, _ := slices.BinarySearch(doubted, c.from)
	some := doubted[i:min(len(doubted), i+max(1, len(n.parts)/doubtShare))]
	switch last := i + len(some); {
	case last == len(doubted):
		c.from, c.look = 0, now+bucket.Instant(n.Retry)
	default:
		c.from = doubted[last]
	}
	for _, p := range some {
		n.parts[p].round = n.seq
	}
	return some
}

// ask asks those members that of picks about what is wanted.
func (n *Core) ask(now bucket.Instant, of func(m *member) bool) {
	c := &n.claim
	n.counts.Claims++
	c.round, c.stuck, c.copies = n.seq, make([]bool, len(c.wanted)), make([]origin, len(c.wanted))
	wanted := make([]ring.Partition, len(c.wanted))
	for i, p := range c.wanted {
		wanted[i] = ring.Partition(p)
	}
	for _, m := range n.order {
		if of(m) {
			c.waiting = append(c.waiting, m)
			n.send(now, m, &Message{Kind: Claim, Round: c.round, Wanted: wanted})
		}
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
		if q.state == away && q.term > 0 && q.holder != m { // else it is a guess
			places[i].Holder = q.holder.name()
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
	named := n.target(p) == m
	switch {
	case q.state == sending && q.to != m:
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
	q.to = m
	n.enqueue(m, p)
}

func (n *Core) enqueue(m *member, p int) {
	if q := &n.parts[p]; q.queued != m {
		q.queued = m
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
	at := slices.Index(c.waiting, m)
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
			n.placed(now, m, i, &r.Places[i])
		}
	}
	n.conclude(now)
}

// placed notes what m said of the i-th that is wanted.
func (n *Core) placed(now bucket.Instant, m *member, i int, at *Place) {
	c := &n.claim
	p := c.wanted[i]
	q := &n.parts[p]
	n.hear(p, at.Term)
	if at.Copy > c.copies[i].term && q.merged[m.id] < at.Copy {
		c.copies[i] = origin{m, at.Copy}
	}
	switch at.Status {
	case Nothing:
		if q.state == away && (q.holder == nil || q.holder == m) && at.Term > 0 && at.Term >= q.term {
			q.holder = n.lead(m, at.Holder)
		}
	case Sends:
		if q.round == c.round {
			q.expect, q.due = m, now+bucket.Instant(expectFor*n.Retry)
		}
		if q.state != holding {
			q.holder = m
		}
		c.stuck[i] = true
	case Keeps:
		if q.state != holding {
			q.holder = m
		}
		c.stuck[i] = true
	}
	n.publish(p)
}

// lead returns whom to ask for what m takes holder to hold: m itself if only m knows the holder, as when one has just joined.
func (n *Core) lead(m *member, holder ring.Member) *member {
	if holder == "" || holder == n.Self {
		return nil
	}
	if o := n.members[holder]; o != nil {
		return o
	}
	return m
}
