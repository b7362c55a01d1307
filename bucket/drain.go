package bucket

// Drain takes r's Cost, or as much of it as is there, as one decision: the Decision is allowed if that was all of it, and otherwise
// says when all of it could have been there. The Cost may be more than Burst. It returns how many tokens were taken, and the errors of
// Give. With an ID it takes once: a second one with the same ID and Key is answered as the first was, as Take does it.
func (s *Store) Drain(now Instant, part int, r *Request) (taken int64, d Decision, err error) {
	err = s.withRoom(now, part, r, func(number uint16) (done bool, err error) {
		taken, done, err = s.drain(now, part, number, r, &d)
		return done, err
	})
	return taken, d, err
}

// drain is Drain for a request that is known to be right, under the plan with that number. It is not done if there is no room for a
// new key.
func (s *Store) drain(now Instant, part int, number uint16, r *Request, d *Decision) (taken int64, done bool, err error) {
	tag, i := s.tag(part, r.Key), part>>s.width
	sh := &s.shards[i]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.isFrozen(s.number(part)) {
		return 0, false, ErrMoved
	}
	now = max(now, s.seen[i])
	if was, ok := s.ids.recall(now, part, r); ok {
		*d = was
		return 0, true, nil
	}
	rec := s.findOrAdd(now, part, tag, number, r)
	if rec == nil {
		return 0, false, nil
	}
	s.firm(now, i, rec)
	plan, bucket := s.plans.at(number), s.under(now, rec, number)
	if taken = bucket.drain(now, plan, r.Cost, d); taken > 0 {
		once := *r
		if d.Allowed { // others may be allowed when it is asked again
			s.ids.remember(now, part, &once, d)
			if r.ID != "" && r.Durability != Ephemeral {
				s.tellID(part, rec, r.ID)
			}
		}
	}
	s.rewrite(part, rec, number, bucket, r.Durability == Ephemeral)
	return taken, true, nil
}

// drain takes cost tokens, or as many of them as are there, and makes d its answer, which says what is left.
func (b *Bucket) drain(now Instant, p *Plan, cost int64, d *Decision) (taken int64) {
	most := p.limit.Burst
	*d = Decision{}
	if cost <= most {
		if b.take(now, p, cost, d); d.Allowed {
			return cost
		}
	}
	taken = b.Take(now, p, 0).Remaining
	b.Take(now, p, taken)
	left, next := b.Take(now, p, 0), *b
	*d = next.Take(now, p, min(cost, most)) // without taking it
	d.Allowed, d.Delay, d.Remaining, d.ResetAfter = false, 0, left.Remaining, left.ResetAfter
	if cost > most {
		d.RetryAfter = Never
	}
	return taken
}
