package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/gateway/llm"
)

// An exchange is one request and its answer. One goroutine at a time has it.
type exchange struct {
	gateway *Gateway
	rules   *rules
	site    *site
	body    *upload // nil for none

	met     policy.Met
	keys    []string // of met
	asked   []asked
	reqs    []bucket.Request
	applied []api.Applied // what the client is told, in the order of asked
	shadow  []string      // limits that would have refused and are only being tried
	id      string        // of its reservations; "" before there are any
	call    llm.Call      // of routes of language models
	weights llm.Weights   // of its model
	to      *upstream     // where it went; nil before
	outcome outcome
}

// newExchange returns an exchange on s. It has the memory of one that has ended.
func (g *Gateway) newExchange(r *rules, s *site) *exchange {
	x, ok := g.free.Get().(*exchange)
	if !ok {
		x = &exchange{gateway: g}
	}
	x.rules, x.site = r, s
	return x
}

// clear forgets everything but memory, so that x can be another exchange.
func (x *exchange) clear() {
	x.met.Reset()
	clear(x.keys)
	clear(x.asked)
	clear(x.reqs)
	clear(x.applied)
	*x = exchange{gateway: x.gateway, met: x.met, keys: x.keys[:0], asked: x.asked[:0], reqs: x.reqs[:0], applied: x.applied[:0]}
}

// asked is a limit that the request met, and what was asked of it.
type asked struct {
	limit *policy.Limit
	req   bucket.Request
	hold  *hold // nil where nothing is reserved
}

// An outcome is what an exchange came to.
type outcome struct {
	answered bool      // the upstream did, and not with an error
	metered  bool      // usage is what it said or what was counted
	usage    llm.Usage // of answered calls of language models
	bytes    int64     // of the answer's body
}

// exchangeKey is the key of an exchange in its request's context.
type exchangeKey struct{}

// exchangeOf returns the exchange of a request to an upstream.
func exchangeOf(r *http.Request) *exchange {
	x, _ := r.Context().Value(exchangeKey{}).(*exchange)
	return x
}

// admit decides on r. It returns the request to forward, or nil if it has answered itself.
func (x *exchange) admit(w http.ResponseWriter, r *http.Request) *http.Request {
	ctx := context.WithValue(r.Context(), exchangeKey{}, x)
	r = r.WithContext(ctx)
	if !x.measure(w, r) {
		return nil
	}
	caller, err := x.rules.callers.Caller(r)
	if err != nil {
		x.refuse(w, r, unknownCaller(err))
		return nil
	}
	if !x.readCall(w, r) {
		return nil
	}
	err = x.site.route.Meet(&policy.Attributes{
		ClientIP: x.rules.callers.ClientIP(r), Caller: caller, Header: r.Header,
		Host: r.Host, Method: r.Method, Path: r.URL.Path, Model: x.call.Model,
	}, &x.met)
	if err != nil {
		x.gateway.config.Logger.Debug("a condition could not be decided and counts as true", "route", x.site.route.Name, "err", err)
	}
	x.prepare(r)
	if !x.decide(w, r) {
		return nil
	}
	return r
}

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

// end settles all that the exchange reserved. It is called when nobody writes to the client any more, and x is nobody's then.
func (x *exchange) end() {
	if x.to != nil {
		x.to.under.Add(-1)
	}
	for i := range x.asked {
		if a := &x.asked[i]; a.hold != nil {
			x.gateway.keeper.settle(a.hold, x.cost(a.limit.Unit))
		}
	}
	x.clear()
	x.gateway.free.Put(x)
}

// cost returns what the exchange came to, in a unit that is reserved.
func (x *exchange) cost(u policy.Unit) int64 {
	switch u {
	case policy.LLMTokens:
		if !x.outcome.metered {
			return 0 // nothing came back that costs anything
		}
		return min(x.weights.Cost(x.outcome.usage), bucket.MaxCost)
	case policy.Bytes:
		sent := x.outcome.bytes
		if x.body != nil {
			sent += x.body.read.Load()
		}
		return min(sent, bucket.MaxCost)
	case policy.Requests, policy.Concurrency:
	}
	return 0
}

// readCall reads what a language model is asked for, on routes that have them. It says whether the request may go on, and
// has answered it where not.
func (x *exchange) readCall(w http.ResponseWriter, r *http.Request) bool {
	style, yes := x.site.speaksLLM()
	if !yes || r.Method != http.MethodPost || llm.EndpointOf(style, r.URL.Path) == llm.Other {
		return true
	}
	body, err := x.readBody(r)
	if err != nil {
		x.refuse(w, r, badBody(err))
		return false
	}
	var send []byte
	x.call, send, err = llm.ReadCall(style, r.URL.Path, body, x.site.options)
	if err != nil {
		var wrong *llm.RequestError
		f := badCall(err.Error(), "")
		if errors.As(err, &wrong) {
			f = badCall(wrong.Reason, wrong.Param)
		}
		x.refuse(w, r, f)
		return false
	}
	x.weights = x.site.weights(x.call.Model)
	setBody(r, send)
	return true
}
