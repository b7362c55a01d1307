package bucket

import "math/bits"

// convert makes b, which is under the plan from, owe as many tokens under the plan to, rounded up. What it owes in a
// window stays owed for the whole of the new one, or until it is paid back.
func (b *Bucket) convert(now Instant, from, to *Plan) {
	var units, at int64
	if from.opens != nil {
		_, units = b.inWindow(from.window(now))
	} else {
		units, at = b.owed(now, from)
		now = max(now, Instant(at*from.tick)) // b has seen that
	}
	*b = Bucket{}
	if units == 0 {
		return
	}
	units = to.same(from, units)
	if to.opens != nil {
		b.chargeWindow(to.window(now), units)
		return
	}
	b.charge(now, to, 0, to.floor(now), units)
}

// same returns p's units for as many tokens as units of from are, rounded up, at most maxDebt.
func (p *Plan) same(from *Plan, units int64) int64 {
	hi, lo := bits.Mul64(uint64(units), uint64(p.p))
	lo, carry := bits.Add64(lo, uint64(from.p)-1, 0)
	hi += carry
	if hi >= uint64(from.p) {
		return maxDebt
	}
	quotient, _ := bits.Div64(hi, lo, uint64(from.p))
	return int64(min(quotient, maxDebt))
}

// under returns r's bucket as it is under the plan with that number.
func (s *Store) under(now Instant, r *record, plan uint16) Bucket {
	b := r.bucket
	if have := r.plan(); have != plan {
		b.convert(now, s.plans.at(have), s.plans.at(plan))
	}
	return b
}

// rewrite makes b, under the plan with that number, r's bucket in partition part, and notes that unless it is to be silent.
// A replica that converts its bucket at another time may owe more, so another limit counts as lowered. The caller holds a
// reference to the plan.
func (s *Store) rewrite(part int, r *record, plan uint16, b Bucket, silent bool) {
	marks, have := uint16(0), r.plan()
	if have == plan && r.bucket == b {
		return
	}
	if have != plan {
		s.plans.enter(plan)
		s.drained(r)
		s.cutLine(part>>s.width, r)
		s.plans.leave(have)
		r.bits = r.bits&^(maxPlans-1) | plan
		marks = lowered
	}
	r.bucket = b
	if !silent {
		s.note(part, r, marks)
	}
}

// add makes a record for key, which has none in partition part and for which the caller has reserved room. The caller
// holds a reference to the plan. Other records of the shard may move.
func (s *Store) add(part int, tag uint32, key string, plan uint16, b Bucket) *record {
	s.plans.enter(plan)
	sh := s.shard(part)
	if sh.room(words(len(key))) {
		s.relist(part >> s.width)
	}
	r := sh.add(tag, key, plan)
	r.bucket = b
	return r
}

// findOrAdd returns the record of r's key in partition part, a new one under the plan with that number if it has none; nil if there is
// no room for that.
func (s *Store) findOrAdd(now Instant, part int, tag uint32, number uint16, r *Request) *record {
	if rec := s.shard(part).find(tag, r.Key); rec != nil {
		return rec
	}
	if !s.reserve(1) {
		return nil
	}
	return s.add(part, tag, r.Key, number, s.first(now, part, s.plans.at(number), r.ColdStart))
}

// drained notes that what r owes is forgotten, or owed in other units from now on, so that a Hold of before gives back
// less.
func (s *Store) drained(r *record) {
	s.reliefs.forget(r.tag, s.plans.at(r.plan()), r.bucket.debt)
}
