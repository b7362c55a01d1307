package oracle

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/noriahq/noria/bucket"
)

// bruteOf is WorstOf by trying every window.
func bruteOf(l bucket.Limit, admissions []Admission, slacks []Slack, touching Span) (over int64, ok bool) {
	over = math.MinInt64
	for _, first := range admissions {
		for _, last := range admissions {
			w := Window{From: first.Called, To: last.Returned}
			if w.To < w.From || w.To < touching.From || w.From > touching.To {
				continue
			}
			w.Cost, w.Slack = Cost(admissions, w.From, w.To), slackOf(slacks, w)
			over, ok = max(over, w.Over(l)), true
		}
	}
	return over, ok
}

// WorstOf finds what trying every window finds, with slacks and where only some windows count.
func TestWorstOfIsWorst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limits(t)
		instant := rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.Int64Range(0, 100).Draw(t, "at")) * time.Millisecond
		})
		admissions := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Admission {
			called := instant.Draw(t, "called")
			return Admission{Called: called, Returned: called + instant.Draw(t, "took")/4, Cost: rapid.Int64Range(1, 5).Draw(t, "cost")}
		}), 1, 20).Draw(t, "admissions")
		slacks := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Slack {
			from := instant.Draw(t, "from")
			return Slack{From: from, To: from + instant.Draw(t, "length")/2, Tokens: rapid.Int64Range(0, 20).Draw(t, "tokens")}
		}), 0, 5).Draw(t, "slacks")
		touching := Span{From: instant.Draw(t, "touching")}
		touching.To = touching.From + instant.Draw(t, "length")/2

		w, ok := WorstOf(l, admissions, slacks, &touching)
		want, wantOK := bruteOf(l, admissions, slacks, touching)
		if ok != wantOK || ok && w.Over(l) != want {
			t.Fatalf("WorstOf(%v, %v, %v, %v) = %v, %v, %d over; want %d over, %v", l, admissions, slacks, touching, w, ok, w.Over(l), want, wantOK)
		}
	})
}

// A slack counts for windows that share a moment with it and for no others: the planted bug is one that counts always.
func TestSlackCountsWhereItIs(t *testing.T) {
	l := bucket.Limit{Burst: 2}
	at := func(d time.Duration, cost int64) Admission { return Admission{Called: d, Returned: d, Cost: cost} }
	twice := []Admission{at(time.Second, 2), at(3*time.Second, 2)}
	for _, c := range []struct {
		name string
		at   time.Duration
		want int64 // over
	}{
		{"between", 2 * time.Second, 0},
		{"on the first", time.Second, 0},
		{"before both", time.Second / 2, 2},
		{"after both", 4 * time.Second, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, _ := WorstOf(l, twice, []Slack{{From: c.at, To: c.at, Tokens: 2}}, nil)
			if got := w.Over(l); got != c.want {
				t.Errorf("WorstOf = %v, %d over; want %d", w, got, c.want)
			}
		})
	}
}
