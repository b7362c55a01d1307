package core

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// simBooks is what clients reserve and settle.
type simBooks struct {
	rng  *rand.Rand // of its own, so that the rest of a story stays what it was
	keys []*simBooked
	over bool // nobody reserves any more

	made, settled, renewed, crashed, unknown int
}

// simBooked is a key of which tokens or slots are reserved, and all that ever were.
type simBooked struct {
	simKey
	all []*simBooking
}

// simBooking is a client's reservation, as it really was: at the true time, whoever decided on it.
type simBooking struct {
	k        *simBooked
	id       string
	cost     int64
	use      int64 // what it comes to
	ttl      time.Duration
	admitted bool
	at       time.Duration // when it was admitted, or renewed
	by       *simNode      // by whom
	forgiven bool          // that may be lost
	settled  bool
	said     bucket.Settled // of its settlement
	saidAt   time.Duration
	saidBy   *simNode
	waived   bool // what it came to beyond its cost may be lost
	ends     bool // the client settles, or has crashed
}

// slots says whether it is of a Concurrency limit.
func (k *simBooked) slots() bool { return k.limit.Window == bucket.Concurrency }

// drifts is the part of a duration by which a clock may be wrong.
const drifts = 3 * driftMost

// lives says whether b has its slots for certain.
func (b *simBooking) lives(now time.Duration) bool {
	return b.admitted && !b.settled && now < b.at+time.Duration(float64(b.ttl)*(1-drifts))
}

// owed returns what is used or reserved of k: at least, that of which no fault has taken the memory, and at most.
func (s *sim) owed(k *simBooked) (least, most int64) {
	for _, b := range k.all {
		tokens := s.owedFor(k, b)
		if most += tokens; !b.forgiven {
			least += tokens
		}
		if b.waived && !b.forgiven {
			least -= b.said.Charged - b.cost
		}
	}
	return least, most
}

// owedFor is owed for b.
func (s *sim) owedFor(k *simBooked, b *simBooking) (tokens int64) {
	switch {
	case !b.admitted:
	case k.slots():
		if b.lives(s.now) {
			tokens = b.cost
		}
	case b.settled:
		tokens = b.said.Charged
	default:
		tokens = b.cost
	}
	return tokens
}

// exact says whether all that is given back stays so. Where messages are lost a handoff may be sent again, and come when something
// was given back of what it brings: the larger debt stays, as with all copies.
func (s *sim) exact() bool { return s.kind == moves }

// books makes clients reserve.
func (s *sim) books() {
	if s.book.over {
		return
	}
	rng := s.book.rng
	if len(s.book.keys) == 0 || rng.IntN(12) == 0 {
		s.addBooked()
	}
	if len(s.alive) > 0 {
		keys := s.book.keys[max(0, len(s.book.keys)-6):]
		k := keys[rng.IntN(len(keys))]
		b := &simBooking{
			k: k, id: fmt.Sprint("reservation ", s.book.made), cost: 1 + rng.Int64N(8), ttl: time.Second + time.Duration(rng.Int64N(int64(3*time.Second))),
		}
		b.use = rng.Int64N(b.cost + 1)
		if rng.IntN(10) == 0 {
			b.use = b.cost + rng.Int64N(4)
		}
		if k.slots() {
			b.cost, b.use = 1, 0
		}
		s.book.made++
		k.all = append(k.all, b)
		s.bookNow(b)
	}
	s.after(time.Duration(rng.ExpFloat64()*float64(40*time.Millisecond)), s.books)
}

// addBooked brings a key that nobody has reserved of.
func (s *sim) addBooked() {
	limits := []bucket.Limit{
		{Burst: 60}, {Burst: 5, Window: bucket.Concurrency}, {Tokens: 1, Per: time.Hour, Burst: 40}, {Burst: 12, Window: bucket.Concurrency},
	}
	k := &simBooked{simKey: simKey{name: fmt.Sprint("booked ", len(s.book.keys)), limit: limits[len(s.book.keys)%len(limits)]}}
	k.part = ring.Partition(ring.Hash(k.name) % simPartitions)
	s.book.keys = append(s.book.keys, k)
}

