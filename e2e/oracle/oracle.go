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
	Slack    int64 // tokens that it may admit beyond the limit
}

// String returns w in words.
func (w Window) String() string {
	return fmt.Sprintf("%d tokens in %v from %v on", w.Cost, w.To-w.From, w.From)
}

// Over returns how many tokens w's cost is above what l and w's slack admit in a window of its length, rounded up; 0 or
// less if it keeps the promise.
//
// l is a steady limit or a quota that is never refilled, valid, and its tokens times the window's nanoseconds and all
// costs times its period are below 2^62.
func (w Window) Over(l bucket.Limit) int64 {
	per := period(l)
	return ceil(w.Cost*per-l.Tokens*int64(w.To-w.From), per) - l.Burst - w.Slack
}

// Worst returns the window of admissions that comes nearest to breaking l, or breaks it most. It takes time n log n. l is
// as in Over. The zero Window is returned for no admissions.
func Worst(l bucket.Limit, admissions []Admission) Window {
	w, _ := WorstOf(l, admissions, nil, nil)
	return w
}

// A Slack is what windows that share a moment with a span may admit beyond the limit.
type Slack struct {
	From, To time.Duration // both included
	Tokens   int64         // 0 or more
}

// A Span is a piece of time, both ends included.
type Span struct{ From, To time.Duration }

// WorstOf is Worst where each window may admit the slacks beside the limit whose spans it shares a moment with. Where
// touching is not nil, only windows that share a moment with it are looked at; ok says whether there is one.
func WorstOf(l bucket.Limit, admissions []Admission, slacks []Slack, touching *Span) (worst Window, ok bool) {
	if len(admissions) == 0 {
		return Window{}, false
	}
	if touching == nil {
		touching = &Span{From: math.MinInt64, To: math.MaxInt64}
	}
	byCall := slices.SortedFunc(slices.Values(admissions), func(a, b Admission) int { return -cmp.Compare(a.Called, b.Called) })
	byEnd := slices.SortedFunc(slices.Values(slacks), func(a, b Slack) int { return -cmp.Compare(a.To, b.To) })
	ends := endsOf(admissions)

	// For the starts of windows from the last to the first, debts has for each end the tokens admitted up to it, less
	// those that refill up to it and the slack.
	per := period(l)
	debts := newDebts(len(ends), func(end int) int64 { return -l.Tokens * int64(ends[end]) })
	earliest, _ := slices.BinarySearch(ends, touching.From)
	most := int64(none)
	for i, a := range byCall {
		for len(byEnd) > 0 && byEnd[0].To >= a.Called {
			end, _ := slices.BinarySearch(ends, byEnd[0].From)
			debts.add(end, -byEnd[0].Tokens*per)
			byEnd = byEnd[1:]
		}
		end, _ := slices.BinarySearch(ends, a.Returned)
		debts.add(end, a.Cost*per)
		if a.Called > touching.To || i+1 < len(byCall) && byCall[i+1].Called == a.Called {
			continue // the window has that one too
		}
		first, _ := slices.BinarySearch(ends, a.Called)
		if first = max(first, earliest); first == len(ends) {
			continue
		}
		debt, at := debts.most(first)
		if debt += l.Tokens * int64(a.Called); debt > most {
			most, worst, ok = debt, Window{From: a.Called, To: ends[at]}, true
		}
	}
	worst.Cost = Cost(admissions, worst.From, worst.To)
	worst.Slack = slackOf(slacks, worst)
	return worst, ok
}

// endsOf returns when admissions returned, in order and each time once.
func endsOf(admissions []Admission) []time.Duration {
	ends := make([]time.Duration, len(admissions))
	for i, a := range admissions {
		ends[i] = a.Returned
	}
	slices.Sort(ends)
	return slices.Compact(ends)
}

// slackOf returns the tokens of those slacks that share a moment with w.
func slackOf(slacks []Slack, w Window) int64 {
	var sum int64
	for _, s := range slacks {
		if s.From <= w.To && s.To >= w.From {
			sum += s.Tokens
		}
	}
	return sum
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
