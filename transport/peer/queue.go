package peer

import (
	"time"

	"github.com/noriahq/noria/cluster"
)

// instant is a time since the Transport was made, by the monotonic clock.
type instant = time.Duration

// never is an instant that does not come.
const never instant = 1<<63 - 1

// entry is the place of an ask that is not done. It is in a queue or in a batch, and the ask is in one entry only.
// Whoever takes the ask out, which needs the lock of that queue or batch, calls its Done: that makes it exactly one.
type entry struct {
	ask      *cluster.Ask // nil when the ask was taken out
	deadline instant      // when the ask ends, or is looked at again if the peer was heard of; last at most
	last     instant      // when the ask ends although the peer is heard of
	until    instant      // when the ask ends although this process did not run; of real time
	bytes    int32        // by measure
	answered bool         // in a batch: the peer has answered, even if nobody waited for it any more
}

// newEntry returns the entry of a, which is asked at m.
func newEntry(a *cluster.Ask, m moment, size int) entry {
	longest := max(a.Wait, a.Most)
	return entry{
		ask:      a,
		deadline: after(m.now, a.Wait),
		last:     after(m.now, longest),
		until:    after(after(m.wall, longest), stallMost),
		bytes:    int32(size),
	}
}

// after returns the instant that comes wait after from, but never is not one.
func after(from, wait instant) instant { return from + min(wait, never-1-from) }

// ends says whether the ask of e ends at m, where the peer was last heard of at heard. If that was less than the ask's
// Wait ago the deadline moves on: the peer is slow, and not lost.
func (e *entry) ends(m moment, heard instant) bool {
	if e.deadline <= m.now {
		e.deadline = max(e.deadline, min(after(heard, e.ask.Wait), e.last))
	}
	return e.due(m) <= m.now
}

// due returns when e is to be looked at, as far as is known at m: a stall that follows makes it sooner.
func (e *entry) due(m moment) instant { return min(e.deadline, e.until-m.stalled()) }

// left returns how long the ask of e may take from m on.
func (e *entry) left(m moment) time.Duration { return min(e.last-m.now, e.until-m.wall) }

// queue is a ring of entries with asks. It grows as needed; its owner bounds it.
type queue struct {
	ring  []entry // its length is a power of two, or 0
	head  int
	n     int
	bytes int // of all entries, by measure
}

func (q *queue) at(i int) *entry { return &q.ring[(q.head+i)&(len(q.ring)-1)] }

func (q *queue) push(e entry) {
	if q.n == len(q.ring) {
		q.grow()
	}
	q.n++
	q.bytes += int(e.bytes)
	*q.at(q.n - 1) = e
}

func (q *queue) grow() {
	ring := make([]entry, max(64, 2*len(q.ring)))
	for i := range q.n {
		ring[i] = *q.at(i)
	}
	q.ring, q.head = ring, 0
}

// pop moves entries from the front to dst until one more would make it more than checks checks or size bytes. The
// first always fits.
func (q *queue) pop(dst []entry, checks, size int) []entry {
	taken := 0
	for ; taken < q.n; taken++ {
		e := q.at(taken)
		checks -= len(e.ask.Checks)
		size -= int(e.bytes)
		if taken > 0 && (checks < 0 || size < 0) {
			break
		}
		dst = append(dst, *e)
		q.bytes -= int(e.bytes)
		*e = entry{}
	}
	q.head = (q.head + taken) & max(0, len(q.ring)-1)
	q.n -= taken
	return dst
}

// expire moves the asks that end at m to dead and returns when the first of the others is due. heard is when the peer was
// last heard of.
func (q *queue) expire(m moment, heard instant, dead []*cluster.Ask) ([]*cluster.Ask, instant) {
	next, kept := never, 0
	for i := range q.n {
		e := *q.at(i)
		if e.ends(m, heard) {
			dead = append(dead, e.ask)
			q.bytes -= int(e.bytes)
			continue
		}
		next = min(next, e.due(m))
		*q.at(kept) = e
		kept++
	}
	for i := kept; i < q.n; i++ {
		*q.at(i) = entry{}
	}
	q.n = kept
	return dead, next
}

// clear moves all asks to dead.
func (q *queue) clear(dead []*cluster.Ask) []*cluster.Ask {
	dead, _ = q.expire(moment{now: never, wall: never}, 0, dead)
	return dead
}
