package bucket

import (
	"fmt"
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// maxDebt is the most units a bucket owes; charges beyond it are dropped. Validate keeps a drained bucket with a full
// queue, and what a tick pays back, at half of it or less, so that sums of two of them never overflow.
const maxDebt = 1 << 62

// A Plan is a Limit with its arithmetic worked out. The package comment says what n, p and tick are. A Plan is safe for
// concurrent use.
type Plan struct {
	limit Limit

	n    int64 // units that each tick pays back; 0 for quotas and windows
	p    int64 // units in one token
	tick int64 // ns of one tick

	byN, byP divisor

	empty int64 // units owed by a bucket without tokens: Burst*p
	line  int64 // units that may be owed after an admission: (Burst+Queue)*p

	plain bool // ticks are nanoseconds, and there is refill, no queue and no window

	slots bool // tokens are reserved and given back, and no bucket knows of them

	opens func(time.Time) (start, end time.Time) // of the window around a time; nil without windows
	epoch atomic.Int64                           // wall time of Instant 0, in ns since the Unix epoch
	open  atomic.Pointer[span]                   // the window last asked for

	keys atomic.Int64 // a Store's records
	refs atomic.Int64 // of a Store's records and calls under way
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
	plan := &Plan{
		limit: l, n: n, p: p, tick: tick, empty: l.Burst * p, line: (l.Burst + l.Queue) * p,
		byN: divisorOf(max(n, 1)), byP: divisorOf(p),
	}
	plan.slots = l.Window == Concurrency
	plan.plain = tick == 1 && n > 0 && l.Queue == 0 && l.Window == None
	if l.Window != None && !plan.slots {
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

// Is says whether p is the plan of l. Its fields one by one: == calls two functions, for 5 ns, and comparing two empty
// strings one, for 2.
func (p *Plan) Is(l *Limit) bool {
	m := &p.limit
	return m.Tokens == l.Tokens && m.Per == l.Per && m.Burst == l.Burst && m.Queue == l.Queue && m.Window == l.Window &&
		(len(m.Zone)+len(l.Zone) == 0 || m.Zone == l.Zone)
}

// Refill is Limit.Refill of p's limit, in 2 ns where that takes 20 to divide.
func (p *Plan) Refill(tokens int64) time.Duration {
	if !p.plain || tokens <= 0 || tokens > p.limit.Burst {
		return p.limit.Refill(tokens)
	}
	return p.paid(tokens*p.p, 0)
}

// SetEpoch tells p that Instant 0 was at epoch, after the wall clock was set. Buckets keep what they owe in the window
// they owe it in.
func (p *Plan) SetEpoch(epoch time.Time) {
	p.epoch.Store(epoch.UnixNano())
	p.open.Store(nil)
}

// cost returns tokens in units, at most maxDebt.
func (p *Plan) cost(tokens int64) int64 {
	hi, lo := bits.Mul64(uint64(tokens), uint64(p.p))
	if hi != 0 || lo > maxDebt {
		return maxDebt
	}
	return int64(lo)
}

// roundUp returns units in tokens, rounded up.
func (p *Plan) roundUp(units int64) uint64 { return (uint64(units) + uint64(p.p) - 1) / uint64(p.p) }

// floor returns the last tick that has begun at now.
func (p *Plan) floor(now Instant) int64 {
	if p.tick == 1 {
		return int64(now)
	}
	return int64(now) / p.tick
}

// ceil returns the first tick that begins at now or later.
func (p *Plan) ceil(now Instant) int64 {
	tick := p.floor(now)
	if tick*p.tick < int64(now) {
		tick++
	}
	return tick
}

// after returns how long after now units owed at the tick at are paid back, rounded up; Never if they never are or that
// takes longer than a Duration holds. What is mostly so is inlined: 2 ns each time.
func (p *Plan) after(now Instant, at, units int64) time.Duration {
	if p.tick == 1 && at == int64(now) && units > 0 && p.n > 0 {
		return time.Duration(p.byN.ceil(units))
	}
	return p.wait(now, at, units)
}

// wait is after.
func (p *Plan) wait(now Instant, at, units int64) time.Duration {
	if units <= 0 {
		return 0
	}
	if p.n == 0 {
		return Never
	}
	hi, ns := bits.Mul64(uint64(p.byN.ceil(units)), uint64(p.tick))
	if hi != 0 || ns > math.MaxInt64 {
		return Never
	}
	after := time.Duration(ns) + time.Duration(at*p.tick-int64(now))
	if after < 0 {
		return Never
	}
	return after
}

// tokens returns the whole tokens left by a debt.
func (p *Plan) tokens(debt int64) int64 {
	if debt >= p.empty {
		return 0
	}
	return p.byP.floor(p.empty - debt)
}
