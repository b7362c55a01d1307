package bucket

import (
	"math"
	"math/bits"
	"time"
)

// A Limit says how many tokens a bucket gains and how many it holds at most. It is a plain comparable value; two equal
// Limits are the same limit. ParseLimit reads one from text and String writes it.
//
// There are five kinds:
//
//	100/s burst 200 queue 50            Tokens 100, Per 1s, Burst 200, Queue 50   refilled steadily
//	quota 100                           Burst 100                                 never refilled
//	quota 10000 per month in Asia/Tokyo Burst 10000, Window Month, Zone           refilled at once when the month ends
//	window 100 per 1m                   Burst 100, Window Fixed, Per 1m           refilled at once when the window ends
//	concurrency 20                      Burst 20, Window Concurrency              given back when what has them ends
//
// Requests under a Concurrency limit reserve (see Request.Reserve): it is how many tokens are reserved at once. They are
// counted apart from the bucket that the key may have under a limit of another kind.
type Limit struct {
	// Tokens are added every Per, evenly; at least 1, and at most one a nanosecond. 0 for quotas and windows.
	Tokens int64

	// Per is the period of Tokens, or the length of a Fixed window; at least 1ns. 0 for quotas.
	Per time.Duration

	// Burst is the most tokens the bucket holds, 1 to 1e9. A full bucket admits this much at once.
	Burst int64

	// Queue is how many tokens' worth of requests may wait for their turn once the bucket is empty, 0 to 1e9. Only for
	// steady rates. An admitted request that has to wait says so in Decision.Delay.
	Queue int64

	// Window is None for steady rates and for quotas that never refill, and Concurrency for what is given back.
	Window Window

	// Zone is the IANA name of the time zone in which calendar windows begin, "" (and never "UTC") for UTC. Only for
	// calendar windows.
	Zone string
}

// Refill returns how long l takes to add tokens, rounded up: Never if that is longer than a Duration holds, 0 for none and for
// quotas and windows, which are not refilled bit by bit.
func (l Limit) Refill(tokens int64) time.Duration {
	if l.Tokens <= 0 || l.Window != None || tokens <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(tokens), uint64(l.Per))
	if hi >= uint64(l.Tokens) {
		return Never
	}
	after, rest := bits.Div64(hi, lo, uint64(l.Tokens))
	if rest > 0 {
		after++
	}
	return time.Duration(min(after, math.MaxInt64))
}

// A Window says when a bucket is refilled at once instead of steadily.
type Window uint8

// The windows. Calendar windows begin at the start of the hour, the day, Monday, the first of the month or of the year
// in the limit's Zone; where clocks are changed at that moment, when they first show its date, so that each day, week,
// month and year begins once. Fixed windows begin at multiples of Per since the Unix epoch.
const (
	None Window = iota
	Fixed
	Hour
	Day
	Week
	Month
	Year

	// Concurrency is none: nothing is refilled, tokens come back when they are settled or when their time is over.
	Concurrency
)
