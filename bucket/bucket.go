// Package bucket decides: it holds token buckets in memory and says whether a request may take tokens from one.
//
// # Arithmetic
//
// A bucket is the generic cell rate algorithm (ITU-T I.371) in exact integers. A limit adds Tokens every Per; counted in
// ticks of some nanoseconds, that rate in lowest terms is n/p tokens a tick. One unit is 1/p of a token, so each tick
// pays back exactly n units and a request of c tokens costs exactly c*p units: refill, cost and comparison are integer
// additions, and nothing is ever rounded. The state is one amount, the debt: the units that the bucket misses to be full.
// The tick is a nanosecond, or for slow limits with a large burst the first of a microsecond, a millisecond or a second
// in which a drained bucket's debt fits 61 bits; Validate refuses limits that fit in none.
//
// # Why it never admits more
//
// Claim: for all t0 <= t1 a bucket with rate r = n/p and burst B admits A(t0,t1) <= B + r*(t1-t0).
//
// Let X be the tick at which the debt will be paid back, times n (GCRA's theoretical arrival time). An admission of c
// tokens at time t is allowed only if X - n*floor(t) + c*p <= B*p, and sets X to max(X, n*ceil(t)) + c*p. So X never falls,
// and every admission adds its cost to it in full. Just before the first admission in [t0,t1] X becomes at least
// n*ceil(t0) >= n*t0; after the last one, at some t <= t1, X <= n*floor(t) + B*p where X > n*ceil(t) held before it, and
// otherwise X = n*ceil(t) + c*p, in which case that admission started from a full bucket and the claim holds for the rest
// of the window by induction and for this one by c <= B. Hence p*A <= X(after) - X(before) <= n*(t1-t0) + B*p. Rounding
// t down where it admits and up where it charges only takes from the caller, less than a tick and never more than once
// until the bucket is full again, so there is no drift either way. A queue of Q tokens raises the line to (B+Q)*p and
// delays each admission above B*p until the debt has fallen to it; at the delayed times the claim holds as it stands.
//
// # Time
//
// Nothing here reads a clock: whoever calls says what time it is, as an Instant. An Instant before one that a bucket has
// seen counts as that one.
package bucket

import "math/bits"

// A Bucket is one key's supply of tokens. Its zero value is full. Which limit it belongs to is the caller's to know: all
// calls on one Bucket take the same Plan. A Bucket is not safe for concurrent use.
type Bucket struct {
	debt int64 // units owed at the tick at; with a window, units owed in it
	at   int64 // tick; with a window, the window's name
}

// A Receipt is what Refund wants to know of a Take.
type Receipt struct {
	units int64 // taken
	owed  int64 // debt just before
	at    int64 // tick, or window
}

// Take takes cost tokens if they are there and says so. A cost of 0 takes nothing and tells the level. The cost must be
// at least 0 and at most Burst + Queue of the plan's limit.
func (b *Bucket) Take(now Instant, p *Plan, cost int64) Decision {
	d, _ := b.take(now, p, cost)
	return d
}

func (b *Bucket) take(now Instant, p *Plan, cost int64) (Decision, Receipt) {
	if p.opens != nil {
		return b.takeWindow(now, p, cost)
	}
	debt, down, up := b.owed(now, p)
	units := cost * p.p
	if debt+units > p.line && cost > 0 {
		return Decision{
			Remaining:  p.tokens(debt),
			RetryAfter: p.after(now, down, debt+units-p.line),
			ResetAfter: p.after(now, down, debt),
		}, Receipt{}
	}
	receipt := Receipt{units: units, owed: debt, at: down}
	if cost > 0 {
		debt, down = b.charge(p, debt, units, down, up)
	}
	d := Decision{Allowed: true, Remaining: p.tokens(debt), ResetAfter: p.after(now, down, debt)}
	if debt > p.empty && cost > 0 {
		d.Delay = p.after(now, down, debt-p.empty)
	}
	return d, receipt
}

// owed returns b's debt at now rounded down to a tick, that tick, and now rounded up to one.
func (b *Bucket) owed(now Instant, p *Plan) (debt, down, up int64) {
	down, up = p.ticks(now)
	debt = b.debt
	if debt == 0 {
		return 0, down, up
	}
	if down < b.at { // an older reading of the clock, or less than a tick since the bucket was full
		if p.tick != 1 {
			return debt + p.n, b.at - 1, b.at
		}
		return debt, b.at, b.at
	}
	hi, paid := bits.Mul64(uint64(down-b.at), uint64(p.n))
	if hi != 0 || paid >= uint64(debt) {
		return 0, down, up
	}
	return debt - int64(paid), down, up
}

