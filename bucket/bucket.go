package bucket

import (
	"math/bits"
	"time"
)

// A Bucket is one key's supply of tokens. Its zero value is full. Which limit it belongs to is the caller's to know: all
// calls on one Bucket take the same Plan. A Bucket is not safe for concurrent use.
type Bucket struct {
	debt int64 // units owed at the tick at; with a window, units owed in it
	at   int64 // tick; with a window, the window's name
}

// Take takes cost tokens if they are there and says so. A cost of 0 takes nothing, is always allowed and tells the
// level. The cost must be 0 to the Burst of the plan's limit.
func (b *Bucket) Take(now Instant, p *Plan, cost int64) Decision {
	var d Decision
	b.take(now, p, cost, &d)
	return d
}

// take is Take, and makes the zero Decision d its answer. Copying a Decision that has just been written costs 10 ns,
// because its first bytes were written one by one and are read as 16.
func (b *Bucket) take(now Instant, p *Plan, cost int64, d *Decision) {
	switch {
	case p.plain:
		b.takePlain(now, p, cost, d)
	case p.opens != nil:
		b.takeWindow(now, p, cost, d)
	default:
		b.takeTicks(now, p, cost, d)
	}
}

// takePlain is take for a plan without a queue whose ticks are nanoseconds, which most are. takeTicks answers the same in
// 20 ns where this takes 11.
func (b *Bucket) takePlain(now Instant, p *Plan, cost int64, d *Decision) {
	debt, at := b.debt, b.at
	if gap := int64(now) - at; gap > 0 {
		hi, paid := bits.Mul64(uint64(gap), uint64(p.n))
		at = int64(now)
		if debt -= int64(min(paid, maxDebt)); hi != 0 || debt < 0 {
			debt = 0
		}
	}
	early := time.Duration(at - int64(now)) // an older reading of the clock waits longer
	if over := debt + cost*p.p - p.line; over <= 0 || cost == 0 {
		d.Allowed = true
		if cost > 0 {
			debt += cost * p.p
			b.debt, b.at = debt, at
		}
	} else {
		d.RetryAfter = p.paid(over, early)
	}
	if debt < p.empty {
		d.Remaining = p.byP.floor(p.empty - debt)
	}
	if debt > 0 {
		d.ResetAfter = p.paid(debt, early)
	}
}

// paid returns how long it takes to pay back units, 1 or more, and early, where a tick is a nanosecond.
func (p *Plan) paid(units int64, early time.Duration) time.Duration {
	after := time.Duration(p.byN.ceil(units)) + early
	if after < 0 {
		return Never
	}
	return after
}

// takeTicks is take for a plan without windows.
func (b *Bucket) takeTicks(now Instant, p *Plan, cost int64, d *Decision) {
	debt, at := b.owed(now, p)
	units := cost * p.p
	switch over := debt + units - p.line; {
	case cost == 0:
		d.Allowed = true
	case over > 0:
		d.RetryAfter = p.after(now, at, over)
	default:
		d.Allowed = true
		over = debt + units - p.empty
		debt, at = b.charge(now, p, debt, at, units)
		if over > 0 {
			debt = b.queue(p, debt, units, over)
			d.Delay = p.after(now, at, over)
		}
	}
	d.Remaining, d.ResetAfter = p.tokens(debt), p.after(now, at, debt)
}

// owed returns what b owes, as read at now, and as of which tick.
func (b *Bucket) owed(now Instant, p *Plan) (debt, at int64) {
	at = p.floor(now)
	if at <= b.at { // an older reading of the clock, or the tick in which b was full
		return b.debt, b.at
	}
	hi, paid := bits.Mul64(uint64(at-b.at), uint64(p.n))
	if hi != 0 || paid >= uint64(b.debt) {
		return 0, at
	}
	return b.debt - int64(paid), at
}

// charge adds units to the debt that owed read, no earlier than now, and returns the debt and its tick.
func (b *Bucket) charge(now Instant, p *Plan, debt, at, units int64) (int64, int64) {
	if p.tick != 1 {
		debt, at = p.late(now, debt, at)
	}
	if debt += units; debt > maxDebt || debt < 0 {
		debt = maxDebt
	}
	b.debt, b.at = debt, at
	return debt, at
}

// late returns the debt that is paid back when debt is, or at the end of now's tick if that is later.
func (p *Plan) late(now Instant, debt, at int64) (int64, int64) {
	switch up := p.ceil(now); {
	case up <= at:
		return debt, at
	case debt == 0:
		return 0, up
	}
	return max(debt, p.n), at
}

// queue makes b, which owes debt after a request of units that is over what it holds, owe no less than if the request
// came when its turn comes. It returns the debt.
func (b *Bucket) queue(p *Plan, debt, units, over int64) int64 {
	ticks := (over-1)/p.n + 1
	b.debt = max(debt, ticks*p.n+units)
	return b.debt
}

// Charge takes cost tokens whether they are there or not: the level may fall below zero, and nothing is admitted until
// it has risen again. It is for costs that are known only afterwards. The cost must not be negative. What a bucket owes is
// bounded, at no less than twice Burst + Queue; what is charged beyond that is dropped.
func (b *Bucket) Charge(now Instant, p *Plan, cost int64) {
	if cost == 0 {
		return
	}
	if p.opens != nil {
		b.chargeWindow(p.window(now), p.cost(cost))
		return
	}
	debt, at := b.owed(now, p)
	b.charge(now, p, debt, at, p.cost(cost))
}

// Merge makes b owe the larger of what b and o owe. It is commutative, associative and idempotent, so copies of a bucket
// may be merged in any order and any number of times.
func (b *Bucket) Merge(p *Plan, o Bucket) {
	switch {
	case p.opens != nil:
		b.mergeWindow(o)
	case p.later(o, *b):
		*b = o
	}
}

// later says whether a is full later than b is. Of two that are full at once, that is the one with the older tick.
func (p *Plan) later(a, b Bucket) bool {
	if a.at < b.at {
		return !p.later(b, a)
	}
	hi, gain := bits.Mul64(uint64(a.at-b.at), uint64(p.n))
	return hi != 0 || gain > maxDebt || uint64(a.debt)+gain > uint64(b.debt)
}

// Full says whether b holds all its tokens at now, and so is as good as a zero Bucket.
func (b *Bucket) Full(now Instant, p *Plan) bool {
	debt, _ := b.missing(now, p)
	return debt == 0
}

// missing returns what b misses to be full at now, in units and as a fraction of its burst.
func (b *Bucket) missing(now Instant, p *Plan) (units int64, fraction float64) {
	if p.opens != nil {
		_, units = b.inWindow(p.window(now))
	} else {
		units, _ = b.owed(now, p)
	}
	return units, float64(units) / float64(p.empty)
}
