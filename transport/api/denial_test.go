package api

import (
	"strings"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
)

// A denial is told of the first limit that denied and as long as the last one takes; a lost holder is told apart.
func TestDeny(t *testing.T) {
	limit := bucket.Limit{Tokens: 1, Per: time.Second, Burst: 5}
	yes := bucket.Decision{Allowed: true}
	no := func(after time.Duration) bucket.Decision { return bucket.Decision{RetryAfter: after} }
	lost := bucket.Decision{Degraded: true, RetryAfter: time.Hour}
	for _, c := range []struct {
		name   string
		onLost bucket.OnLost
		cost   int64
		ds     []bucket.Decision
		want   Denial
		says   string
		names  string
	}{
		{"two", bucket.Share, 1, []bucket.Decision{yes, no(time.Second), no(time.Minute)}, Denial{Main: 1, After: time.Minute}, "the limit b of 1/s burst 5 is reached", "a b c"},
		{"one for good", bucket.Share, 1, []bucket.Decision{no(time.Second), no(bucket.Never)}, Denial{After: bucket.Never}, "is reached", "a b"},
		{"for good", bucket.Share, 1, []bucket.Decision{no(bucket.Never)}, Denial{After: bucket.Never}, "used up for good", "a"},
		{"too much", bucket.Share, 6, []bucket.Decision{no(bucket.Never)}, Denial{After: bucket.Never}, "needs 6", "a"},
		{"lost", bucket.Deny, 1, []bucket.Decision{yes, lost}, Denial{Main: 1, Lost: true, After: time.Minute}, "keeps count of the limit b", "a degraded-b"},
		{"shared", bucket.Share, 1, []bucket.Decision{lost}, Denial{After: time.Hour}, "is reached", "degraded-a"},
	} {
		var met []Applied
		for i, d := range c.ds {
			met = append(met, Applied{Name: string(rune('a' + i)), Limit: limit, Decision: d})
		}
		got := Deny(met, func(int) (bucket.OnLost, int64) { return c.onLost, c.cost })
		var names []string
		for _, m := range met {
			names = append(names, m.Name)
		}
		says := strings.Contains(got.Detail, c.says)
		if got.Detail = ""; got != c.want || !says || strings.Join(names, " ") != c.names {
			t.Errorf("%s: %+v, names %v, says %q: %v; want %+v, %s", c.name, got, names, c.says, says, c.want, c.names)
		}
	}
}
