package bucket

import (
	"fmt"
	"math"
)

// How far an eviction looks for the fullest bucket.
const (
	evictSlots = 64 // slots with a bucket
	evictScan  = 16 // partitions with one
)

// reserve makes room for n more keys, and says whether there is as much.
func (s *Store) reserve(n int64) bool {
	for n > 0 {
		have := s.keys.Load()
		if have+n > s.maxKeys {
			return false
		}
		if s.keys.CompareAndSwap(have, have+n) {
			return true
		}
	}
	return true
}

func (s *Store) full() error {
	return fmt.Errorf("%w: no room for a new key, MaxKeys is %d", ErrFull, s.maxKeys)
}

// evict makes room for a key: it drops the full ones of the next few dozen buckets, or else the fullest. It says whether
// there were any: there are none in partitions held here otherwise.
func (s *Store) evict(now Instant) bool {
	victim, dropped := s.fullest(now)
	if victim == nil {
		return dropped
	}
	p := &s.parts[victim.part]
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.find(victim.tag, victim.key)
	if i < 0 || p.frozen {
		return true // somebody else was quicker
	}
	plan := s.plans.at(p.slots[i].plan)
	units, _ := p.slots[i].bucket.missing(now, plan)
	s.forgotten.Add(plan.roundUp(units))
	s.evicted.Add(1)
	s.drop(p, i)
	return true
}

// candidate is a bucket that may be evicted.
type candidate struct {
	part    int
	tag     uint32
	key     string
	missing float64 // of its burst
}

// fullest looks at the buckets of the partitions after the one at which the last call stopped. It drops those that are
// full. If there are none it returns the fullest, nil if there is no bucket at all.
func (s *Store) fullest(now Instant) (best *candidate, dropped bool) {
	seen, scanned := 0, 0
	for range s.parts {
		turn := s.cursor.Add(1)
		n, full := s.offer(now, int(turn%uint64(len(s.parts))), turn, &best)
		if full > 0 {
			return nil, true
		}
		if n == 0 {
			continue
		}
		scanned++
		if seen += n; seen >= evictSlots || scanned >= evictScan {
			break
		}
	}
	return best, false
}

// offer looks at up to evictSlots buckets of a partition. It drops all that are full, or if there are none puts the
// fullest into best if it is fuller than that. It returns how many it looked at and how many it dropped. Where it begins
// depends on turn.
func (s *Store) offer(now Instant, part int, turn uint64, best **candidate) (seen, dropped int) {
	p := &s.parts[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen || p.used == 0 {
		return 0, 0
	}
	fullest, least := -1, math.Inf(1)
	from := home(uint32(turn*0x9E3779B97F4A7C15>>32), len(p.slots))
	for k := 0; k < len(p.slots) && seen < evictSlots; k++ {
		i := (from + k) % len(p.slots)
		if p.slots[i].tag == 0 {
			continue
		}
		seen++
		if _, missing := p.slots[i].bucket.missing(now, s.plans.at(p.slots[i].plan)); missing < least {
			fullest, least = i, missing
		}
	}
	if least == 0 {
		return seen, s.compact(now, part)
	}
	if sl := &p.slots[fullest]; *best == nil || least < (*best).missing {
		*best = &candidate{part: part, tag: sl.tag, key: cloned(p.keyOf(sl)), missing: least}
	}
	return seen, 0
}
