package gateway

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/gateway/llm"
)

// prepare makes the requests to the limits that were met.
func (x *exchange) prepare(r *http.Request) {
	if x.met.Len() == 0 {
		return
	}
	x.keys = x.met.Keys(x.keys)
	for i, key := range x.keys {
		l := x.met.Limit(i)
		a := asked{limit: l, req: bucket.Request{
			Key: key, Limit: x.met.Bucket(i), Cost: 1, OnLost: l.OnLost, Durability: l.Durability, ColdStart: l.ColdStart,
		}}
		switch l.Unit {
		case policy.Requests:
		case policy.LLMTokens:
			if x.call.Endpoint == llm.Other {
				continue // it costs no tokens
			}
			a.req.Cost, a.req.Reserve = min(x.weights.Estimate(x.call), bucket.MaxCost), spendFor
		case policy.Bytes:
			a.req.Cost, a.req.Reserve = min(max(r.ContentLength, 0), bucket.MaxCost), spendFor
		case policy.Concurrency:
			a.req.Reserve = slotFor
		}
		if a.req.Reserve > 0 {
			if x.id == "" {
				x.id = x.gateway.nextID()
			}
			a.req.ID = x.id
		}
		x.asked = append(x.asked, a)
	}
	// Those that only try come last: the others are one check.
	slices.SortStableFunc(x.asked, func(a, b asked) int { return shadowed(a.limit) - shadowed(b.limit) })
}

// shadowed orders limits that refuse before those that only try.
func shadowed(l *policy.Limit) int {
	if l.Shadow {
		return 1
	}
	return 0
}

// How long reservations live if the gateway that made them does not. Those of a living one are renewed three times as often.
const (
	spendFor = 20 * time.Second // of tokens and bytes: what is not settled by then stays spent
	slotFor  = 8 * time.Second  // of slots: they are free again then
)

// decide asks all limits, and waits for the request's turn if it has to. It says whether the request may go ahead, and
// has answered it where not.
func (x *exchange) decide(w http.ResponseWriter, r *http.Request) bool {
	firm := x.asked
	if i := slices.IndexFunc(x.asked, func(a asked) bool { return a.limit.Shadow }); i >= 0 {
		firm = x.asked[:i]
	}
	ds, err := x.ask(r.Context(), firm)
	if err == nil && ds == nil && len(firm) > 0 {
		ds, err = x.excess(r.Context(), firm)
	}
	if err != nil {
		x.refuse(w, r, undecided(x.gateway.config.Logger, err))
		return false
	}
	var delay time.Duration
	allowed := true
	for i := range ds {
		x.applied = append(x.applied, api.Applied{Name: firm[i].limit.Name, Limit: firm[i].req.Limit, Decision: ds[i]})
		allowed = allowed && ds[i].Allowed
		delay = max(delay, ds[i].Delay)
	}
	if !allowed {
		x.refuse(w, r, x.denial(firm))
		return false
	}
	x.hold(firm, ds)
	x.try(r.Context(), x.asked[len(firm):])
	return delay <= 0 || x.await(w, r, delay)
}

// ask decides on the limits in firm together. It returns nothing if one of them never has as much as it is asked for.
func (x *exchange) ask(ctx context.Context, firm []asked) (bucket.Decisions, error) {
	if slices.ContainsFunc(firm, asked.tooMuch) {
		return nil, nil
	}
	switch len(firm) {
	case 0:
		return nil, nil
	case 1:
		d, err := x.gateway.config.Limiter.Check(ctx, firm[0].req)
		return bucket.Decisions{d}, err
	}
	for i := range firm {
		x.reqs = append(x.reqs, firm[i].req)
	}
	return x.gateway.config.Limiter.CheckAll(ctx, x.reqs)
}

// tooMuch says whether a asks for more than its limit ever has.
func (a asked) tooMuch() bool { return a.req.Cost > a.req.Limit.Burst }

// excess decides on limits of which one is asked for more than it ever has: that one denies for good, and nothing is taken.
func (x *exchange) excess(ctx context.Context, firm []asked) (bucket.Decisions, error) {
	ds := make(bucket.Decisions, len(firm))
	for i, a := range firm {
		peek := a.req
		peek.Cost, peek.Reserve, peek.ID = 0, 0, ""
		d, err := x.gateway.config.Limiter.Check(ctx, peek)
		if err != nil {
			return nil, err
		}
		if ds[i] = d; a.tooMuch() {
			ds[i].Allowed, ds[i].RetryAfter = false, bucket.Never
		}
	}
	return ds, nil
}

// hold notes what ds, which are all allowed, have reserved.
func (x *exchange) hold(firm []asked, ds bucket.Decisions) {
	for i := range firm {
		if a := &firm[i]; a.req.Reserve > 0 && !ds[i].Degraded {
			a.hold = x.gateway.keeper.keep(a.req)
		}
	}
}

// try asks the limits that only try, each by itself.
func (x *exchange) try(ctx context.Context, all []asked) {
	for i := range all {
		a := &all[i]
		d, err := x.gateway.config.Limiter.Check(ctx, a.req)
		switch {
		case err != nil: // it decides nothing
		case !d.Allowed:
			x.shadow = append(x.shadow, a.limit.Name)
		case a.req.Reserve > 0 && !d.Degraded:
			a.hold = x.gateway.keeper.keep(a.req)
		}
	}
}

// await holds the request until its turn comes. It says whether the request may go ahead then.
func (x *exchange) await(w http.ResponseWriter, r *http.Request, delay time.Duration) bool {
	q := x.site.route.Queue
	if delay > q.Wait {
		x.refuse(w, r, queueFull(delay))
		return false
	}
	select {
	case x.site.waiting <- struct{}{}:
	default:
		x.refuse(w, r, queueFull(delay))
		return false
	}
	defer func() { <-x.site.waiting }()
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		w.WriteHeader(statusClientGone)
		return false
	}
}