// charge adds units to the debt at the tick down and returns the debt and its tick. A debt that is paid back before up
// counts from up, so that no part of a tick pays twice.
func (b *Bucket) charge(p *Plan, debt, units, down, up int64) (int64, int64) {
	if debt < p.n*(up-down) {
		debt, down = 0, up
	}
	b.debt, b.at = min(debt+units, maxDebt), down
	return b.debt, down
}

// takeWindow is take for limits that are refilled all at once.
func (b *Bucket) takeWindow(now Instant, p *Plan, cost int64) (Decision, Receipt) {
	w := p.window(now)
	name, debt := b.inWindow(w)
	left := w.end.Sub(now)
	if debt+cost > p.empty && cost > 0 {
		return Decision{Remaining: p.tokens(debt), RetryAfter: left, ResetAfter: left}, Receipt{}
	}
	receipt := Receipt{units: cost, owed: debt, at: name}
	if cost > 0 {
		debt += cost
		b.debt, b.at = debt, name
	}
	d := Decision{Allowed: true, Remaining: p.tokens(debt)}
	if debt > 0 {
		d.ResetAfter = left
	}
	return d, receipt
}

// inWindow returns the window that b is charged in, and its debt there. A window never opens twice: after the wall clock
// was set back the debt stays in the later one.
func (b *Bucket) inWindow(w *span) (name, debt int64) {
	if b.debt != 0 && b.at >= w.name {
		return b.at, b.debt
	}
	return w.name, 0
}

// Charge takes cost tokens whether they are there or not: the level may fall below zero, and nothing is admitted until
// it has risen again. It is for costs that are known only afterwards. The cost must not be negative.
func (b *Bucket) Charge(now Instant, p *Plan, cost int64) {
	if cost == 0 {
		return
	}
	if p.opens != nil {
		name, debt := b.inWindow(p.window(now))
		b.debt, b.at = min(debt+p.cost(cost), maxDebt), name
		return
	}
	debt, down, up := b.owed(now, p)
	b.charge(p, debt, p.cost(cost), down, up)
}

// Refund gives back what the Take with receipt r took, as far as that is still missing: tokens that the bucket has
// gained meanwhile only because it was not full without them are not given again. So a Take and its Refund together
// never leave more tokens than if neither had been. A receipt is good for one Refund. since is the units that other
// Refunds gave to this bucket since r, or more; Refund returns the units that it gave.
func (b *Bucket) Refund(now Instant, p *Plan, r Receipt, since int64) (units int64) {
	if r.units == 0 || b.debt == 0 {
		return 0
	}
	if p.opens != nil {
		if b.at == r.at {
			units = min(b.debt, r.units)
			b.debt -= units
		}
		return units
	}
	debt, down, up := b.owed(now, p)
	units = min(debt, p.outstanding(r, up, since))
	b.debt, b.at = debt-units, down
	return units
}

// outstanding returns the units of r that a refund at the tick up may give back: the least that the bucket can have owed
// since r. Whatever it owed less than r.units for a moment was full at that moment without r, and the refill after it was
// lost to the bucket but not to r. What other refunds gave since may have been part of r.owed.
func (p *Plan) outstanding(r Receipt, up, since int64) int64 {
	if p.n == 0 { // a quota is never full again
		return r.units
	}
	hi, paid := bits.Mul64(uint64(max(0, up-r.at)), uint64(p.n))
	if hi != 0 || paid > maxDebt || since > maxDebt {
		return 0
	}
	return max(0, min(r.units, r.units+r.owed-int64(paid)-since))
}

// Merge makes b owe the larger of what b and o owe. It is commutative, associative and idempotent, so copies of a bucket
// may be merged in any order and any number of times.
func (b *Bucket) Merge(now Instant, p *Plan, o Bucket) {
	if p.opens != nil {
		if o.debt != 0 && (b.debt == 0 || o.at > b.at || o.at == b.at && o.debt > b.debt) {
			*b = o
		}
		return
	}
	mine, _, _ := b.owed(now, p)
	theirs, _, _ := o.owed(now, p)
	if theirs > mine {
		*b = o
	}
}

// Full says whether b holds all its tokens at now, and so is as good as a zero Bucket.
func (b *Bucket) Full(now Instant, p *Plan) bool {
	if b.debt == 0 {
		return true
	}
	if p.opens != nil {
		_, debt := b.inWindow(p.window(now))
		return debt == 0
	}
	debt, _, _ := b.owed(now, p)
	return debt == 0
}
