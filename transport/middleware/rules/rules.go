// Package rules tells middleware which limits of a policy file a request meets.
//
// It is a package of its own so that a service without a policy does without what reads one.
package rules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/transport/gateway/identity"
	"github.com/noriahq/noria/transport/middleware"
)

// Rules are a policy that can be replaced while requests meet it. They are safe for concurrent use.
type Rules struct {
	log *slog.Logger
	set atomic.Pointer[set]
}

// A set is a policy and who finds its callers. It is not changed.
type set struct {
	policy  *policy.Policy
	callers *identity.Finder
}

// New returns Rules that go by p, which policy.Parse returns. Its routes need no upstreams, and its limits count requests: an error,
// which wraps middleware.ErrConfig, says that one counts something else. log is told of conditions that cannot be decided,
// and may be nil.
func New(p *policy.Policy, log *slog.Logger) (*Rules, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &Rules{log: log}
	if err := r.Replace(p); err != nil {
		return nil, err
	}
	return r, nil
}

// Replace makes requests from now on meet p. After an error the old policy stays.
func (r *Rules) Replace(p *policy.Policy) error {
	if p == nil {
		return fmt.Errorf("%w: no policy; want one that policy.Parse returns", middleware.ErrConfig)
	}
	for _, l := range p.Limits {
		if l.Unit != policy.Requests {
			return fmt.Errorf("%w: limit %s counts %v; want requests: what else there is only a gateway counts", middleware.ErrConfig, l.Name, l.Unit)
		}
	}
	c := identity.Config{Identities: p.Identities, TrustedProxies: p.TrustedProxies, IPv6Bits: p.IPv6Bits, Logger: r.log}
	if old := r.set.Load(); old != nil {
		c.Before = old.callers
	}
	callers, err := identity.New(c)
	if err != nil {
		return fmt.Errorf("%w: identities: %w", middleware.ErrConfig, err)
	}
	r.set.Store(&set{policy: p, callers: callers})
	return nil
}

// Run keeps the keys of the policy's identities fresh until ctx ends; of a policy that comes by Replace, one has to call it
// anew. It returns nil.
func (r *Rules) Run(ctx context.Context) error { return r.set.Load().callers.Run(ctx) }

// Limits is a middleware.HTTPLimits. A request without a route meets none; one whose credentials are no good gets an error that
// wraps middleware.ErrCaller, and one whose credentials cannot be checked yet one with the status Unavailable.
func (r *Rules) Limits(q *http.Request) ([]middleware.Met, error) {
	s := r.set.Load()
	route := s.policy.Route(q.Host, q.Method, q.URL.Path)
	if route == nil {
		return nil, nil
	}
	caller, err := s.callers.Caller(q)
	if errors.Is(err, identity.ErrUnavailable) {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", middleware.ErrCaller, err)
	}
	var met policy.Met
	err = route.Meet(&policy.Attributes{
		ClientIP: s.callers.ClientIP(q), Caller: caller, Header: q.Header, Host: q.Host, Method: q.Method, Path: q.URL.Path,
	}, &met)
	if err != nil {
		r.log.DebugContext(q.Context(), "a condition could not be decided and counts as true", "route", route.Name, "err", err)
	}
	all := make([]middleware.Met, met.Len())
	for i, key := range met.Keys(nil) {
		l := met.Limit(i)
		all[i] = middleware.Met{Name: l.Name, Shadow: l.Shadow, Request: bucket.Request{
			Key: key, Limit: met.Bucket(i), Cost: 1, OnLost: l.OnLost, Durability: l.Durability, ColdStart: l.ColdStart,
		}}
	}
	return all, nil
}
