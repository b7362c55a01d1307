package bucket

import (
	"slices"
	"sync"
)

// A Change is a bucket that changed, for the replica of its partition.
type Change struct {
	Partition int
	State

	// Replaces says that the bucket was refunded to, reset, replaced or put under another limit since its last Change,
	// so that it may owe less than its replica. The replica takes it by Replace if no later Change of the bucket can
	// have come before this one, and else by Follow, as all others: then it owes too much rather than too little. A
	// full bucket is a Change only if it replaces, or has IDs.
	Replaces bool

	// IDs are request ids of the key that it was charged for, or that were given back, since it was told; up to 64 of the last.
	IDs []Remembered

	// Reserved are reservations of the key that changed, as they are now; up to 64.
	Reserved []Reserved
}

// places are those of records in a shard's log, in the order in which they were listed. Each record that is marked as
// changed is there once, and else only dead ones are, so there are no more than records in the log.
type places []uint32

// A turn says whose it is next that Changes looks at.
type turn struct {
	mu    sync.Mutex
	shard int // guarded by mu
}

// Track says whether changes are noted, for Changes. They are not by default. What changed while they were not is not
// noted; TouchAll does that.
func (s *Store) Track(on bool) {
	s.turn.mu.Lock()
	defer s.turn.mu.Unlock()
	if s.tracks.Swap(on) == on || on {
		return
	}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for _, at := range s.changed[i] {
			sh.record(at).unchanged()
		}
		s.changed[i] = nil
		for number := range uint32(1) << s.width {
			s.untell(i, number)
		}
		sh.mu.Unlock()
	}
	s.ids.untellAll()
}

// Changes appends up to most buckets that changed to to, as they are now, and forgets that they did. A bucket that changed
// a thousand times since is one Change. It goes on behind the partitions where the last call stopped, and tells what was
// noted first first, so no bucket waits for ever. If there are less than most, all that was noted before the call is told.
//
// Every change is noted, in partitions that are held, but what a request takes or gives back whose Durability is
// Ephemeral. What refill alone has paid back need not be told, and an evicted bucket is not missed.
func (s *Store) Changes(now Instant, most int, to []Change) []Change {
	t := &s.turn
	t.mu.Lock()
	defer t.mu.Unlock()
	if !s.tracks.Load() {
		return to
	}
	for range s.shards {
		if most <= 0 {
			break
		}
		before := len(to)
		to = s.changesOf(now, t.shard, most, to)
		most -= len(to) - before
		t.shard = (t.shard + 1) % len(s.shards) // also if some are left, so that one that is busy does not stop the others
	}
	return to
}

// changesOf is Changes for shard i.
func (s *Store) changesOf(now Instant, i, most int, to []Change) []Change {
	sh := &s.shards[i]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	listed := s.changed[i]
	seen, before := 0, len(to)
	for ; seen < len(listed) && len(to)-before < most; seen++ {
		r := sh.record(listed[seen])
		replaces := r.bits&lowered != 0
		r.unchanged()
		if r.tag == 0 {
			continue
		}
		part := s.part(i, r)
		ids := s.ids.told(now, part, r.key(), "")
		if debt := s.missing(now, i, r); debt > 0 || replaces || len(ids) > 0 {
			to = append(to, Change{Partition: part, State: s.state(now, i, r, debt), Replaces: replaces, IDs: ids})
		}
	}
	s.changed[i] = slices.Delete(listed, 0, seen)
	if k := s.books[i]; k != nil && len(k.changed) > 0 {
		to = s.reservedOf(now, i, most, to, before)
	}
	return to
}

// Touch notes the bucket of key in partition part as changed once more, because the message with its Change, which
// replaced or not, was lost. Without such a bucket it does nothing: then it is full, or was evicted.
func (s *Store) Touch(part int, key string, replaces bool) {
	if !s.has(part) {
		return
	}
	sh := s.shard(part)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if r := sh.find(s.tag(part, key), key); r != nil {
		s.note(part, r, mark(replaces))
	}
}

func mark(replaces bool) uint16 {
	if replaces {
		return lowered
	}
	return 0
}

// TouchAll notes all buckets of partition part as changed, for one who is to keep its replica from now on.
func (s *Store) TouchAll(part int) {
	if !s.has(part) {
		return
	}
	sh := s.shard(part)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.noteAll(part)
}

// noteAll is TouchAll with the shard locked.
func (s *Store) noteAll(part int) {
	if !s.tracks.Load() {
		return
	}
	for _, r := range s.shard(part).of(s.number(part), s.width) {
		s.note(part, r, 0)
	}
}

// note notes that r's bucket in partition part changed, and marks it so. Nothing is noted of partitions that others decide
// on. The caller has locked the shard, as for all that follows.
func (s *Store) note(part int, r *record, marks uint16) {
	if !s.tracks.Load() || s.shard(part).isFrozen(s.number(part)) {
		return
	}
	r.bits |= marks
	if r.bits&changed == 0 {
		s.list(part>>s.width, r)
	}
}

// list marks r, of shard i, as changed.
func (s *Store) list(i int, r *record) {
	r.bits |= changed
	s.changed[i] = append(s.changed[i], s.shards[i].place(r))
}

// relist lists the records of shard i that are marked as changed, after they moved.
func (s *Store) relist(i int) {
	sh := &s.shards[i]
	if s.changed[i] == nil {
		return
	}
	listed := s.changed[i][:0] // not all of those that were listed are kept, and no others are marked
	sh.each(func(r *record) {
		if r.bits&changed != 0 {
			listed = append(listed, sh.place(r))
		}
	})
	if s.changed[i] = listed; len(listed) == 0 {
		s.changed[i] = nil
	}
}

// unlist forgets that records of partition part changed.
func (s *Store) unlist(part int) {
	sh, number := s.shard(part), s.number(part)
	s.changed[part>>s.width] = slices.DeleteFunc(s.changed[part>>s.width], func(at uint32) bool {
		r := sh.record(at)
		if r.tag != 0 && r.tag>>(32-s.width) != number {
			return false
		}
		r.unchanged()
		return true
	})
}

// part returns the partition of r, which is in shard i.
func (s *Store) part(i int, r *record) int { return i<<s.width | int(r.tag>>(32-s.width)) }