// bookNow asks some node for b, or to renew it. Where no state is lost it is asked twice now and then.
func (s *sim) bookNow(b *simBooking) {
	rng := s.book.rng
	n := s.alive[rng.IntN(len(s.alive))]
	s.begin(&request{key: &b.k.simKey, cost: b.cost, name: b.id, at: n, booking: b})
	if s.kind.calmly() && !b.k.slots() && rng.IntN(4) == 0 {
		s.after(time.Duration(rng.Int64N(int64(2*time.Second))), func() {
			if len(s.alive) > 0 {
				s.begin(&request{key: &b.k.simKey, cost: b.cost, name: b.id, at: s.alive[rng.IntN(len(s.alive))], booking: b})
			}
		})
	}
}

// settleNow tells some node what b came to, until somebody answers.
func (s *sim) settleNow(b *simBooking, try int) {
	if len(s.alive) == 0 || try > 40 {
		return
	}
	r := &request{key: &b.k.simKey, name: b.id, at: s.alive[s.book.rng.IntN(len(s.alive))], booking: b, settles: true, try: 0}
	s.begin(r)
	s.after(patience+10*time.Millisecond, func() {
		if !r.decided {
			s.settleNow(b, try+1)
		}
	})
}

// decideBooked decides on r at n, which may hold its key.
func (s *sim) decideBooked(n *simNode, r *request) (bucket.Decision, bool) {
	now, b := s.clock(n), r.booking
	if r.settles {
		said, err := n.store.Settle(now, int(r.key.part), &bucket.Settlement{Key: r.key.name, ID: b.id, Cost: b.use})
		if err != nil {
			return bucket.Decision{}, false
		}
		s.count(uint64(s.now), uint64(n.id[0]), uint64(said.Charged))
		s.saidOf(n, b, said)
		return bucket.Decision{Allowed: said.Known}, true
	}
	d, err := n.store.Take(now, int(r.key.part), &bucket.Request{Key: r.key.name, Limit: r.key.limit, Cost: b.cost, ID: b.id, Reserve: b.ttl})
	if err != nil {
		return d, false
	}
	s.count(uint64(s.now), uint64(n.id[0]), uint64(d.Remaining))
	s.booked(n, b, d)
	return d, true
}

// booked looks at what n decided on b.
func (s *sim) booked(n *simNode, b *simBooking, d bucket.Decision) {
	k := b.k
	switch {
	case !d.Allowed:
		if _, owed := s.owed(k); s.exact() && !k.slots() && !b.admitted && owed+b.cost < k.limit.Burst {
			s.fail("%s denies %d of %s, partition %d, limit %v, of which %d are used or reserved%s", n.id, b.cost, k.name, k.part, k.limit, owed,
				s.describe(k.part))
		}
		return
	case b.admitted && !k.slots():
		return // it was charged
	case b.lives(s.now):
		s.book.renewed++
		b.at, b.by, b.forgiven = s.now, n, false
		return
	}
	b.admitted, b.settled, b.forgiven, b.at, b.by = true, false, false, s.now, n
	if owed, _ := s.owed(k); owed > k.limit.Burst {
		s.fail("%s: %d of %s, partition %d, limit %v, are used or reserved%s", n.id, owed, k.name, k.part, k.limit, s.describe(k.part))
	}
}

