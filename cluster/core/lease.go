package core

import (
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/bucket"
)

// LeaseFor is how long a lease may be spent after it was asked for.
const LeaseFor = 500 * time.Millisecond

// A Lease is what a node was lent of one key's tokens, and may spend alone. Its methods do not block. Spend is safe for
// concurrent use, with itself and with the others, of which one may be called at a time.
//
// Between Ask and Answered it may be spent. What it reports may be less than it has by then, and that is counted as spent.
type Lease struct {
	left  atomic.Int64 // tokens
	until atomic.Int64 // Instant
}

// Spend takes cost tokens, at least 1, if the lease has them at now, and returns what it has left then.
func (l *Lease) Spend(now bucket.Instant, cost int64) (left int64, ok bool) {
	if int64(now) >= l.until.Load() {
		return 0, false
	}
	for {
		left := l.left.Load()
		if left < cost {
			return left, false
		}
		if l.left.CompareAndSwap(left, left-cost) {
			return left - cost, true
		}
	}
}

// Left returns the tokens that the lease has, if it is not over.
func (l *Lease) Left() int64 { return l.left.Load() }

// Until returns when it is over; it may not be spent then.
func (l *Lease) Until() bucket.Instant { return bucket.Instant(l.until.Load()) }

// Report returns what the lease has, for its holder, at sent.
func (l *Lease) Report(sent bucket.Instant) (rest int64) {
	if sent >= l.Until() {
		l.left.Store(0)
	}
	return l.left.Load()
}

// Answered makes the lease what the holder counts as held of it, which was asked for at sent with that rest.
func (l *Lease) Answered(sent bucket.Instant, rest, held int64) {
	for {
		left := l.left.Load()
		if l.left.CompareAndSwap(left, max(left+held-rest, 0)) {
			break
		}
	}
	l.until.Store(int64(max(l.Until(), sent+bucket.Instant(LeaseFor))))
}

// End ends the lease and returns what it had, to be given back: nobody spends that any more.
func (l *Lease) End(now bucket.Instant) (back int64) {
	back = l.left.Swap(0)
	if now >= l.Until() {
		return 0
	}
	return back
}
