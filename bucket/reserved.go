package bucket

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Reserved is a reservation, or the memory of one that has ended, on its way between stores: amounts and durations only, no
// clock readings.
type Reserved struct {
	Key, ID string
	Limit   Limit
	Cost    int64 // tokens

	// Round counts the reservations of one key and id: the higher replaces the lower.
	Round uint64

	// Left is how long it lasts yet, or, once it has ended, how long that is remembered.
	Left time.Duration

	// Least is the most that a settlement gives back yet, in the units of Limit. 0 with a Concurrency limit.
	Least int64

	// Debt is what the bucket owes, in the same units, while anything may be given back: a copy that owes more does not know of
	// this reservation.
	Debt int64

	// Charged is what it came to, once it is Settled. One that ended otherwise, before its time, is Undone: as if it had never
	// been.
	Charged         int64
	Settled, Undone bool
}

// How many reservations one Change has at most: of Changes, and of Change, for which somebody waits.
const (
	reservedMost = 64
	copyMost     = 192
)

// reserved returns b, of shard i, as others are to take it.
func (s *Store) reserved(now Instant, i int, b *booking) Reserved {
	r := Reserved{
		Key: b.shelf.of.key, ID: b.id, Limit: s.plans.at(b.plan).limit, Cost: b.cost, Round: b.round, Left: b.until.Sub(now),
		Charged: b.charged, Settled: b.end == settled, Undone: b.end == undone,
	}
	k, part := b.index(), i<<s.width|int(b.shelf.of.number)
	if k < 0 {
		return r
	}
	if rec := s.shard(part).find(s.tag(part, r.Key), r.Key); rec != nil {
		r.Debt, r.Least = s.missing(now, i, rec), b.shelf.most(k)
	}
	return r
}

// ExportReserved returns the reservations of partition part, and the memory of those that have ended, in the order in which they
// came. The partition may be frozen.
func (s *Store) ExportReserved(now Instant, part int) []Reserved {
	if !s.has(part) {
		return nil
	}
	i := part >> s.width
	sh := &s.shards[i]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s.books[i] == nil {
		return nil
	}
	s.overdue(now, i)
	var all []Reserved
	for _, b := range s.bookingsOf(part) {
		all = append(all, s.reserved(now, i, b))
	}
	return all
}

// bookingsOf returns the bookings of partition part in the order in which they came.
func (s *Store) bookingsOf(part int) []*booking {
	var all []*booking
	for _, b := range s.books[part>>s.width].of {
		if b.shelf.of.number == s.number(part) {
			all = append(all, b)
		}
	}
	slices.SortFunc(all, func(a, b *booking) int { return cmp.Compare(a.turn, b.turn) })
	return all
}

// strikeAll forgets all reservations of partition part.
func (s *Store) strikeAll(part int) {
	if s.books[part>>s.width] == nil {
		return
	}
	for _, b := range s.bookingsOf(part) {
		s.strike(part>>s.width, b)
	}
}

