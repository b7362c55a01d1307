// Package oracle says whether what clients saw of a limiter keeps the promise of a limit: in every window of time, at
// most burst plus rate times its length is admitted.
//
// Clients cannot see when a decision was made, only when they asked and when they were answered. A request whose call and
// return both lie in a window was certainly decided in it, so a complaint is never wrong; requests that stick out of
// every window may hide one.
package oracle

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/noriahq/noria/bucket"
)

// An Admission is one request that was admitted. Called and Returned are readings of one monotonic clock.
type Admission struct {
	Called   time.Duration // before the request went out
	Returned time.Duration // after the answer came in; not before Called
	Cost     int64         // tokens
}

// A Window is a span of time, both ends included, and the cost that was certainly admitted in it.
type Window struct {
	From, To time.Duration
	Cost     int64 // tokens
}

// String returns w in words.
func (w Window) String() string {
	return fmt.Sprintf("%d tokens in %v from %v on", w.Cost, w.To-w.From, w.From)
}

// Over returns how many tokens w's cost is above what l admits in a window of its length, rounded up; 0 or less if it
// keeps the promise.
//
// l is a steady limit or a quota that is never refilled, valid, and its tokens times the window's nanoseconds are below
// 2^62.
func (w Window) Over(l bucket.Limit) int64 {
	per := period(l)
	return ceil(w.Cost*per-l.Tokens*int64(w.To-w.From), per) - l.Burst
}

// Worst returns the window of admissions that comes nearest to breaking l, or breaks it most. It takes time n log n. l is
// as in Over. The zero Window is returned for no admissions.
func Worst(l bucket.Limit, admissions []Admission) Window {
	if len(admissions) == 0 {
		return Window{}
	}
	byCall := slices.SortedFunc(slices.Values(admissions), func(a, b Admission) int { return -cmp.Compare(a.Called, b.Called) })
	ends := make([]time.Duration, len(admissions))
	for i, a := range admissions {
		ends[i] = a.Returned
	}
	slices.Sort(ends)
	ends = slices.Compact(ends)

	// For the starts of windows from the last to the first, debts has for each end the tokens admitted up to it, less
	// those that refill up to it.
	per := period(l)
	debts := newDebts(len(ends), func(end int) int64 { return -l.Tokens * int64(ends[end]) })
	most, worst := int64(math.MinInt64), Window{}
	for i, a := range byCall {
		end, _ := slices.BinarySearch(ends, a.Returned)
		debts.add(end, a.Cost*per)
		if i+1 < len(byCall) && byCall[i+1].Called == a.Called {
			continue // the window has that one too
		}
		first, _ := slices.BinarySearch(ends, a.Called)
		debt, at := debts.most(first)
		if debt += l.Tokens * int64(a.Called); debt > most {
			most, worst = debt, Window{From: a.Called, To: ends[at]}
		}
	}
	worst.Cost = Cost(admissions, worst.From, worst.To)
	return worst
}

// Cost returns the tokens of those admissions that were called at or after from and returned at or before to.
func Cost(admissions []Admission, from, to time.Duration) int64 {
	var sum int64
	for _, a := range admissions {
		if a.Called >= from && a.Returned <= to {
			sum += a.Cost
		}
	}
	return sum
}

// period returns the period of l's tokens in nanoseconds, 1 if none come.
func period(l bucket.Limit) int64 { return max(1, int64(l.Per)) }

// ceil returns a / b rounded up; b is positive.
func ceil(a, b int64) int64 {
	if a > 0 {
		return (a + b - 1) / b
	}
	return a / b
}
