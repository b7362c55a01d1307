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
	deadline instant
	bytes    int32 // by measure
	answered bool  // in a batch: the peer has answered, even if nobody waited for it any more
}

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

// expire moves the asks whose deadline has come to dead and returns the earliest deadline of the others.
func (q *queue) expire(now instant, dead []*cluster.Ask) ([]*cluster.Ask, instant) {
	next, kept := never, 0
	for i := range q.n {
		e := *q.at(i)
		if e.deadline <= now {
			dead = append(dead, e.ask)
			q.bytes -= int(e.bytes)
			continue
		}
		next = min(next, e.deadline)
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
	dead, _ = q.expire(never, dead)
	return dead
}
