package bucket

import "sync/atomic"

// A Hold is what TakeAll took for one item, for Store.Refund. It is good for one refund.
type Hold struct {
	part    int
	key, id string
	silent  bool // no replica knows of it
	plan    *Plan
	receipt Receipt
	then    relief // of the key at the time
	at      Instant
	round   uint64 // of the reservation, 0 for none
}

// Of returns the partition and the key of what was taken.
func (h *Hold) Of() (part int, key string) { return h.part, h.key }

// relief is how many tokens a bucket was relieved of other than by refill, rounded up. Both counts wrap.
type relief struct {
	given  uint64 // by refunds
	forgot uint64 // by resets, evictions, moves, and changes of its limit
}

// reliefs counts for groups of keys, so it may say too much, but never too little, of one key. A receipt that is older
// than a relief gives back less.
type reliefs [1 << 12]struct{ given, forgot atomic.Uint64 }

func (rs *reliefs) of(tag uint32) relief {
	c := &rs[tag%uint32(len(rs))]
	return relief{given: c.given.Load(), forgot: c.forgot.Load()}
}

func (rs *reliefs) give(tag uint32, p *Plan, units int64) {
	rs[tag%uint32(len(rs))].given.Add(p.roundUp(units))
}

func (rs *reliefs) forget(tag uint32, p *Plan, units int64) {
	if units > 0 {
		rs[tag%uint32(len(rs))].forgot.Add(p.roundUp(units))
	}
}

// since returns the units that r grew by since then, as far as they count under p (see Bucket.Refund).
func (r relief) since(then relief, p *Plan) int64 {
	tokens := min(r.forgot-then.forgot, maxDebt)
	if p.n != 0 {
		tokens += min(r.given-then.given, maxDebt)
	}
	return p.cost(int64(min(tokens, maxDebt)))
}

// Refund gives back what holds say was taken, as far as it is still missing (see Bucket.Refund). What has moved to
// another node, was reset, or is under another limit meanwhile is left as it is.
func (s *Store) Refund(now Instant, holds []Hold) {
	for i := range holds {
		s.refund(now, &holds[i])
	}
}

func (s *Store) refund(now Instant, h *Hold) {
	tag := s.tag(h.part, h.key)
	sh := s.shard(h.part)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.isFrozen(s.number(h.part)) {
		return
	}
	if h.round != 0 && !s.unbook(now, h) {
		return // it was settled, or is over
	}
	s.ids.forget(h.part, h.id, h.key)
	r := sh.find(tag, h.key)
	if r != nil && h.id != "" && !h.silent {
		s.tellID(h.part, r, h.id)
		s.note(h.part, r, lowered)
	}
	if r == nil || s.plans.at(r.plan()) != h.plan {
		return
	}
	s.firm(now, h.part>>s.width, r)
	since := s.reliefs.of(tag).since(h.then, h.plan)
	if units := r.bucket.Refund(now, h.plan, h.receipt, since); units > 0 {
		s.reliefs.give(tag, h.plan, units)
		if h.round == 0 {
			s.relieved(h.part>>s.width, r, h.at, units)
		}
		s.firm(now, h.part>>s.width, r)
		if !h.silent {
			s.note(h.part, r, lowered)
		}
	}
}
