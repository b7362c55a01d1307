package api

import (
	"context"
	"fmt"
	"time"

	"github.com/noriahq/noria/bucket"
)

// A verdict is the decision on a whole request: on one check, or on several all or nothing.
type verdict struct {
	allowed    bool
	deniedBy   string        // label of the first check that was denied; empty if none was
	main       int           // index of the check that the caller should look at
	source     bucket.Source // degraded if one decision is, else the main check's
	retryAfter time.Duration // longest of those denied
	delay      time.Duration // longest
	decisions  bucket.Decisions
}

// decide asks l about checks, of which there is at least one.
func decide(ctx context.Context, l Limiter, checks []check) (verdict, error) {
	if len(checks) == 1 {
		d, err := l.Check(ctx, checks[0].req)
		if err != nil {
			return verdict{}, err
		}
		return judge(checks, bucket.Decisions{d}), nil
	}
	rs := make([]bucket.Request, len(checks))
	for i := range checks {
		rs[i] = checks[i].req
	}
	ds, err := l.CheckAll(ctx, rs)
	if err != nil {
		return verdict{}, err
	}
	if len(ds) != len(rs) {
		return verdict{}, fmt.Errorf("%d decisions on %d checks", len(ds), len(rs))
	}
	return judge(checks, ds), nil
}

// judge sums ds, the decisions on checks, up.
func judge(checks []check, ds bucket.Decisions) verdict {
	v := verdict{allowed: true, decisions: ds}
	for i := range ds {
		v.delay = max(v.delay, ds[i].Delay)
		if !ds[i].Allowed {
			v.retryAfter = max(v.retryAfter, ds[i].RetryAfter)
		}
	}
	v.main = mainOf(ds)
	v.source = ds[v.main].Source
	if !ds[v.main].Allowed {
		v.allowed, v.deniedBy = false, checks[v.main].label()
	}
	for i := range ds {
		if ds[i].Degraded {
			v.source = bucket.FromDegraded
		}
	}
	return v
}

// mainOf returns the index of the first decision that denies or, where none does, of the first with the fewest tokens
// left.
func mainOf(ds bucket.Decisions) int {
	if i := ds.DeniedBy(); i >= 0 {
		return i
	}
	least := 0
	for i := range ds {
		if ds[i].Remaining < ds[least].Remaining {
			least = i
		}
	}
	return least
}

// sourceOf returns the source that d is told with.
func sourceOf(d *bucket.Decision) bucket.Source {
	if d.Degraded {
		return bucket.FromDegraded
	}
	return d.Source
}

// held takes from v's durations what the server waited on the caller's behalf; left of the longest delay is still to be
// waited.
func (v *verdict) held(left time.Duration) {
	waited := v.delay - left
	v.delay = left
	for i := range v.decisions {
		later(&v.decisions[i], waited)
	}
}

// later tells d after waited has passed since it was made.
func later(d *bucket.Decision, waited time.Duration) {
	d.Delay = max(0, d.Delay-waited)
	if d.ResetAfter != bucket.Never {
		d.ResetAfter = max(0, d.ResetAfter-waited)
	}
}
