package policy

import (
	"cmp"
	"math/bits"
	"time"

	"github.com/noriahq/noria/bucket"
)

// stricter says whether a gives less than b: first in the long run, then at once, then to those who wait.
func stricter(a, b bucket.Limit) bool {
	aTokens, aPer := pace(a)
	bTokens, bPer := pace(b)
	aHigh, aLow := bits.Mul64(aTokens, bPer)
	bHigh, bLow := bits.Mul64(bTokens, aPer)
	order := cmp.Or(cmp.Compare(aHigh, bHigh), cmp.Compare(aLow, bLow), cmp.Compare(a.Burst, b.Burst), cmp.Compare(a.Queue, b.Queue))
	return order < 0
}

// pace returns what l gives in the long run: tokens in each of so many nanoseconds. Of calendar windows it takes the
// shortest, and quotas that are never refilled give nothing.
func pace(l bucket.Limit) (tokens, per uint64) {
	const day = 24 * time.Hour
	switch l.Window {
	case bucket.Fixed:
		return uint64(l.Burst), uint64(l.Per)
	case bucket.Hour:
		return uint64(l.Burst), uint64(time.Hour)
	case bucket.Day:
		return uint64(l.Burst), uint64(day)
	case bucket.Week:
		return uint64(l.Burst), uint64(7 * day)
	case bucket.Month:
		return uint64(l.Burst), uint64(28 * day)
	case bucket.Year:
		return uint64(l.Burst), uint64(365 * day)
	default:
		return uint64(l.Tokens), uint64(max(l.Per, 1))
	}
}
