package peer

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/noriahq/noria/cluster"
)

// inFlight is how many batches may be unanswered. With one the peer has nothing to do while an answer is on its way;
// with more the batches get smaller, and a batch costs much more than an ask in it: between processes as much as 30 of
// them. So there is only one where the way is short.
const inFlight = 2

// near is the round trip below which a peer counts as near: then an ask would gain less by not waiting for the answer to
// those before it than all lose by smaller batches.
const near = 300 * time.Microsecond

// flight holds the asks that were sent on a stream, or are about to be, and are not done.
type flight struct {
	next    uint64 // number of the next ask
	batches [inFlight]batch
}

// batch is the asks of one message.
type batch struct {
	first   uint64 // number of the first ask
	entries []entry
	sent    moment
	owed    int // entries that the peer has not answered; 0: the batch is free
}

var (
	errNotAsked = errors.New("answers to what was not asked")
	errTwice    = errors.New("answers twice")
)

// drop takes the asks that end at m out of b, which is not sent yet. heard is when the peer was last heard of.
func (b *batch) drop(m moment, heard instant) (dead []*cluster.Ask) {
	kept := b.entries[:0]
	for _, e := range b.entries {
		if e.ends(m, heard) {
			dead = append(dead, e.ask)
			continue
		}
		kept = append(kept, e)
	}
	b.entries = kept
	return dead
}

// encode appends the frame that asks b to buf.
func (b *batch) encode(buf []byte, m moment) []byte {
	size := 0
	for i := range b.entries {
		size += int(b.entries[i].bytes)
	}
	buf = appendSeq(slices.Grow(buf, size), b.first)
	for i := range b.entries {
		e := &b.entries[i]
		buf = appendAsk(buf, e.ask, e.left(m))
	}
	return buf
}

// free returns a batch to fill. There is one, or the caller broke the rule that at most inFlight are out.
func (f *flight) free() *batch {
	for i := range f.batches {
		if b := &f.batches[i]; b.owed == 0 {
			b.first, b.entries = f.next, b.entries[:0]
			return b
		}
	}
	panic("peer: no batch is free")
}

// send says that b, filled, goes out.
func (f *flight) send(b *batch, m moment) {
	b.sent, b.owed = m, len(b.entries)
	f.next += uint64(len(b.entries))
}

// claim appends to asks those that n answers from number seq on are for, nil in place of an ask that is done already,
// and returns the batch that they are of, which is free again if it owes no more.
func (f *flight) claim(seq uint64, n int, asks []*cluster.Ask) (_ []*cluster.Ask, of *batch, err error) {
	for i := range f.batches {
		b := &f.batches[i]
		from := seq - b.first
		if b.owed == 0 || seq < b.first || from >= uint64(len(b.entries)) || uint64(n) > uint64(len(b.entries))-from {
			continue
		}
		for j := range b.entries[from : from+uint64(n)] {
			e := &b.entries[int(from)+j]
			if e.answered {
				return asks, nil, fmt.Errorf("number %d: %w", seq+uint64(j), errTwice)
			}
			asks = append(asks, e.ask)
			e.ask, e.answered = nil, true
			b.owed--
		}
		return asks, b, nil
	}
	return asks, nil, fmt.Errorf("numbers %d to %d: %w", seq, seq+uint64(n)-1, errNotAsked)
}

// expire moves the asks that end at m to dead and returns when the first of the others is due. Their batches stay owed.
// heard is when the peer was last heard of.
func (f *flight) expire(m moment, heard instant, dead []*cluster.Ask) ([]*cluster.Ask, instant) {
	next := never
	for i := range f.batches {
		for j := range f.batches[i].entries {
			e := &f.batches[i].entries[j]
			switch {
			case e.ask == nil:
			case e.ends(m, heard):
				dead = append(dead, e.ask)
				e.ask = nil
			default:
				next = min(next, e.due(m))
			}
		}
	}
	return dead, next
}

// clear moves all asks to dead and makes f as it is on a new stream.
func (f *flight) clear(dead []*cluster.Ask) []*cluster.Ask {
	dead, _ = f.expire(moment{now: never, wall: never}, 0, dead)
	for i := range f.batches {
		clear(f.batches[i].entries)
		f.batches[i] = batch{entries: f.batches[i].entries[:0]}
	}
	f.next = 1
	return dead
}
