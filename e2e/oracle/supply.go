package oracle

import (
	"cmp"
	"slices"
	"time"

	"github.com/noriahq/noria/bucket"
)

// Supply returns how many tokens a bucket of l that is full at 0 has for requests until then, rounded down: its burst and
// what it gains, less what it gains while it is full. A limiter that denies a request for cost at until has admitted
// all of the supply but less than cost by then, or it wastes some.
//
// The tokens of admissions count as taken when the answer was there, so that the bucket counts as full for as long as it
// can have been. l is as in Window.Over.
func Supply(l bucket.Limit, admissions []Admission, until time.Duration) int64 {
	per := period(l)
	full := l.Burst * per
	level, supply := full, full
	var now time.Duration
	gain := func(to time.Duration) {
		gained := min(l.Tokens*int64(to-now), full-level)
		level, supply, now = level+gained, supply+gained, to
	}
	for _, a := range slices.SortedFunc(slices.Values(admissions), func(a, b Admission) int { return cmp.Compare(a.Returned, b.Returned) }) {
		if a.Returned > until {
			break
		}
		gain(a.Returned)
		level -= a.Cost * per
	}
	gain(max(now, until))
	return supply / per
}
