package bucket

// Sweep looks at the next n partitions after the last Sweep's, drops their full buckets and gives their memory back
// where an eighth or more would be freed. It returns how many buckets it dropped. Partitions that share a lock are swept
// together, when the last of them comes. Calling it keeps memory small and costs the checks on one lock at a time a
// pause of some microseconds; no answer depends on it.
func (s *Store) Sweep(now Instant, n int) (dropped int) {
	for range min(n, s.parts) {
		part := int((s.sweepAt.Add(1) - 1) % uint64(s.parts))
		if i := part >> s.width; (part+1)>>s.width != i || part+1 == s.parts {
			dropped += s.sweep(now, i)
		}
		if part == 0 {
			s.sweepCrowds(now)
		}
	}
	return dropped
}

// sweep is Sweep for shard i.
func (s *Store) sweep(now Instant, i int) (dropped int) {
	sh := &s.shards[i]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	full, live := 0, 0
	sh.each(func(r *record) {
		if s.isSpare(now, i, r) {
			full++
		} else {
			live += words(int(r.length))
		}
	})
	idle := full > 0 && full*8 >= int(sh.used)
	if !idle && (cap(sh.log)-live)*4 <= cap(sh.log) {
		return 0
	}
	return s.compact(now, i, s.isSpare)
}

// isFull says whether r, of shard i, is full.
func (s *Store) isFull(now Instant, i int, r *record) bool {
	return s.missing(now, i, r) == 0
}

// isSpare says whether r, of shard i, is full and need not tell anybody so: neither a replica that knows it emptier, nor a
// request for which the key would begin empty.
func (s *Store) isSpare(now Instant, i int, r *record) bool {
	return s.isFull(now, i, r) && r.bits&lowered == 0 && !s.isCold(now, i, r)
}

// compact makes shard i anew without those of its full buckets for which spare is true, and returns how many there were.
// The caller has locked it. A key without a bucket is full from then on, but not at an older reading of the clock.
func (s *Store) compact(now Instant, i int, spare func(now Instant, i int, r *record) bool) (dropped int) {
	s.shards[i].rebuild(0, func(r *record) bool {
		if !spare(now, i, r) {
			return true
		}
		s.forget(i, r)
		s.plans.leave(r.plan())
		dropped++
		return false
	})
	s.relist(i)
	if dropped > 0 {
		s.seen[i] = max(s.seen[i], now)
		s.keys.Add(-int64(dropped))
		s.swept.Add(uint64(dropped))
	}
	return dropped
}
