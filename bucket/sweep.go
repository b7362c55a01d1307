package bucket

// Sweep looks at the next n partitions after the last Sweep's, drops their full buckets and gives their memory back
// where an eighth or more would be freed. It returns how many buckets it dropped. Calling it keeps memory small and costs
// the checks of one partition at a time a pause of some microseconds; no answer depends on it.
func (s *Store) Sweep(now Instant, n int) (dropped int) {
	for range min(n, len(s.parts)) {
		at := int(s.sweepAt.Add(1)-1) % len(s.parts)
		dropped += s.sweep(now, &s.parts[at])
	}
	s.swept.Add(uint64(dropped))
	return dropped
}

func (s *Store) sweep(now Instant, p *partition) (dropped int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	full, live := 0, 0
	for i := range p.slots {
		sl := &p.slots[i]
		switch {
		case sl.tag == 0:
		case sl.bucket.Full(now, s.plans.at(sl.plan)):
			full++
		default:
			live += int(sl.length)
		}
	}
	idle := full > 0 && full*8 >= int(p.used)
	if !idle && (cap(p.arena)-live)*4 <= cap(p.arena) {
		return 0
	}
	return s.compact(now, p)
}

// compact makes p anew without its full buckets.
func (s *Store) compact(now Instant, p *partition) (dropped int) {
	p.rebuild(
		func(sl *slot) bool { return !sl.bucket.Full(now, s.plans.at(sl.plan)) },
		func(sl *slot) { s.plans.release(sl.plan, 1); dropped++ },
	)
	s.keys.Add(-int64(dropped))
	return dropped
}

// How far an eviction looks for the fullest bucket.
const (
	evictSlots = 64 // slots with a bucket
	evictScan  = 16 // partitions with one
)

// evict drops the fullest of the next few dozen buckets, and all full ones among them. It says whether it dropped any:
// there are none in partitions held here otherwise.
func (s *Store) evict(now Instant) bool {
	victim := s.fullest(now)
	if victim == nil {
		return false
	}
	p := victim.p
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.find(victim.tag, victim.key)
	if i < 0 || p.frozen {
		return true // somebody else has dropped it
	}
	plan := s.plans.at(p.slots[i].plan)
	_, missing := p.slots[i].bucket.missing(now, plan)
	s.forgotten.Add(uint64((missing + plan.p - 1) / plan.p))
	s.drop(p, i)
	s.evicted.Add(1)
	return true
}

// candidate is a bucket that may be evicted.
type candidate struct {
	p       *partition
	tag     uint32
	key     string
	missing float64 // of its burst
}

// fullest returns the fullest bucket of the partitions after the one at which the last call stopped, nil if there is
// none at all.
func (s *Store) fullest(now Instant) *candidate {
	var best *candidate
	seen, scanned := 0, 0
	for range s.parts {
		p := &s.parts[int(s.cursor.Add(1)-1)%len(s.parts)]
		n := s.offer(now, p, &best)
		if n == 0 {
			continue
		}
		scanned++
		if seen += n; seen >= evictSlots || scanned >= evictScan {
			break
		}
	}
	return best
}

// offer puts the fullest of up to evictSlots buckets of p into best if it is fuller than that, and returns how many it
// looked at.
func (s *Store) offer(now Instant, p *partition, best **candidate) (seen int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen || p.used == 0 {
		return 0
	}
	from := int(s.cursor.Load() % uint64(len(p.slots)))
	for k := range p.slots {
		sl := &p.slots[(from+k)%len(p.slots)]
		if sl.tag == 0 {
			continue
		}
		fraction, _ := sl.bucket.missing(now, s.plans.at(sl.plan))
		if *best == nil || fraction < (*best).missing {
			*best = &candidate{p: p, tag: sl.tag, key: cloned(p.keyOf(sl)), missing: fraction}
		}
		if seen++; seen == evictSlots {
			break
		}
	}
	return seen
}

// missing returns what b misses to be full, as a fraction of its burst and in units.
func (b *Bucket) missing(now Instant, p *Plan) (fraction float64, units int64) {
	if p.opens != nil {
		_, units = b.inWindow(p.window(now))
	} else {
		units, _, _ = b.owed(now, p)
	}
	return float64(units) / float64(p.empty), units
}
