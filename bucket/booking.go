package bucket

import (
	"fmt"
	"slices"
)

// clash returns an error if it has the id of a living reservation of its key of the other kind.
func (g *group) clash(it *Item) error {
	r := it.Request
	if r.Cost == 0 {
		return nil
	}
	b := g.s.booking(g.now, it.Partition, r.Key, r.ID)
	if b == nil || b.end != living || g.s.plans.at(b.plan).slots == g.s.plans.at(it.plan).slots {
		return nil
	}
	return fmt.Errorf("%w: %q is a reservation of the key under limit %q, want another one under %q", ErrID, r.ID, g.s.plans.at(b.plan).limit, r.Limit)
}

// renews says whether it has the id of a living reservation: then that is all it asks for.
func (g *group) renews(it *Item) bool {
	r := it.Request
	if r.Reserve == 0 || r.Cost == 0 {
		return false
	}
	b := g.s.booking(g.now, it.Partition, r.Key, r.ID)
	if b == nil || b.end != living {
		return false
	}
	g.work[it.work].bucket.take(g.now, g.s.plans.at(it.plan), 0, &it.Decision)
	if g.work[it.work].slots {
		g.times(it)
	}
	it.booked = b
	return true
}

// readSlots reads what is reserved of w's key under Concurrency limits.
func (g *group) readSlots(w work) error {
	it := &g.items[w.item]
	w.record, w.slots = nil, true
	if sh := g.s.shelf(g.now, it.Partition, it.Request.Key); sh != nil {
		w.before = Bucket{debt: min(sh.slots, maxDebt)}
	}
	w.bucket = w.before
	g.work = append(g.work, w)
	return nil
}

// times makes the decision on it, which is under a Concurrency limit, say when a slot's time is over, and when that of all is: most come back
// sooner.
func (g *group) times(it *Item) {
	d := &it.Decision
	d.ResetAfter = 0
	if it.receipt.units > 0 {
		d.ResetAfter = it.Request.Reserve
	}
	sh := g.s.shelf(g.now, it.Partition, it.Request.Key)
	if sh == nil || sh.slots == 0 {
		return
	}
	d.ResetAfter = max(d.ResetAfter, sh.last.Sub(g.now))
	if !d.Allowed {
		d.RetryAfter = g.s.nextSlot(it.Partition>>g.s.width, sh).Sub(g.now)
	}
}

// nextSlot returns when the time of the first slot of sh, in shard i, is over.
func (s *Store) nextSlot(i int, sh *shelf) Instant {
	next := sh.last
	for _, b := range s.books[i].due {
		if b.shelf == sh && b.end == living && b.until < next && s.plans.at(b.plan).slots {
			next = b.until
		}
	}
	return next
}

// bookRoom makes room for what the items reserve.
func (g *group) bookRoom() error {
	n := int64(0)
	for i := range g.items {
		if g.items[i].reserves() {
			n++
		}
	}
	if !g.s.counts.room(n, g.s.counts.most) {
		return fmt.Errorf("%w: no room for a new reservation, MaxReservations is %d", ErrFull, g.s.counts.most)
	}
	return nil
}

// reserves says whether it has taken what it reserves.
func (it *Item) reserves() bool { return it.Request.Reserve > 0 && it.receipt.units > 0 }

// book keeps the reservation of it, or renews the one that it has, and returns the round of one that is new, else 0.
func (g *group) book(it *Item) (round uint64) {
	r, i := it.Request, it.Partition>>g.s.width
	until := g.now + Instant(r.Reserve)
	if it.booked != nil {
		if !it.booked.gone {
			g.s.renew(i, it.booked, until)
		}
		return 0
	}
	if !it.reserves() {
		return 0
	}
	g.s.plans.at(it.plan).refs.Add(1)
	b := &booking{plan: it.plan, round: 1, cost: r.Cost, until: until, taken: g.now, silent: r.Durability == Ephemeral}
	g.s.put(i, bookKey{leaseKey{g.s.number(it.Partition), r.Key}, r.ID}, b)
	if !g.s.plans.at(it.plan).slots {
		g.s.intoLine(g.now, i, g.s.shard(it.Partition).find(it.tag, r.Key), b, maxDebt)
	}
	g.s.tell(i, b)
	return b.round
}

// unbook makes the reservation of h as if it had never been, but for what it took of a bucket, which is h's to give back. What
// others took since owes as much less. It says whether it was living yet.
func (s *Store) unbook(now Instant, h *Hold) bool {
	b := s.booking(now, h.part, h.key, h.id)
	if b == nil || b.end != living || b.round != h.round {
		return false
	}
	for k := range b.shelf.line {
		if b.shelf.line[k] == b {
			b.shelf.lower(k, h.receipt.units)
			break
		}
	}
	s.finish(now+Instant(settledFor), h.part>>s.width, b, undone, 0)
	return true
}

// relieved notes that units were given back of what was taken of r's bucket, in shard i, at some time.
func (s *Store) relieved(i int, r *record, at Instant, units int64) {
	if r.bits&lent == 0 {
		return
	}
	if sh := s.leases[i][s.leased(r)].line; sh != nil {
		sh.lower(sh.since(at), units)
	}
}

// lowered notes that r's bucket, in shard i, was replaced by one that may owe less than before, whatever the reason.
func (s *Store) lowered(now Instant, i int, r *record, before int64) {
	if r.bits&lent == 0 {
		return
	}
	if sh := s.leases[i][s.leased(r)].line; sh != nil {
		units, _ := r.bucket.missing(now, s.plans.at(r.plan()))
		sh.lower(0, max(before-units, 0))
	}
}

// freeSlots frees what is reserved of key in partition part under Concurrency limits.
func (s *Store) freeSlots(part int, key string) {
	k := s.books[part>>s.width]
	if k == nil {
		return
	}
	sh := k.shelves[leaseKey{s.number(part), key}]
	if sh == nil || sh.slots == 0 {
		return
	}
	for _, b := range slices.Clone(k.due) { // which changes
		if b.shelf == sh && b.end == living && s.plans.at(b.plan).slots {
			s.finish(b.until, part>>s.width, b, undone, 0)
		}
	}
}
