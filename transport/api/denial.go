package api

import (
	"fmt"
	"time"

	"github.com/noriahq/noria/bucket"
)

// A Denial is why a request was denied, in words for its caller.
type Denial struct {
	// Main is the index of the first limit that denied.
	Main int

	// Lost says that nobody decided: the limit's holder cannot be reached, and its rule is to deny then.
	Lost bool

	// Detail says why, for people.
	Detail string

	// After is when the request may be allowed: as long as the longest of the limits that denied takes, bucket.Never if waiting
	// does not help, and 1s to 1m where Lost.
	After time.Duration
}

// Deny returns why met, in which one decision denies at least, denied a request. rule tells of the limit at an index who answers
// while its holder is lost, and what it was asked for. Limits that denied without their holder are named degraded-NAME in met from then on.
func Deny(met []Applied, rule func(i int) (onLost bucket.OnLost, cost int64)) Denial {
	d := Denial{Main: mainApplied(met), After: longestRetry(met)}
	a := &met[d.Main]
	limit := a.Limit.String()
	switch onLost, cost := rule(d.Main); {
	case a.Decision.Degraded && onLost == bucket.Deny:
		d.Lost, d.After = true, min(max(d.After, time.Second), time.Minute)
		d.Detail = "who keeps count of the limit " + a.Name + " cannot be reached; try again soon"
	case cost > a.Limit.Burst:
		d.Detail = fmt.Sprintf("the request needs %d, and the limit %s of %s never has more than %d at once", cost, a.Name, limit, a.Limit.Burst)
	case a.Decision.RetryAfter == bucket.Never:
		d.Detail = "the limit " + a.Name + " of " + limit + " is used up for good"
	default:
		d.Detail = "the limit " + a.Name + " of " + limit + " is reached; try again when Retry-After has passed"
	}
	for i := range met {
		if m := &met[i]; !m.Decision.Allowed && m.Decision.Degraded {
			m.Name = "degraded-" + m.Name
		}
	}
	return d
}

// Milliseconds returns d rounded up, as retry_after_ms has it: -1 for bucket.Never.
func Milliseconds(d time.Duration) int64 {
	if d == bucket.Never {
		return -1
	}
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
