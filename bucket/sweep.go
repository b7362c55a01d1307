package bucket

// Sweep looks at the next n partitions after the last Sweep's, drops their full buckets and gives their memory back
// where an eighth or more would be freed. It returns how many buckets it dropped. Calling it keeps memory small and costs
// the checks of one partition at a time a pause of some microseconds; no answer depends on it.
func (s *Store) Sweep(now Instant, n int) (dropped int) {
	for range min(n, len(s.parts)) {
		dropped += s.sweep(now, int(s.sweepAt.Add(1)-1)%len(s.parts))
	}
	return dropped
}

func (s *Store) sweep(now Instant, part int) (dropped int) {
	p := &s.parts[part]
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
	return s.compact(now, part)
}

// compact makes partition part anew without its full buckets, and returns how many there were. The caller has locked it.
// A key without a bucket is full from then on, but not at an older reading of the clock.
func (s *Store) compact(now Instant, part int) (dropped int) {
	s.parts[part].rebuild(
		func(sl *slot) bool { return !sl.bucket.Full(now, s.plans.at(sl.plan)) },
		func(sl *slot) { s.plans.release(sl.plan); dropped++ },
	)
	if dropped > 0 {
		s.seen[part] = max(s.seen[part], now)
		s.keys.Add(-int64(dropped))
		s.swept.Add(uint64(dropped))
	}
	return dropped
}
