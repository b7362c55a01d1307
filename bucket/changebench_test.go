package bucket

import (
	"fmt"
	"testing"
	"time"
)

// What noting changes adds to a decision: "known" is on a bucket that is marked already, "first" on one that is not.
func BenchmarkTakeTracked(b *testing.B) {
	for _, how := range []string{"off", "known", "first"} {
		b.Run(how, func(b *testing.B) {
			benchEach(b, benchLimit(), func(b *testing.B, q question) {
				s := filled(b, q)
				s.Track(how != "off")
				for part := range 16384 {
					s.TouchAll(part)
				}
				var changes []Change
				if how == "first" {
					changes = s.Changes(1, len(q.requests), changes)
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if i == len(q.requests) {
						i = 0
						if how == "first" {
							b.StopTimer()
							changes = s.Changes(1, len(q.requests), changes[:0])
							b.StartTimer()
						}
					}
					if d, err := s.Take(1, q.parts[i], &q.requests[i]); err != nil || d.RetryAfter > time.Hour {
						b.Fatal(d, err)
					}
				}
			})
		})
	}
}

// Taking what changed, of a million keys.
func BenchmarkChanges(b *testing.B) {
	q := askFor(1_000_000, 16384, Limit{Tokens: 1, Per: time.Hour, Burst: 1_000_000_000})
	s := filled(b, q)
	s.Track(true)
	var changes []Change
	for _, n := range []int{0, 1000, 100_000} {
		b.Run(fmt.Sprintf("changed=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				for i := range n {
					s.Touch(q.parts[i], q.requests[i].Key, false)
				}
				b.StartTimer()
				if changes = s.Changes(1, 1_000_000, changes[:0]); len(changes) != n {
					b.Fatalf("%d changes, want %d", len(changes), n)
				}
			}
		})
	}
}
