package bucket

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// A divisor divides, whatever by.
func TestDivisor(t *testing.T) {
	check := func(t rapid.TB, n, by int64) {
		t.Helper()
		d := divisorOf(by)
		if got, want := d.floor(n), n/by; got != want {
			t.Fatalf("%d/%d = %d, want %d", n, by, got, want)
		}
		if got, want := d.ceil(max(1, n)), (max(1, n)-1)/by+1; got != want {
			t.Fatalf("%d/%d rounded up = %d, want %d", n, by, got, want)
		}
	}
	var edges []int64
	for shift := range 63 {
		for k := int64(-3); k <= 3; k++ {
			edges = append(edges, max(1, 1<<shift+k))
		}
	}
	edges = append(edges, math.MaxInt64, math.MaxInt64-1, 1e9, 1e9+7, 3, 5, 7, 10, 641)
	for _, by := range edges {
		for _, n := range edges {
			check(t, n, by)
			check(t, n/by*by, by) // where a quotient begins
			check(t, max(0, n/by*by-1), by)
		}
		check(t, 0, by)
	}
	checkMany(t, 20, func(t *rapid.T) {
		by := rapid.Int64Range(1, math.MaxInt64).Draw(t, "by")
		n := rapid.Int64Range(0, math.MaxInt64).Draw(t, "n")
		check(t, n, by)
		check(t, n/by*by, by)
	})
}
