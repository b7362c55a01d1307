package bucket

import (
	"fmt"
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// maxDebt is the most units a bucket owes; charges beyond it are dropped. Validate keeps a drained bucket with a full
// queue at half of it or less.
const maxDebt = 1 << 62

// A Plan is a Limit with its arithmetic worked out. The package comment says what n, p and tick are. A Plan is safe for
// concurrent use.
type Plan struct {
	limit Limit

	n    int64 // units that each tick pays back; 0 for quotas and windows
	p    int64 // units in one token
	tick int64 // ns of one tick

	empty int64 // units owed by a bucket without tokens: Burst*p
	line  int64 // units that may be owed after an admission: (Burst+Queue)*p

	opens func(time.Time) (start, end time.Time) // of the window around a time; nil without windows
	epoch atomic.Int64                           // wall time of Instant 0, in ns since the Unix epoch
	open  atomic.Pointer[span]                   // the window last asked for

	refs atomic.Int64 // of a Store's slots and calls under way
}

// A span is one window: from begin until end on the node's clock. Its name is where it starts in wall time, in ns since
// the Unix epoch, and so the same for all nodes and whatever happens to the clock.
type span struct {
	name       int64
	begin, end Instant
}

// NewPlan works out l, which it returns an error of Validate for if it is not valid. epoch is the wall time of Instant
// 0; only windows look at it.
func NewPlan(l Limit, epoch time.Time) (*Plan, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	n, p, tick, ok := l.units()
	if !ok {
		return nil, fmt.Errorf("%w: %v does not fit the arithmetic", ErrLimit, l)
	}
	plan := &Plan{limit: l, n: n, p: p, tick: tick, empty: l.Burst * p, line: (l.Burst + l.Queue) * p}
	if l.Window != None {
		opens, err := l.windows()
		if err != nil {
			return nil, err
		}
		plan.opens = opens
	}
	plan.SetEpoch(epoch)
	return plan, nil
}

// Limit returns the limit that p was made of.
func (p *Plan) Limit() Limit { return p.limit }

// SetEpoch tells p that Instant 0 was at epoch, after the wall clock was set. Buckets keep what they owe in the window
// they owe it in.
func (p *Plan) SetEpoch(epoch time.Time) {
	p.epoch.Store(epoch.UnixNano())
	p.open.Store(nil)
}

// window returns the window that now is in.
func (p *Plan) window(now Instant) *span {
	if s := p.open.Load(); s != nil && s.begin <= now && now < s.end {
		return s
	}
	epoch := p.epoch.Load()
	start, end := p.opens(time.Unix(0, epoch+int64(now)))
	s := &span{name: start.UnixNano(), begin: Instant(start.UnixNano() - epoch), end: Instant(end.UnixNano() - epoch)}
	if p.epoch.Load() == epoch {
		p.open.Store(s)
	}
	return s
}

// cost returns tokens in units, at most maxDebt.
func (p *Plan) cost(tokens int64) int64 {
	hi, lo := bits.Mul64(uint64(tokens), uint64(p.p))
	if hi != 0 || lo > maxDebt {
		return maxDebt
	}
	return int64(lo)
}

// ticks returns now in whole ticks, rounded down and up.
func (p *Plan) ticks(now Instant) (down, up int64) {
	if p.tick == 1 {
		return int64(now), int64(now)
	}
	down = int64(now) / p.tick
	up = down
	if down*p.tick < int64(now) {
		up++
	}
	return down, up
}

// after returns how long after now units owed at the tick down are paid back, rounded up; Never if they never are or
// that takes longer than a Duration holds.
func (p *Plan) after(now Instant, down, units int64) time.Duration {
	if units <= 0 {
		return 0
	}
	if p.n == 0 {
		return Never
	}
	ticks := units
	if p.n != 1 {
		ticks = (units-1)/p.n + 1
	}
	if p.tick == 1 {
		return time.Duration(ticks) + time.Duration(down-int64(now))
	}
	hi, ns := bits.Mul64(uint64(ticks), uint64(p.tick))
	if hi != 0 || ns > math.MaxInt64-uint64(p.tick) {
		return Never
	}
	return time.Duration(ns) + time.Duration(down*p.tick-int64(now))
}

// tokens returns the whole tokens left by a debt.
func (p *Plan) tokens(debt int64) int64 {
	if debt >= p.empty {
		return 0
	}
	return (p.empty - debt) / p.p
}
