package oracle

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/noriahq/noria/bucket"
)

// worstOfAll is Worst by trying every window.
func worstOfAll(l bucket.Limit, admissions []Admission) (over int64) {
	over = math.MinInt64
	for _, first := range admissions {
		for _, last := range admissions {
			if w := (Window{From: first.Called, To: last.Returned}); w.To >= w.From {
				w.Cost = Cost(admissions, w.From, w.To)
				over = max(over, w.Over(l))
			}
		}
	}
	return over
}

// limits draws a steady limit or a quota.
func limits(t *rapid.T) bucket.Limit {
	l := bucket.Limit{Burst: rapid.Int64Range(1, 50).Draw(t, "burst")}
	if rapid.Bool().Draw(t, "steady") {
		l.Tokens = rapid.Int64Range(1, 1000).Draw(t, "tokens")
		l.Per = time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "per"))
	}
	return l
}

// Worst finds what trying every window finds.
func TestWorstIsWorst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limits(t)
		admissions := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Admission {
			called := time.Duration(rapid.Int64Range(0, 100).Draw(t, "called")) * time.Millisecond
			took := time.Duration(rapid.Int64Range(0, 30).Draw(t, "took")) * time.Millisecond
			return Admission{Called: called, Returned: called + took, Cost: rapid.Int64Range(1, 5).Draw(t, "cost")}
		}), 1, 30).Draw(t, "admissions")

		w := Worst(l, admissions)
		if got, want := w.Over(l), worstOfAll(l, admissions); got != want {
			t.Fatalf("Worst(%v, %v) = %v, %d over; want %d over", l, admissions, w, got, want)
		}
	})
}

// admit asks real buckets, in turn, as clients would whose calls and returns lie around the decision, and returns what was
// admitted.
func admit(t *rapid.T, l bucket.Limit, buckets int) []Admission {
	var admissions []Admission
	var now int64
	plan, err := bucket.NewPlan(l, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	shared := make([]bucket.Bucket, buckets)
	for i := range rapid.IntRange(50, 300).Draw(t, "requests") {
		now += rapid.Int64Range(0, int64(5*time.Millisecond)).Draw(t, "gap")
		cost := rapid.Int64Range(1, min(3, l.Burst)).Draw(t, "cost")
		if !shared[i%buckets].Take(bucket.Instant(now), plan, cost).Allowed {
			continue
		}
		admissions = append(admissions, Admission{
			Called:   time.Duration(now - rapid.Int64Range(0, int64(time.Millisecond)).Draw(t, "before")),
			Returned: time.Duration(now + rapid.Int64Range(0, int64(time.Millisecond)).Draw(t, "after")),
			Cost:     cost,
		})
	}
	return admissions
}

// A bucket that keeps its promise is never complained of.
func TestNoComplaintOfABucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := bucket.Limit{Tokens: rapid.Int64Range(1, 1000).Draw(t, "tokens"), Per: time.Second, Burst: rapid.Int64Range(1, 30).Draw(t, "burst")}
		if w := Worst(l, admit(t, l, 1)); w.Over(l) > 0 {
			t.Fatalf("%v: %v is %d over", l, w, w.Over(l))
		}
	})
}

// Two nodes that each grant the whole limit are found out: the planted bug.
func TestTwoBucketsAreFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := bucket.Limit{Tokens: 1, Per: time.Minute, Burst: rapid.Int64Range(3, 20).Draw(t, "burst")}
		admissions := admit(t, l, 2)
		if w := Worst(l, admissions); w.Over(l) <= 0 {
			t.Fatalf("%v: %d admissions of two buckets, worst %v; want a complaint", l, len(admissions), w)
		}
	})
}

// The edges: nothing admitted, one instant, a burst and one token more.
func TestWorstEdges(t *testing.T) {
	l := bucket.Limit{Tokens: 10, Per: time.Second, Burst: 2}
	second := func(s float64, cost int64) Admission {
		at := time.Duration(s * float64(time.Second))
		return Admission{Called: at, Returned: at, Cost: cost}
	}
	cases := []struct {
		name       string
		admissions []Admission
		want       int64 // over
	}{
		{"nothing", nil, -2},
		{"the burst", []Admission{second(1, 2)}, 0},
		{"one more at once", []Admission{second(1, 2), second(1, 1)}, 1},
		{"one more in time", []Admission{second(1, 2), second(1.1, 1)}, 0},
		{"one more too early", []Admission{second(1, 2), second(1.099, 1)}, 1},
		{"late in a long run", []Admission{second(0, 1), second(100, 2), second(100.05, 1)}, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if w := Worst(l, c.admissions); w.Over(l) != c.want {
				t.Errorf("Worst = %v, %d over; want %d", w, w.Over(l), c.want)
			}
		})
	}
}
