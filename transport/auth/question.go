package auth

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/transport/api"
)

// A question is one sub-request.
type question struct {
	handler *Handler
	rules   *rules
	site    *site

	limits  []*policy.Limit // those that are met; those that only try come last
	reqs    []bucket.Request
	applied []api.Applied // what the client is told, in the order of limits
	shadow  []string      // limits that would have refused and are only being tried
	denied  int           // the status of a denial
}

// answer answers r.
func (q *question) answer(w http.ResponseWriter, r *http.Request) {
	f := q.judge(r)
	h := w.Header()
	api.WriteHeaders(h, q.told())
	if len(q.shadow) > 0 {
		h.Set("X-Ratelimit-Shadow", strings.Join(q.shadow, ", "))
	}
	h.Set("Cache-Control", "no-store")
	if f != nil {
		writeRefusal(w, r, *f)
		return
	}
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// judge returns why r may not go ahead, nil if it may.
func (q *question) judge(r *http.Request) *refusal {
	switch deny := r.URL.Query().Get("deny"); deny {
	case "", "429":
		q.denied = http.StatusTooManyRequests
	case "403":
		q.denied = http.StatusForbidden
	default:
		return badDeny(deny)
	}
	if !q.rules.callers.Trusts(r) {
		q.rules.warn(r, q.handler.config.Logger)
	}
	asked, err := q.rules.read(r)
	if err != nil {
		return badQuestion(err)
	}
	caller, err := q.rules.callers.Caller(r)
	if err != nil {
		return unknownCaller(err)
	}
	var met policy.Met
	err = q.site.route.Meet(&policy.Attributes{
		ClientIP: asked.client, Caller: caller, Header: r.Header, Host: asked.host, Method: asked.method, Path: asked.path,
	}, &met)
	if err != nil {
		q.handler.config.Logger.Debug("a condition could not be decided and counts as true", "route", q.site.route.Name, "err", err)
	}
	return q.decide(r.Context(), q.prepare(&met))
}

// prepare makes the requests to the limits that were met, and returns how many of them can refuse.
func (q *question) prepare(met *policy.Met) (firm int) {
	keys := met.Keys(nil)
	for _, shadow := range []bool{false, true} {
		for i, key := range keys {
			l := met.Limit(i)
			if l.Shadow != shadow {
				continue
			}
			q.limits = append(q.limits, l)
			q.reqs = append(q.reqs, bucket.Request{
				Key: key, Limit: met.Bucket(i), Cost: 1, OnLost: l.OnLost, Durability: l.Durability, ColdStart: l.ColdStart,
			})
		}
		if !shadow {
			firm = len(q.reqs)
		}
	}
	return firm
}

// decide asks all limits, the first firm ones in one check, and waits for the request's turn if it has to. It returns why
// the request may not go ahead, nil if it may.
func (q *question) decide(ctx context.Context, firm int) *refusal {
	limiter := q.handler.config.Limiter
	var (
		ds  bucket.Decisions
		err error
	)
	switch firm {
	case 0:
	case 1:
		var d bucket.Decision
		d, err = limiter.Check(ctx, q.reqs[0])
		ds = bucket.Decisions{d}
	default:
		ds, err = limiter.CheckAll(ctx, q.reqs[:firm])
	}
	if err != nil {
		return undecided(q.handler.config.Logger, err)
	}
	var delay time.Duration
	allowed := true
	for i := range ds {
		q.applied = append(q.applied, api.Applied{Name: q.limits[i].Name, Limit: q.reqs[i].Limit, Decision: ds[i]})
		allowed = allowed && ds[i].Allowed
		delay = max(delay, ds[i].Delay)
	}
	if !allowed {
		return q.denial()
	}
	q.try(ctx, firm)
	if delay <= 0 {
		return nil
	}
	return q.await(ctx, delay)
}

// try asks the limits that only try, each by itself.
func (q *question) try(ctx context.Context, firm int) {
	for i := firm; i < len(q.reqs); i++ {
		// An error decides nothing.
		if d, err := q.handler.config.Limiter.Check(ctx, q.reqs[i]); err == nil && !d.Allowed {
			q.shadow = append(q.shadow, q.limits[i].Name)
		}
	}
}

// await holds the answer until the request's turn comes.
func (q *question) await(ctx context.Context, delay time.Duration) *refusal {
	if delay > min(q.site.route.Queue.Wait, q.handler.config.MaxHold) {
		return queueFull(delay, q.denied)
	}
	select {
	case q.site.waiting <- struct{}{}:
	default:
		return queueFull(delay, q.denied)
	}
	defer func() { <-q.site.waiting }()
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return clientGone()
	}
}

// told returns what the client is told: all that is known. Where a denial was remembered, nobody was asked about the other
// limits.
func (q *question) told() []api.Applied {
	return slices.DeleteFunc(q.applied, func(a api.Applied) bool {
		return a.Decision.Allowed && a.Decision.Node == "" && !a.Decision.Degraded
	})
}
