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

// read returns key's bucket in p as it is under the plan with number plan, and its slot, -1 if it has none. The caller
// has locked p.
func (s *Store) read(now Instant, p *partition, tag uint32, key string, plan uint16) (Bucket, int) {
	i := p.find(tag, key)
	if i < 0 {
		return Bucket{}, -1
	}
	b := p.slots[i].bucket
	if have := p.slots[i].plan; have != plan {
		b.convert(now, s.plans.at(have), s.plans.at(plan))
	}
	return b, i
}

// write makes b, under the plan with that number, key's bucket in p. If the key has none, and b is not full, the caller
// has reserved room for it. The caller has locked p and holds a reference to the plan.
func (s *Store) write(p *partition, tag uint32, key string, plan uint16, b Bucket) {
	i := p.find(tag, key)
	if i < 0 {
		if b.debt == 0 {
			return
		}
		s.plans.at(plan).refs.Add(1)
		p.add(tag, key, plan).bucket = b
		return
	}
	sl := &p.slots[i]
	if sl.plan != plan {
		s.plans.at(plan).refs.Add(1)
		s.drained(sl)
		s.plans.release(sl.plan)
		sl.plan = plan
	}
	sl.bucket = b
}

// drained notes that what sl owes is forgotten, or owed in other units from now on, so that a Hold of before gives back
// less.
func (s *Store) drained(sl *slot) {
	s.reliefs.forget(sl.tag, s.plans.at(sl.plan), sl.bucket.debt)
}
