package oracle

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/noriahq/noria/bucket"
)

// spend asks a bucket of the limit for tokens until it denies after all of requests, and returns what was admitted and when the
// last denial was.
func spend(t *rapid.T, limit bucket.Limit, cost int64) (admissions []Admission, denied time.Duration) {
	plan, err := bucket.NewPlan(limit, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	var b bucket.Bucket
	var now time.Duration
	for range rapid.IntRange(200, 400).Draw(t, "requests") {
		now += time.Duration(rapid.Int64Range(0, int64(50*time.Millisecond)).Draw(t, "gap"))
		if b.Take(bucket.Instant(now), plan, cost).Allowed {
			late := time.Duration(rapid.Int64Range(0, int64(time.Millisecond)).Draw(t, "late"))
			admissions = append(admissions, Admission{Called: now, Returned: now + late, Cost: cost})
		} else {
			denied = now
		}
	}
	return admissions, denied
}

// A bucket that denies has admitted its whole supply, up to less than one cost.
func TestBucketWastesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := bucket.Limit{Tokens: rapid.Int64Range(1, 100).Draw(t, "tokens"), Per: time.Second, Burst: rapid.Int64Range(3, 30).Draw(t, "burst")}
		cost := rapid.Int64Range(1, 3).Draw(t, "cost")
		admissions, denied := spend(t, l, cost)
		got, supply := Cost(admissions, 0, denied+time.Millisecond), Supply(l, admissions, denied)
		if denied > 0 && got+cost <= supply {
			t.Fatalf("%v: %d admitted until a denial at %v, of a supply of %d", l, got, denied, supply)
		}
	})
}

// A bucket that gains a tenth less than it should is found out: the planted bug.
func TestWasteIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := bucket.Limit{Tokens: 10, Per: time.Second, Burst: 10}
		less := bucket.Limit{Tokens: 9, Per: time.Second, Burst: 10}
		admissions, denied := spend(t, less, 1)
		got, supply := Cost(admissions, 0, denied+time.Millisecond), Supply(l, admissions, denied)
		if denied > 3*time.Second && float64(got+1) >= 0.98*float64(supply) {
			t.Fatalf("%d admitted until a denial at %v, of a supply of %d; want a complaint", got, denied, supply)
		}
	})
}

// The edges: an untouched bucket gains nothing, a drained one everything.
func TestSupplyEdges(t *testing.T) {
	l := bucket.Limit{Tokens: 10, Per: time.Second, Burst: 5}
	at := func(d time.Duration, cost int64) Admission { return Admission{Called: d, Returned: d, Cost: cost} }
	cases := []struct {
		name       string
		admissions []Admission
		want       int64 // after 10 seconds
	}{
		{"untouched", nil, 5},
		{"drained at once and left alone", []Admission{at(0, 5)}, 10},
		{"drained at the end", []Admission{at(10*time.Second, 5)}, 5},
		{"drained twice", []Admission{at(time.Second, 5), at(2*time.Second, 5)}, 15},
		{"drained too late", []Admission{at(11*time.Second, 5)}, 5},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := Supply(l, c.admissions, 10*time.Second); got != c.want {
				t.Errorf("Supply = %d, want %d", got, c.want)
			}
		})
	}
}
