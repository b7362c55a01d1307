package middleware

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport/api"
)

// A guard asks a Checker.
type guard struct {
	Config
	logged atomic.Int64 // when it last logged, in Unix seconds
}

// A verdict is the decision on all that a request meets.
type verdict struct {
	met     []Met         // those that may refuse
	applied []api.Applied // the same, with what was decided
	denied  int           // index in applied of the first that did, -1 if none did
	delay   time.Duration // the longest
}

// decide asks for all of met together, and for those that only count each by itself where the others allow.
func (g *guard) decide(ctx context.Context, met []Met) (v verdict, err error) {
	firm := met
	if slices.ContainsFunc(met, isShadow) {
		firm = slices.DeleteFunc(slices.Clone(met), isShadow)
	}
	ds, err := g.ask(ctx, firm)
	if err != nil {
		return verdict{denied: -1}, err
	}
	v = verdict{met: firm, applied: make([]api.Applied, len(firm)), denied: ds.DeniedBy()}
	for i := range firm {
		v.applied[i] = api.Applied{Name: firm[i].Name, Limit: firm[i].Request.Limit, Decision: ds[i]}
		v.delay = max(v.delay, ds[i].Delay)
	}
	if v.denied >= 0 {
		return v, nil
	}
	if len(firm) < len(met) {
		g.count(ctx, met)
	}
	return v, nil
}

func isShadow(m Met) bool { return m.Shadow }

// count asks the limits of met that never refuse.
func (g *guard) count(ctx context.Context, met []Met) {
	for i := range met {
		if !met[i].Shadow {
			continue
		}
		if _, err := g.ask(ctx, met[i:i+1]); err != nil {
			g.log(ctx, err)
		}
	}
}

// ask asks for all of met or none.
func (g *guard) ask(ctx context.Context, met []Met) (bucket.Decisions, error) {
	if len(met) == 0 {
		return nil, nil
	}
	if slices.ContainsFunc(met, tooMuch) {
		return g.excess(ctx, met)
	}
	if one, is := g.Checker.(single); is && len(met) == 1 {
		d, err := one.Check(ctx, met[0].Request)
		return bucket.Decisions{d}, err
	}
	rs := make([]bucket.Request, len(met))
	for i := range met {
		rs[i] = met[i].Request
	}
	ds, err := g.Checker.CheckAll(ctx, rs)
	if err == nil && len(ds) != len(rs) {
		err = fmt.Errorf("%w: %d on %d requests", errAnswer, len(ds), len(rs))
	}
	return ds, err
}

// tooMuch says whether m asks for more than its limit ever has.
func tooMuch(m Met) bool { return m.Request.Cost > m.Request.Limit.Burst }

// excess decides where something asks for more than its limit ever has: that is denied for good, and nothing is taken.
func (g *guard) excess(ctx context.Context, met []Met) (bucket.Decisions, error) {
	peeks := slices.Clone(met)
	for i := range peeks {
		peeks[i].Request.Cost, peeks[i].Request.ID = 0, ""
	}
	ds, err := g.ask(ctx, peeks)
	if err != nil {
		return nil, err
	}
	for i := range met {
		if tooMuch(met[i]) {
			ds[i].Allowed, ds[i].RetryAfter = false, bucket.Never
		}
	}
	return ds, nil
}

// hold waits until a request's turn comes.
func (g *guard) hold(ctx context.Context, delay time.Duration) error {
	if delay <= 0 {
		return nil
	}
	if end, ok := ctx.Deadline(); delay > g.MaxHold || ok && time.Until(end) < delay {
		return fmt.Errorf("%w: in %v", ErrQueue, delay)
	}
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// log logs err, which kept a request from being decided on.
func (g *guard) log(ctx context.Context, err error) {
	if now := time.Now().Unix(); ctx.Err() == nil && g.logged.Swap(now) != now {
		g.Log.WarnContext(ctx, "request not decided", "err", err)
	}
}
