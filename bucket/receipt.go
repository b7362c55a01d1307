package bucket

import "math/bits"

// A Receipt is what Refund wants to know of a Take.
type Receipt struct {
	units int64 // taken
	owed  int64 // besides, at the tick at
	at    int64 // tick; with a window, its name
}

// Receipt returns the receipt of the Take of cost that was the last to change b, and was allowed.
func (b *Bucket) Receipt(p *Plan, cost int64) Receipt {
	return Receipt{units: cost * p.p, owed: b.debt - cost*p.p, at: b.at}
}

// Refund gives back what the Take with receipt r took, as far as that is still missing: tokens that the bucket has
// gained meanwhile only because it was not full without them are not given again. So a Take and its Refund together
// never leave more tokens than if neither had been. A receipt is good for one Refund, which returns the units that it
// gave.
//
// since is the units, or more, that b's debt was lowered by since r other than by refill, as by other Refunds; of a limit
// without refill other Refunds do not count. After Merge receipts are good as before, for a now that is not older than what the
// bucket had seen until then: else a tick's worth too much may come back.
func (b *Bucket) Refund(now Instant, p *Plan, r Receipt, since int64) (units int64) {
	if p.opens != nil {
		if name, debt := b.inWindow(p.window(now)); name == r.at {
			units = min(debt, r.missing(p, r.at, since))
			b.debt = debt - units
		}
		return units
	}
	debt, at := b.owed(now, p)
	until := max(p.ceil(now), p.seen(b.at), p.turn(debt, at, since))
	units = min(debt, r.missing(p, until, since))
	if units > 0 {
		b.debt, b.at = debt-units, at
	}
	return units
}

// missing returns the units of r that are still missing, or less, if the bucket may have been as full as it can be until
// the tick until.
func (r *Receipt) missing(p *Plan, until, since int64) int64 {
	hi, paid := bits.Mul64(uint64(max(0, until-r.at)), uint64(p.n))
	if hi != 0 || paid >= maxDebt || since >= maxDebt {
		return 0
	}
	return max(0, min(r.units, r.units+r.owed-int64(paid)-max(since, 0)))
}

// seen returns the first tick not before any admission of a bucket that is kept as of the tick at.
func (p *Plan) seen(at int64) int64 {
	if p.tick == 1 {
		return at
	}
	return at + 1
}

// turn returns the first tick, not before at, after which no request waits for its turn. Before units were given back
// since, requests may have been told a later turn.
func (p *Plan) turn(debt, at, since int64) int64 {
	if p.line == p.empty {
		return at
	}
	over := min(debt+min(max(since, 0), maxDebt-1), maxDebt) - p.empty
	if over <= 0 {
		return at
	}
	return at + (over-1)/p.n + 1
}
