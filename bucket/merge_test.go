package bucket

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// A merger makes one bucket of two.
type merger func(p *Plan, a, b Bucket) Bucket

func ourMerge(p *Plan, a, b Bucket) Bucket { a.Merge(p, b); return a }

// drawBuckets draws copies of a bucket that went different ways.
func drawBuckets(t *rapid.T) (*Plan, []Bucket) {
	l := drawSteady(t)
	if rapid.IntRange(0, 4).Draw(t, "windows") == 0 {
		l = Limit{Burst: 1 + l.Burst%20, Window: rapid.SampledFrom([]Window{Fixed, Hour, Day}).Draw(t, "window")}
		if l.Window == Fixed {
			l.Per = time.Minute
		}
	}
	p, err := NewPlan(l, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	buckets := make([]Bucket, 3)
	for i := range buckets {
		tr := trial{p: p, ideal: newIdeal(l)}
		for range rapid.IntRange(0, 5).Draw(t, "takes") {
			st := drawStep(t)
			tr.move(st)
			tr.last = buckets[i].Take(Instant(tr.now), p, tr.cost(st))
		}
	}
	return p, buckets
}

// mergeLaws returns which law of a merge buckets a, b, c break, "" if none.
func mergeLaws(p *Plan, merge merger, a, b, c Bucket) string {
	ab, ba := merge(p, a, b), merge(p, b, a)
	switch {
	case ab != ba:
		return "not commutative"
	case merge(p, ab, c) != merge(p, a, merge(p, b, c)):
		return "not associative"
	case merge(p, a, a) != a || merge(p, ab, b) != ab:
		return "not idempotent"
	}
	for _, now := range []Instant{0, 1, Instant(time.Second), Instant(time.Hour), Instant(year), Instant(100 * year)} {
		now += Instant(max(a.at, b.at) * p.tick % int64(100*year))
		if p.floor(now) < max(a.at, b.at) {
			continue // before one of the copies was last charged
		}
		got, _ := ab.missing(now, p)
		first, _ := a.missing(now, p)
		second, _ := b.missing(now, p)
		if got < max(first, second) {
			return "owes less than one of both"
		}
	}
	return ""
}

// Merge is commutative, associative and idempotent, and what it makes owes at least what each of both owes, at any time.
func TestMerge(t *testing.T) {
	checkMany(t, 20, func(t *rapid.T) {
		p, b := drawBuckets(t)
		if law := mergeLaws(p, ourMerge, b[0], b[1], b[2]); law != "" {
			t.Fatalf("%v: Merge of %+v: %s", p.limit, b, law)
		}
	})
}

func TestMergeLawsFindBugs(t *testing.T) {
	for name, bug := range map[string]merger{
		"takes the newer": func(_ *Plan, a, b Bucket) Bucket {
			if b.at > a.at {
				return b
			}
			return a
		},
		"takes the larger figure": func(_ *Plan, a, b Bucket) Bucket {
			if b.debt > a.debt {
				return b
			}
			return a
		},
		"adds up": func(_ *Plan, a, b Bucket) Bucket {
			return Bucket{debt: a.debt + b.debt, at: max(a.at, b.at)}
		},
		"keeps the first": func(_ *Plan, a, _ Bucket) Bucket { return a },
	} {
		t.Run(name, func(t *testing.T) {
			type drawn struct {
				p *Plan
				b []Bucket
			}
			gen := rapid.Custom(func(t *rapid.T) drawn { p, b := drawBuckets(t); return drawn{p, b} })
			for seed := range 10_000 {
				d := gen.Example(seed)
				if law := mergeLaws(d.p, bug, d.b[0], d.b[1], d.b[2]); law != "" {
					t.Logf("%v: %s", d.p.limit, law)
					return
				}
			}
			t.Error("no buckets tell")
		})
	}
}

// A copy that saw less never gives anything back, and one that saw more is taken whole.
func TestMergeCopies(t *testing.T) {
	p := planOf(t, Limit{Tokens: 10, Per: time.Second, Burst: 100})
	var b Bucket
	b.Take(0, p, 30)
	old := b
	b.Take(Instant(time.Second), p, 50)
	got := ourMerge(p, b, old)
	if diff := cmp.Diff(got, b, cmp.AllowUnexported(Bucket{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("merged with an older copy (-got +want):\n%s", diff)
	}
	if got := ourMerge(p, old, b); got != b {
		t.Errorf("an older copy merged with the bucket = %+v, want %+v", got, b)
	}
}
