package bucket

import (
	"fmt"
	"math"
)

// How far an eviction looks for the fullest bucket.
const (
	evictKeys   = 64 // buckets
	evictShards = 16 // shards with one
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

func (s *Store) noRoom() error {
	return fmt.Errorf("%w: no room for a new key, MaxKeys is %d", ErrFull, s.maxKeys)
}

// evict makes room for a key: it drops the full ones of the next few dozen buckets, or else the fullest of those whose limit has
// the most keys. It says whether there were any: there are none in partitions held here otherwise.
func (s *Store) evict(now Instant) bool {
	victim, dropped := s.fullest(now)
	if victim == nil {
		return dropped
	}
	sh := &s.shards[victim.shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	r := sh.find(victim.tag, victim.key)
	if r == nil || sh.isFrozen(r.tag>>(32-s.width)) {
		return true // somebody else was quicker
	}
	plan := s.plans.at(r.plan())
	units := s.missing(now, victim.shard, r)
	if r.bits&lent != 0 {
		return true // somebody was lent of it meanwhile
	}
	s.forgotten.Add(plan.roundUp(units))
	s.evicted.Add(1)
	s.drop(victim.shard, r)
	return true
}

// candidate is a bucket that may be evicted.
type candidate struct {
	shard   int
	tag     uint32
	key     string
	keys    int64   // of its limit
	missing float64 // of its burst
}

// before says whether a bucket goes before c: one of a limit with more keys, or a fuller one of a limit with as many.
func (c *candidate) before(keys int64, missing float64) bool {
	return keys > c.keys || keys == c.keys && missing < c.missing
}

// fullest looks at the buckets of the shards after the one at which the last call stopped. It drops those that are full.
// If there are none it returns the fullest of the limit with the most keys, nil if there is no bucket at all.
func (s *Store) fullest(now Instant) (best *candidate, dropped bool) {
	seen, scanned := 0, 0
	for range s.shards {
		turn := s.cursor.Add(1)
		n, full := s.offer(now, int(turn%uint64(len(s.shards))), turn, &best)
		if full > 0 {
			return nil, true
		}
		if n == 0 {
			continue
		}
		scanned++
		if seen += n; seen >= evictKeys || scanned >= evictShards {
			break
		}
	}
	return best, false
}

// offer looks at up to evictKeys buckets of shard i that are not frozen. If one is full it drops all full ones; if not,
// it puts the one that goes first into best if it goes before that. It returns how many it looked at and how many it dropped. Where
// it begins depends on turn.
func (s *Store) offer(now Instant, i int, turn uint64, best **candidate) (seen, dropped int) {
	sh := &s.shards[i]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var first *record
	top, least, n := candidate{missing: math.Inf(1)}, math.Inf(1), len(sh.index)
	from := home(uint32(turn*0x9E3779B97F4A7C15>>32), n)
	for k := 0; k < n && seen < evictKeys; k++ {
		e := sh.index[(from+k)%n]
		if e.tag == 0 || sh.isFrozen(e.tag>>(32-s.width)) {
			continue
		}
		r := sh.record(e.at)
		if s.firm(now, i, r); r.bits&lent != 0 {
			continue // others may spend of it yet
		}
		seen++
		plan := s.plans.at(r.plan())
		_, missing := r.bucket.missing(now, plan)
		least = min(least, missing)
		if keys := plan.keys.Load(); top.before(keys, missing) {
			first, top.keys, top.missing = r, keys, missing
		}
	}
	switch {
	case seen == 0:
		return 0, 0
	case least == 0:
		return seen, s.compact(now, i, s.isFull)
	case *best == nil || (*best).before(top.keys, top.missing):
		top.shard, top.tag, top.key = i, first.tag, cloned(first.key())
		*best = &top
	}
	return seen, 0
}
