package bucket

import (
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A converter is Bucket.convert, or has a planted bug.
type converter func(b *Bucket, now Instant, from, to *Plan)

// A change is a bucket whose limit changes.
type change struct {
	from, to *Plan
	bucket   Bucket
	now      Instant
}

func drawChange(t *rapid.T) change {
	plan := func() *Plan {
		l := drawSteady(t)
		if rapid.IntRange(0, 4).Draw(t, "windows") == 0 {
			l = Limit{Burst: l.Burst, Window: Day}
		}
		p, err := NewPlan(l, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	c := change{from: plan(), to: plan()}
	tr := trial{p: c.from, ideal: newIdeal(c.from.limit)}
	for range rapid.IntRange(0, 8).Draw(t, "steps") {
		st := drawStep(t)
		tr.move(st)
		if rapid.IntRange(0, 5).Draw(t, "charge") == 0 {
			c.bucket.Charge(Instant(tr.now), c.from, tr.cost(st))
		} else {
			tr.last = c.bucket.Take(Instant(tr.now), c.from, tr.cost(st))
		}
	}
	c.now = Instant(tr.now)
	return c
}

// wrong says what is wrong with the change, "" if nothing is.
func (c change) wrong(convert converter) string {
	before, _ := c.bucket.missing(c.now, c.from)
	b := c.bucket
	convert(&b, c.now, c.from, c.to)
	after, _ := b.missing(c.now, c.to)

	owed := big.NewRat(before, c.from.p)
	got := big.NewRat(after, c.to.p)
	most := new(big.Rat).Add(owed, big.NewRat(1, c.to.p))
	switch {
	case got.Cmp(owed) < 0 && after != maxDebt:
		return "tokens owed are forgotten"
	case got.Cmp(most) >= 0:
		return "more is owed than before, by a unit or more"
	case !b.Full(c.now, c.to) && c.bucket.Full(c.now, c.from):
		return "a full bucket is not full any more"
	}
	return ""
}

// Tokens owed stay owed when the limit changes, and not a whole unit more.
func TestConvert(t *testing.T) {
	checkMany(t, 20, func(t *rapid.T) {
		c := drawChange(t)
		if wrong := c.wrong((*Bucket).convert); wrong != "" {
			t.Fatalf("%v to %v: %+v at %d: %s", c.from.limit, c.to.limit, c.bucket, c.now, wrong)
		}
	})
}

func TestConvertJudgeFindsBugs(t *testing.T) {
	for name, bug := range map[string]converter{
		"starts full": func(b *Bucket, _ Instant, _, _ *Plan) { *b = Bucket{} },
		"keeps units": func(*Bucket, Instant, *Plan, *Plan) {},
		"forgets refill": func(b *Bucket, now Instant, from, to *Plan) {
			if debt := b.debt; from.opens == nil && to.opens == nil {
				b.debt, b.at = to.same(from, debt), to.ceil(now)
				return
			}
			b.convert(now, from, to)
		},
		"rounds down": func(b *Bucket, now Instant, from, to *Plan) {
			b.convert(now, from, to)
			b.debt -= min(b.debt, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			gen := rapid.Custom(drawChange)
			for seed := range 10_000 {
				c := gen.Example(seed)
				if wrong := c.wrong(bug); wrong != "" {
					t.Logf("%v to %v: %s", c.from.limit, c.to.limit, wrong)
					return
				}
			}
			t.Error("no change tells")
		})
	}
}
