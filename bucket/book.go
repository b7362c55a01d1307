package bucket

import (
	"container/heap"
	"slices"
	"sync/atomic"
	"time"
)

// settledFor is how long a reservation that has ended is remembered, so that a second settlement is answered as the first.
const settledFor = 2 * time.Minute

// An ending is how a reservation stands.
type ending uint8

const (
	living  ending = iota
	settled        // it was said what it came to
	undone         // it was as if never made: its id is free again
	endings
)

// A booking is a reservation, or the memory of one that has ended.
type booking struct {
	shelf   *shelf
	id      string
	plan    uint16 // a reference is held
	round   uint64 // counts the reservations of one key and id
	turn    uint64 // rises in the order in which they came
	cost    int64  // reserved
	charged int64  // once it is settled
	end     ending
	until   Instant // when it is over, or forgotten
	taken   Instant
	silent  bool // no replica knows of it
	changed bool // it is in book.changed
	gone    bool // it is in the book no more

	// least is the fewest units that the bucket owed since the reservation, until the next one of the line. What the bucket
	// would have gained without the reservation, had it not been full, is lost to it: so no more than that is given back.
	least int64

	at int // index in book.due
}

// A shelf is the reservations of one key.
type shelf struct {
	of    leaseKey // with memory of its own
	count int      // bookings
	slots int64    // tokens of the living ones that are under Concurrency limits
	last  Instant  // no slot lasts longer
	line  []*booking
}

// A book is the reservations of a shard, guarded by its mu.
type book struct {
	of      map[bookKey]*booking
	shelves map[leaseKey]*shelf
	due     due
	turn    uint64
	ended   []*booking // in the order in which they ended; some are gone
	changed []*booking // for Changes
}

type bookKey struct {
	leaseKey
	id string
}

// counts are how many reservations a Store keeps.
type counts struct {
	most   int64
	living atomic.Int64
	ended  atomic.Int64
}

// importMore is how many times MaxReservations come from elsewhere at most: to leave one out would pass its limit.
const importMore = 4

// room makes room for n more living reservations, and says whether there is as much.
func (c *counts) room(n, most int64) bool {
	for n > 0 {
		have := c.living.Load()
		if have+n > most {
			return false
		}
		if c.living.CompareAndSwap(have, have+n) {
			return true
		}
	}
	return true
}

// due is a heap: what is over first is at 0.
type due []*booking

// Len implements heap.Interface.
func (d *due) Len() int { return len(*d) }

// Less implements heap.Interface.
func (d *due) Less(i, j int) bool { return (*d)[i].until < (*d)[j].until }

// Swap implements heap.Interface.
func (d *due) Swap(i, j int) {
	all := *d
	all[i], all[j] = all[j], all[i]
	all[i].at, all[j].at = i, j
}

// Push implements heap.Interface.
func (d *due) Push(x any) {
	b := x.(*booking)
	b.at = len(*d)
	*d = append(*d, b)
}

// Pop implements heap.Interface.
func (d *due) Pop() any {
	last := len(*d) - 1
	b := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return b
}

// bookOf returns the book of shard i, a new one if it has none.
func (s *Store) bookOf(i int) *book {
	if s.books[i] == nil {
		s.books[i] = &book{of: make(map[bookKey]*booking), shelves: make(map[leaseKey]*shelf)}
	}
	return s.books[i]
}

// shelf returns the reservations of key in partition part, without those that are over; nil if there are none.
func (s *Store) shelf(now Instant, part int, key string) *shelf {
	k := s.books[part>>s.width]
	if k == nil {
		return nil
	}
	s.overdue(now, part>>s.width)
	return k.shelves[leaseKey{s.number(part), key}]
}

// booking returns the reservation of key in partition part with that id, unless it is over; nil if there is none.
func (s *Store) booking(now Instant, part int, key, id string) *booking {
	k := s.books[part>>s.width]
	if k == nil {
		return nil
	}
	s.overdue(now, part>>s.width)
	return k.of[bookKey{leaseKey{s.number(part), key}, id}]
}

