package bucket

import (
	"time"

	"pgregory.net/rapid"
)

// A subject is a bucket under a steady rate or quota that is judged: ours, or one with a planted bug.
type subject interface {
	Take(now Instant, p *Plan, cost int64) Decision
	Full(now Instant, p *Plan) bool
	clone() subject
}

// ours is the Bucket itself.
type ours struct{ Bucket }

func (o *ours) clone() subject { c := *o; return &c }

// A step moves time and asks for tokens.
type step struct {
	Move string // what moves is drawn from
	Part int64  // of a thousand, of the way that Move says
	Cost string
}

// A story is a limit and what happens to its bucket.
type story struct {
	Limit Limit
	Start int64
	Steps []step
}

func stories() *rapid.Generator[story] {
	return rapid.Custom(func(t *rapid.T) story {
		return story{
			Limit: drawSteady(t),
			Start: rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, int64(100*year))).Draw(t, "start"),
			Steps: rapid.SliceOfN(rapid.Custom(drawStep), 1, 60).Draw(t, "steps"),
		}
	})
}

func drawStep(t *rapid.T) step {
	return step{
		Move: rapid.SampledFrom([]string{"", "", "", "ns", "tick", "retry", "retry", "early", "late", "token", "burst", "back", "reset", "years"}).Draw(t, "move"),
		Part: rapid.Int64Range(0, 1000).Draw(t, "part"),
		Cost: rapid.SampledFrom([]string{"peek", "one", "one", "few", "all", "rest", "more", "some"}).Draw(t, "cost"),
	}
}

const year = 365 * day

// drawSteady draws a rate or a quota of every size that is valid.
func drawSteady(t *rapid.T) Limit {
	few := rapid.OneOf(rapid.Int64Range(1, 10), rapid.Int64Range(1, 10_000), rapid.Int64Range(1, 1e9))
	l := Limit{Burst: few.Draw(t, "burst")}
	unit := rapid.SampledFrom([]time.Duration{1, time.Microsecond, time.Second, time.Minute, time.Hour, day, 30 * day, year}).Draw(t, "unit")
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0: // a quota
		return l
	case 1:
		l.Tokens, l.Per = 10_000_000, time.Second
	case 2: // a slow rate and a large bucket: coarse ticks
		l.Tokens, l.Per = rapid.Int64Range(1, 1000).Draw(t, "tokens"), unit*31
		l.Burst = rapid.Int64Range(100_000, 1e9).Draw(t, "large burst")
	case 3: // many tokens in odd periods: coarse ticks that pay back many tokens
		l.Tokens = rapid.Int64Range(1, int64(year)).Draw(t, "tokens")
		l.Per = time.Duration(rapid.Int64Range(l.Tokens, int64(100*year)).Draw(t, "per"))
	default:
		l.Tokens = few.Draw(t, "tokens")
		l.Per = unit * time.Duration(rapid.Int64Range(1, 100).Draw(t, "units"))
	}
	if rapid.Bool().Draw(t, "queues") {
		l.Queue = few.Draw(t, "queue")
	}
	if l.Validate() != nil {
		l.Burst, l.Queue = 1+l.Burst%100, l.Queue%100
	}
	if l.Validate() != nil {
		l = Limit{Tokens: l.Tokens%1000 + 1, Per: time.Second, Burst: l.Burst, Queue: l.Queue}
	}
	return l
}
