package bucket

import "slices"

// How much of a reservation is given back.
//
// To settle a reservation for less is to go on as if it had asked for that much at first. Without the rest the bucket would
// owe less since then by what is given back, but never less than nothing: where it would have been full it would have gained
// nothing. So what comes back is the rest, or if that is less, the fewest units that the bucket has owed since. What others
// were given back meanwhile has to be taken off what it owed since those had reserved, as if they had asked for less too.
//
// A key's line has its living reservations in the order in which they came, and for each the fewest units that were owed
// from then until the next one came. So all of that is exact, and costs who does not reserve nothing but the mark of a key
// with a line, which is that of one with leases: what is lent does not count as owed.

// firmLine notes what r's bucket, in shard i and with ls, owes now.
func (s *Store) firmLine(now Instant, p *Plan, r *record, ls *leases) {
	if ls.line != nil {
		ls.line.dip(s.owing(now, p, r, ls))
	}
}

// owing returns the units that r's bucket owes besides those that are lent: a tick's worth less where it may be read late by that.
func (s *Store) owing(now Instant, p *Plan, r *record, ls *leases) int64 {
	units, _ := r.bucket.missing(now, p)
	if units -= p.cost(ls.total); p.tick != 1 {
		units -= p.n
	}
	return max(units, 0)
}

// dip notes that the bucket owes so much.
func (sh *shelf) dip(units int64) {
	if n := len(sh.line); n > 0 {
		sh.line[n-1].least = min(sh.line[n-1].least, units)
	}
}

// lower notes that units were given back of what was taken after from reservations of the line.
func (sh *shelf) lower(from int, units int64) {
	for _, b := range sh.line[from:] {
		b.least = max(b.least-units, 0)
	}
}

// since returns how many reservations were made before all that came at or after then.
func (sh *shelf) since(then Instant) int {
	for i := range sh.line {
		if i+1 == len(sh.line) || sh.line[i+1].taken >= then {
			return i
		}
	}
	return 0
}

// most returns the most units that are given back of the reservation at index from.
func (sh *shelf) most(from int) int64 {
	least := int64(maxDebt)
	for _, b := range sh.line[from:] {
		least = min(least, b.least)
	}
	return least
}

// intoLine puts b, which reserved of r's bucket in shard i, at the end of its line. It has had least owed since, or more than r's
// bucket does now.
func (s *Store) intoLine(now Instant, i int, r *record, b *booking, least int64) {
	if r == nil || r.plan() != b.plan {
		return
	}
	ls := s.leases[i][s.leased(r)]
	if r.bits&lent == 0 {
		ls = s.newLeases(i, r)
	}
	s.firmLine(now, s.plans.at(b.plan), r, ls)
	ls.line = b.shelf
	b.shelf.line = append(b.shelf.line, b)
	b.least = min(least, s.owing(now, s.plans.at(b.plan), r, ls))
}

// outOfLine takes b, of shard i, out of its line, if it is there.
func (s *Store) outOfLine(i int, b *booking) {
	sh := b.shelf
	k := slices.Index(sh.line, b)
	if k < 0 {
		return
	}
	if k > 0 {
		sh.line[k-1].least = min(sh.line[k-1].least, b.least)
	}
	if sh.line = slices.Delete(sh.line, k, k+1); len(sh.line) == 0 {
		if ls := s.leases[i][sh.of]; ls != nil {
			ls.line = nil
		}
	}
}

// cutLine notes that nothing more is given back of what was reserved of r's bucket, in shard i.
func (s *Store) cutLine(i int, r *record) {
	if r.bits&lent == 0 {
		return
	}
	if ls := s.leases[i][s.leased(r)]; ls.line != nil {
		ls.line.dip(0)
	}
}
