package gateway

import (
	"context"
	"errors"
	"net/http"

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

	met      policy.Met
	keys     []string // of met
	asked    []asked
	reqs     []bucket.Request
	applied  []api.Applied // what the client is told, in the order of asked
	shadow   []string      // limits that would have refused and are only being tried
	id       string        // of its reservations; "" before there are any
	call     llm.Call      // of routes of language models
	weights  llm.Weights   // of its model
	to       *upstream     // where it went; nil before
	download *download     // nil before the answer
	outcome  outcome
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

// end settles all that the exchange reserved. It is called when nobody writes to the client any more, and x is nobody's then.
func (x *exchange) end() {
	if x.to != nil {
		x.to.under.Add(-1)
	}
	if x.download != nil {
		x.gateway.stalls.remove(x.download)
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
