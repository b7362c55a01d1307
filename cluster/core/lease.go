package core

import (
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/bucket"
)

// LeaseFor is how long a lease may be spent after it was asked for.
const LeaseFor = 500 * time.Millisecond

// A Lease is what a node was lent of one key's tokens, and may spend alone. Its methods do not block. Spend and Return are safe for
// concurrent use, with themselves and with the others, of which one may be called at a time.
//
// Between Report and Answered it may be spent. What it reports may be less than it has by then, and that is counted as spent.
type Lease struct {
	word  atomic.Uint64 // tokens, and above them the round
	until atomic.Int64  // Instant
}

// A Round is a time in which the holder learns nothing of what a lease has.
type Round uint64

// leftBits are those of the tokens; twice as many as a burst has fit.
const leftBits = 40

// Spend takes cost tokens, at least 1, if the lease has them at now, and returns what it has left then, and for Return in which
// round that was.
func (l *Lease) Spend(now bucket.Instant, cost int64) (left int64, round Round, ok bool) {
	if int64(now) >= l.until.Load() {
		return 0, 0, false
	}
	for {
		word := l.word.Load()
		if left = tokensIn(word); left < cost {
			return left, 0, false
		}
		if l.word.CompareAndSwap(word, word-uint64(cost)) {
			return left - cost, roundOf(word), true
		}
	}
}

// Return gives back what Spend took in that round, and says whether it could: not once the holder may count it as spent.
func (l *Lease) Return(cost int64, round Round) bool {
	for {
		word := l.word.Load()
		if roundOf(word) != round {
			return false
		}
		if l.word.CompareAndSwap(word, word+uint64(cost)) {
			return true
		}
	}
}

func tokensIn(word uint64) int64 { return int64(word & (1<<leftBits - 1)) }

func roundOf(word uint64) Round { return Round(word >> leftBits) }

// next begins a round with that many tokens, and returns how many there were.
func (l *Lease) next(tokens func(left int64) int64) (was int64) {
	for {
		word := l.word.Load()
		was = tokensIn(word)
		if l.word.CompareAndSwap(word, uint64(roundOf(word)+1)<<leftBits|uint64(tokens(was))) {
			return was
		}
	}
}

// Left returns the tokens that the lease has, if it is not over.
func (l *Lease) Left() int64 { return tokensIn(l.word.Load()) }

// Until returns when it is over; it may not be spent then.
func (l *Lease) Until() bucket.Instant { return bucket.Instant(l.until.Load()) }

// Report returns what the lease has, for its holder, at sent.
func (l *Lease) Report(sent bucket.Instant) (rest int64) {
	if sent >= l.Until() {
		l.next(func(int64) int64 { return 0 })
		return 0
	}
	return l.next(func(left int64) int64 { return left })
}

// Answered makes the lease what the holder counts as held of it, which was asked for at sent with that rest.
func (l *Lease) Answered(sent bucket.Instant, rest, held int64) {
	if held < rest { // what was spent since may be more than it has now
		l.next(func(left int64) int64 { return max(left+held-rest, 0) })
	} else {
		l.word.Add(uint64(held - rest))
	}
	l.until.Store(int64(max(l.Until(), sent+bucket.Instant(LeaseFor))))
}

// End ends the lease and returns what it had, to be given back: nobody spends that any more.
func (l *Lease) End(now bucket.Instant) (back int64) {
	back = l.next(func(int64) int64 { return 0 })
	if now >= l.Until() {
		return 0
	}
	return back
}
