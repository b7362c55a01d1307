package bucket

// Settle says what a reservation of partition part came to, or renews it. It returns an error that wraps what
// Settlement.Check says, ErrMoved if the partition is not held here, and ErrFull if there is no room for a bucket that would owe
// more than was reserved; then nothing was done.
func (s *Store) Settle(now Instant, part int, st *Settlement) (Settled, error) {
	if !s.has(part) {
		return Settled{}, ErrMoved
	}
	if err := st.Check(); err != nil {
		return Settled{}, err
	}
	for {
		said, done, err := s.settle(now, part, st)
		if done || err != nil {
			return said, err
		}
		if !s.evict(now) {
			return Settled{}, s.noRoom()
		}
	}
}

// settle is Settle for a settlement that is known to be right. It is not done if there is no room for a new key.
func (s *Store) settle(now Instant, part int, st *Settlement) (said Settled, done bool, err error) {
	i := part >> s.width
	sh := &s.shards[i]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.isFrozen(s.number(part)) {
		return said, false, ErrMoved
	}
	now = max(now, s.seen[i])
	b := s.booking(now, part, st.Key, st.ID)
	switch {
	case b == nil || b.end == undone:
		return said, true, nil
	case b.end == settled:
		return Settled{Known: true, Reserved: b.cost, Charged: b.charged}, true, nil
	case st.Renew > 0:
		s.renew(i, b, now+Instant(st.Renew))
		return Settled{Known: true, Reserved: b.cost, Charged: b.cost}, true, nil
	}
	charged := st.Cost
	switch {
	case s.plans.at(b.plan).slots:
		charged = 0
	case st.Cost > b.cost:
		if !s.chargeRest(now, part, b, st) {
			return said, false, nil
		}
	case st.Cost < b.cost:
		s.giveRest(now, part, b, st)
	}
	s.finish(now+Instant(settledFor), i, b, settled, charged)
	return Settled{Known: true, Reserved: b.cost, Charged: charged}, true, nil
}

// chargeRest takes what st says that is more than b reserved, whether it is there or not. It is false if there is no room for
// a new key.
func (s *Store) chargeRest(now Instant, part int, b *booking, st *Settlement) bool {
	r := &Request{Key: st.Key}
	rec := s.findOrAdd(now, part, s.tag(part, st.Key), b.plan, r)
	if rec == nil {
		return false
	}
	s.firm(now, part>>s.width, rec)
	bucket := rec.bucket
	bucket.Charge(now, s.plans.at(rec.plan()), st.Cost-b.cost)
	s.rewrite(part, rec, rec.plan(), bucket, b.silent)
	return true
}

// giveRest gives back what st says that is less than b reserved, as far as it is still missing. What is under another limit
// meanwhile is left as it is.
func (s *Store) giveRest(now Instant, part int, b *booking, st *Settlement) {
	i, tag := part>>s.width, s.tag(part, st.Key)
	r := s.shard(part).find(tag, st.Key)
	if r == nil || r.plan() != b.plan {
		return
	}
	s.firm(now, i, r)
	from := b.index()
	if from < 0 {
		return
	}
	plan := s.plans.at(b.plan)
	units := r.bucket.give(now, plan, min(plan.cost(b.cost-st.Cost), b.shelf.most(from)))
	if units <= 0 {
		return
	}
	b.shelf.lower(from, units)
	s.reliefs.give(tag, plan, units)
	s.firm(now, i, r)
	if !b.silent {
		s.note(part, r, lowered)
	}
}

// give makes b owe less by units, or nothing, and returns by how many.
func (b *Bucket) give(now Instant, p *Plan, units int64) int64 {
	if p.opens != nil {
		_, debt := b.inWindow(p.window(now))
		units = min(units, debt)
		b.debt -= units
		return units
	}
	debt, at := b.owed(now, p)
	if units = min(units, debt); units > 0 {
		b.debt, b.at = debt-units, at
	}
	return units
}

// index returns where in its line b is, -1 if it is not.
func (b *booking) index() int {
	for k := range b.shelf.line {
		if b.shelf.line[k] == b {
			return k
		}
	}
	return -1
}