// put adds b, for which there is room, to the book of shard i under key, in the place of the memory of an older one.
func (s *Store) put(i int, key bookKey, b *booking) {
	k := s.bookOf(i)
	if was := k.of[key]; was != nil {
		b.round = max(b.round, was.round+1)
		s.strike(i, was)
	}
	sh := k.shelves[key.leaseKey]
	if sh == nil {
		sh = &shelf{of: leaseKey{key.number, cloned(key.key)}}
		k.shelves[sh.of] = sh
	}
	sh.count++
	k.turn++
	b.shelf, b.id, b.turn = sh, cloned(key.id), k.turn
	k.of[bookKey{sh.of, b.id}] = b
	heap.Push(&k.due, b)
	if b.end != living {
		s.remember(i, b)
		return
	}
	if s.plans.at(b.plan).slots {
		sh.slots += b.cost
		sh.last = max(sh.last, b.until)
	}
}

// remember counts b, of shard i, which has ended, and forgets the first that did where there are too many.
func (s *Store) remember(i int, b *booking) {
	k := s.books[i]
	k.ended = append(k.ended, b)
	more := s.counts.ended.Add(1) > s.counts.most
	for len(k.ended) > 1 {
		switch first := k.ended[0]; {
		case first.gone:
		case more:
			s.strike(i, first)
			more = false
		default:
			return
		}
		k.ended[0], k.ended = nil, k.ended[1:]
	}
}

// finish ends b, which lives, of shard i: as settled, charged so much, or as undone. It is remembered until then, and told to
// who keeps the replica.
func (s *Store) finish(until Instant, i int, b *booking, how ending, charged int64) {
	s.release(i, b)
	b.end, b.charged, b.until = how, charged, until
	heap.Fix(&s.books[i].due, b.at)
	s.remember(i, b)
	s.tell(i, b)
}

// release makes b, of shard i, live no more: a slot is free again, and nothing is given back of a bucket.
func (s *Store) release(i int, b *booking) {
	s.counts.living.Add(-1)
	if s.plans.at(b.plan).slots {
		b.shelf.slots -= b.cost
		return
	}
	s.outOfLine(i, b)
}

// overdue ends what is over in the book of shard i, and forgets what ended long ago.
func (s *Store) overdue(now Instant, i int) (over int) {
	k := s.books[i]
	for len(k.due) > 0 && k.due[0].until <= now {
		s.strike(i, k.due[0])
		over++
	}
	return over
}

// strike takes b out of the book of shard i.
func (s *Store) strike(i int, b *booking) {
	k := s.books[i]
	if b.end == living {
		s.release(i, b)
	} else {
		s.counts.ended.Add(-1)
	}
	heap.Remove(&k.due, b.at)
	delete(k.of, bookKey{b.shelf.of, b.id})
	b.gone = true
	s.plans.release(b.plan)
	if b.shelf.count--; b.shelf.count == 0 {
		delete(k.shelves, b.shelf.of)
	}
}

// tell notes that b, of shard i, changed, for Changes.
func (s *Store) tell(i int, b *booking) {
	if b.silent || b.changed || !s.tracks.Load() || s.shards[i].isFrozen(b.shelf.of.number) {
		return
	}
	b.changed = true
	s.books[i].changed = append(s.books[i].changed, b)
}

// untell forgets that reservations of the partition with that number in shard i changed.
func (s *Store) untell(i int, number uint32) {
	k := s.books[i]
	if k == nil {
		return
	}
	k.changed = slices.DeleteFunc(k.changed, func(b *booking) bool {
		b.changed = b.changed && b.shelf.of.number != number
		return !b.changed
	})
}

// renew makes b, of shard i, last until then, or longer if it does already.
func (s *Store) renew(i int, b *booking, until Instant) {
	if until <= b.until {
		return
	}
	b.until = until
	heap.Fix(&s.books[i].due, b.at)
	if s.plans.at(b.plan).slots {
		b.shelf.last = max(b.shelf.last, until)
	}
	s.tell(i, b)
}

// Expire ends the reservations that are over and returns how many there were. No answer depends on it: one that is over is
// none for whoever asks. Calling it every second or so keeps memory small, and Stats true.
func (s *Store) Expire(now Instant) (over int) {
	if s.counts.living.Load()+s.counts.ended.Load() == 0 {
		return 0
	}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		if s.books[i] != nil {
			over += s.overdue(now, i)
		}
		sh.mu.Unlock()
	}
	return over
}
