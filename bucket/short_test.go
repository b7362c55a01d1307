package bucket

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// After an answer that leaves too little the next request is denied for as long as Short says, to a few nanoseconds, and no
// longer.
func TestShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limit{
			Tokens: rapid.Int64Range(1, 1000).Draw(t, "tokens"),
			Per:    time.Duration(rapid.Int64Range(1000, int64(time.Hour)).Draw(t, "per")),
			Burst:  rapid.Int64Range(1, 100).Draw(t, "burst"),
		}
		plan, err := NewPlan(l, time.Time{})
		if err != nil {
			t.Skip(err)
		}
		var b Bucket
		now := Instant(1)
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			now += Instant(rapid.Int64Range(0, int64(l.Per)).Draw(t, "pause"))
			cost := rapid.Int64Range(1, l.Burst).Draw(t, "cost")
			d := b.Take(now, plan, cost)
			if !d.Allowed {
				continue
			}
			short := d.Short(&l, cost)
			next := b
			switch is := next.Take(now, plan, cost); {
			case is.Allowed && short != 0:
				t.Fatalf("%v: after %+v %d more are allowed, and Short is %v", l, d, cost, short)
			case !is.Allowed && (short > is.RetryAfter || plan.plain && short < is.RetryAfter-3):
				t.Fatalf("%v: after %+v %d more are denied for %v, and Short is %v", l, d, cost, is.RetryAfter, short)
			}
		}
	})
}

func TestShortUnknown(t *testing.T) {
	d := Decision{Allowed: true, ResetAfter: time.Hour}
	for text, cost := range map[string]int64{"5/s burst 5 queue 3": 1, "quota 5": 1, "window 5 per 1h": 1, "5/s": 6} {
		l, err := ParseLimit(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Short(&l, cost); got != 0 {
			t.Errorf("%s: Short is %v, want 0: it is not known", text, got)
		}
	}
}

func TestRefill(t *testing.T) {
	for _, c := range []struct {
		limit  string
		tokens int64
		want   time.Duration
	}{
		{"10/s", 1, 100 * time.Millisecond},
		{"3/s", 1, 333333334},
		{"3/s", 3, time.Second},
		{"10/s", 0, 0},
		{"10/s", -1, 0},
		{"quota 5", 1, 0},
		{"window 5 per 1h", 1, 0},
		{"1/365d", 1e9, Never},
	} {
		l, err := ParseLimit(c.limit)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Refill(c.tokens); got != c.want {
			t.Errorf("%s: %d tokens take %v, want %v", c.limit, c.tokens, got, c.want)
		}
	}
}