// ImportReserved makes the union of what s knows of partition part's reservations and of all: what has ended in one has ended,
// and what lives in both lasts as long as in either. It is to be called after Import of the buckets: of what their copies here do
// not owe nothing is given back. It returns the first error: one that wraps ErrKey, ErrID, ErrLimit or ErrReserve for one that
// breaks a rule, ErrFull where several times MaxReservations have come, or ErrMoved if there is no such partition; the others are
// imported all the same. The partition may be frozen.
func (s *Store) ImportReserved(now Instant, part int, all []Reserved) error {
	if !s.has(part) {
		return ErrMoved
	}
	var first error
	for i := range all {
		if err := s.bringReserved(now, part, &all[i]); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// check returns an error if r cannot have been reserved.
func (r *Reserved) check() error {
	if r.Cost < 1 || r.Cost > MaxCost || r.Charged < 0 || r.Charged > MaxCost || r.Round == 0 || r.Limit.Queue != 0 {
		return fmt.Errorf("%w: cost %d, charged %d, round %d under %q", ErrReserve, r.Cost, r.Charged, r.Round, r.Limit)
	}
	return (&Settlement{Key: r.Key, ID: r.ID}).Check()
}

// bringReserved imports r.
func (s *Store) bringReserved(now Instant, part int, r *Reserved) error {
	if err := r.check(); err != nil {
		return err
	}
	if r.Left <= 0 {
		return nil
	}
	plan, err := s.plans.hold(r.Limit)
	if err != nil {
		return err
	}
	defer s.plans.release(plan)
	i := part >> s.width
	sh := &s.shards[i]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.bookOf(i)
	now = max(now, s.seen[i])
	b := &booking{plan: plan, round: r.Round, cost: r.Cost, charged: r.Charged, taken: now}
	b.until = now + Instant(min(r.Left, MaxReserve))
	switch {
	case r.Settled:
		b.end = settled
	case r.Undone:
		b.end = undone
	}
	was := s.booking(now, part, r.Key, r.ID)
	if was != nil && was.round >= b.round {
		s.unite(now, part, r, was, b)
		return nil
	}
	return s.bringBooking(now, part, r, b)
}

// unite makes was, in partition part, what it and b, which is not of a later round, come to together. Where Import took the copy
// of the bucket that came, what it says of was counts.
func (s *Store) unite(now Instant, part int, r *Reserved, was, b *booking) {
	i := part >> s.width
	switch {
	case was.end != living || b.round < was.round:
		return
	case b.end != living:
		s.finish(b.until, i, was, b.end, b.charged)
		return
	}
	s.renew(i, was, b.until)
	if k := was.index(); k >= 0 && was.shelf.most(k) == 0 {
		s.outOfLine(i, was)
		s.inLine(now, part, r, was)
	}
}

// inLine puts b, of which r tells, into the line of its bucket in partition part, if that owes no more than r says.
func (s *Store) inLine(now Instant, part int, r *Reserved, b *booking) {
	i := part >> s.width
	rec := s.shard(part).find(s.tag(part, r.Key), r.Key)
	if rec != nil && s.missing(now, i, rec) <= r.Debt {
		s.intoLine(now, i, rec, b, max(r.Least, 0))
	}
}

// bringBooking puts b into the book, as r says.
func (s *Store) bringBooking(now Instant, part int, r *Reserved, b *booking) error {
	i := part >> s.width
	if b.end == living && !s.counts.room(1, s.counts.most*importMore) {
		return fmt.Errorf("%w: no room for a reservation from elsewhere, MaxReservations is %d", ErrFull, s.counts.most)
	}
	s.plans.at(b.plan).refs.Add(1)
	s.put(i, bookKey{leaseKey{s.number(part), r.Key}, r.ID}, b)
	if b.end == living && !s.plans.at(b.plan).slots {
		s.inLine(now, part, r, b)
	}
	s.tell(i, b)
	return nil
}

// reservedOf appends up to most reservations of shard i that changed to the Changes of their keys, which are those of to from
// first on or new ones, and forgets that they did.
func (s *Store) reservedOf(now Instant, i, most int, to []Change, first int) []Change {
	k := s.books[i]
	at := make(map[*shelf]int)
	for c := first; c < len(to); c++ {
		if sh := k.shelves[leaseKey{s.number(to[c].Partition), to[c].Key}]; sh != nil {
			at[sh] = c
		}
	}
	seen := 0
	for ; seen < len(k.changed) && seen < most; seen++ {
		b := k.changed[seen]
		if b.changed = false; b.gone {
			continue
		}
		c, ok := at[b.shelf]
		if !ok || len(to[c].Reserved) == reservedMost {
			c, to = len(to), append(to, s.changeOf(now, i, b))
			at[b.shelf] = c
		}
		to[c].Reserved = append(to[c].Reserved, s.reserved(now, i, b))
	}
	k.changed = slices.Delete(k.changed, 0, seen)
	return to
}

// changeOf returns the bucket of b's key, in shard i, as a Change without reservations.
func (s *Store) changeOf(now Instant, i int, b *booking) Change {
	part := i<<s.width | int(b.shelf.of.number)
	c := Change{Partition: part, State: State{Key: b.shelf.of.key, Limit: s.plans.at(b.plan).limit}}
	if r := s.shard(part).find(s.tag(part, c.Key), c.Key); r != nil {
		c.State = s.state(now, i, r, s.missing(now, i, r))
	}
	return c
}

// Change returns the bucket of key in partition part with its reservations that changed and were not told by Changes, up to 192
// of the last, without forgetting that they did; and whether there is anything to tell. With it are the request id, if that is
// not "", and those that were not told, which is forgotten. With lowers it replaces: tokens were given back. The partition may be
// frozen.
func (s *Store) Change(now Instant, part int, key, id string, lowers bool) (c Change, ok bool) {
	c.Partition = part
	if !s.has(part) {
		return c, false
	}
	i, sh := part>>s.width, s.shard(part)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if r := sh.find(s.tag(part, key), key); r != nil {
		c.Replaces = lowers || r.bits&lowered != 0
		c.IDs = s.ids.told(now, part, key, id)
		if debt := s.missing(now, i, r); debt > 0 || c.Replaces || len(c.IDs) > 0 {
			c.State, ok = s.state(now, i, r, debt), true
		}
	}
	k := s.books[i]
	if k == nil {
		return c, ok
	}
	of := k.shelves[leaseKey{s.number(part), key}]
	for n := len(k.changed) - 1; n >= 0 && of != nil && len(c.Reserved) < copyMost; n-- {
		if b := k.changed[n]; b.shelf == of && !b.gone {
			if !ok {
				c.State, ok = s.changeOf(now, i, b).State, true
			}
			c.Reserved = append(c.Reserved, s.reserved(now, i, b))
		}
	}
	slices.Reverse(c.Reserved)
	return c, ok
}

// Retell notes what c tells as changed once more, because the message with it was lost: see Touch.
func (s *Store) Retell(c *Change) {
	s.Touch(c.Partition, c.Key, c.Replaces)
	if !s.has(c.Partition) || len(c.Reserved)+len(c.IDs) == 0 {
		return
	}
	sh := s.shard(c.Partition)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if r := sh.find(s.tag(c.Partition, c.Key), c.Key); r != nil {
		for i := range c.IDs {
			s.tellID(c.Partition, r, c.IDs[i].ID)
		}
	}
	k := s.books[c.Partition>>s.width]
	if k == nil {
		return
	}
	for i := range c.Reserved {
		if b := k.of[bookKey{leaseKey{s.number(c.Partition), c.Key}, c.Reserved[i].ID}]; b != nil {
			s.tell(c.Partition>>s.width, b)
		}
	}
}