// saidOf looks at what n said to b's settlement.
func (s *sim) saidOf(n *simNode, b *simBooking, said bucket.Settled) {
	switch {
	case !b.admitted:
		s.fail("%s settles %s of %s, which was never reserved: %+v", n.id, b.id, b.k.name, said)
	case !said.Known:
		s.book.unknown++
		if s.kind.calmly() && (b.settled || b.lives(s.now)) {
			s.fail("%s does not know %s of %s, partition %d, although no node died%s", n.id, b.id, b.k.name, b.k.part, s.describe(b.k.part))
		}
	case b.settled && s.kind.calmly() && said != b.said:
		s.fail("%s settles %s of %s again as %+v, and it was %+v", n.id, b.id, b.k.name, said, b.said)
	case !b.settled:
		s.book.settled++
		b.settled, b.said, b.saidAt, b.saidBy = true, said, s.now, n
	}
}

// bookAnswered lets the client of r go on: it renews, settles, or has crashed.
func (s *sim) bookAnswered(r *request, d bucket.Decision) {
	b, rng := r.booking, s.book.rng
	r.decided = true
	if r.settles {
		if rng.IntN(3) == 0 {
			s.after(time.Duration(rng.Int64N(int64(3*time.Second))), func() { s.settleNow(b, 40) })
		}
		return
	}
	if !d.Allowed || b.ends {
		return
	}
	if b.k.slots() && rng.IntN(3) > 0 && !s.book.over {
		s.after(b.ttl/3, func() {
			if len(s.alive) > 0 && !b.ends {
				s.bookNow(b)
			}
		})
		return
	}
	b.ends = true
	if rng.IntN(6) == 0 {
		s.book.crashed++
		return
	}
	s.after(time.Duration(rng.Int64N(int64(b.ttl))), func() { s.settleNow(b, 0) })
}

// forgiveBooked takes what may be lost of partition p as lost, now that n has begun to hold it.
func (s *sim) forgiveBooked(n *simNode, p int, all bool) {
	for _, k := range s.book.keys {
		if int(k.part) != p {
			continue
		}
		for _, b := range k.all {
			if b.admitted && s.now-b.at < memoryMost && (all || b.by != n && s.mayLose(b.by, b.at) || s.unsaved(p, b.at)) {
				b.forgiven = true
			}
			if b.settled && b.said.Charged > b.cost && (all || b.saidBy != n && s.mayLose(b.saidBy, b.saidAt) || s.unsaved(p, b.saidAt)) {
				b.waived = true
			}
		}
	}
}

// allSettled lets all that is reserved be settled, or its time be over, and looks whether nothing is left of it.
func (s *sim) allSettled() {
	s.book.over = true
	until := s.now + 10*time.Second
	for len(s.events) > 0 && s.failure == nil && s.events[0].at <= until {
		e := s.events.pop()
		s.now = e.at
		e.do()
	}
	for _, n := range s.alive {
		n.store.Expire(s.clock(n))
		if left := n.store.Stats().Reservations; left > 0 {
			s.fail("%d reservations are left at %s after their time", left, n.id)
		}
	}
	for _, k := range s.book.keys {
		s.leftOf(k)
	}
}

// leftOf looks whether k is as full as it should be, at its holder.
func (s *sim) leftOf(k *simBooked) {
	ids := s.holders(k.part)
	if len(ids) != 1 {
		return // it is on its way
	}
	n := s.nodes[ids[0]]
	d, err := n.store.Take(s.clock(n), int(k.part), &bucket.Request{Key: k.name, Limit: k.limit})
	least, most := s.owed(k)
	atMost, atLeast := max(k.limit.Burst-least, 0), max(k.limit.Burst-most, 0)
	switch {
	case err != nil:
		s.fail("%s: %s: %v", n.id, k.name, err)
	case k.slots() && d.Remaining != k.limit.Burst:
		s.fail("%s: %d slots are free of %s, limit %v, after all were given back", n.id, d.Remaining, k.name, k.limit)
	case d.Remaining > atMost+1, s.exact() && d.Remaining < atLeast-1:
		s.fail("%s: %d tokens are left of %s, partition %d, limit %v, want %d to %d", n.id, d.Remaining, k.name, k.part, k.limit, atLeast, atMost)
	}
}
