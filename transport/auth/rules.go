package auth

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/transport/gateway/identity"
)

// rules are a policy and what was made for it.
type rules struct {
	callers *identity.Finder
	sites   map[string]*site  // by the route's name
	unfit   map[string]string // why the routes of a gateway cannot be asked about here, by name
	warned  atomic.Bool       // that a proxy is not believed
}

// A site is a route.
type site struct {
	route   *policy.Route
	waiting chan struct{} // has an element for each request that waits for its turn
}

// newRules returns the rules of p, which may be nil. before is the Finder of the rules that they replace.
func newRules(p *policy.Policy, before *identity.Finder, logger *slog.Logger) (*rules, error) {
	if p == nil {
		p = &policy.Policy{}
	}
	if err := Check(p); err != nil {
		return nil, err
	}
	callers, err := identity.New(identity.Config{
		Identities: p.Identities, TrustedProxies: p.TrustedProxies, IPv6Bits: p.IPv6Bits, Logger: logger, Before: before,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: identities: %w", ErrConfig, err)
	}
	r := &rules{callers: callers, sites: map[string]*site{}, unfit: map[string]string{}}
	for _, route := range p.Routes {
		if why := unfit(route); why != "" {
			r.unfit[route.Name] = why
			continue
		}
		r.sites[route.Name] = &site{route: route, waiting: make(chan struct{}, max(1, route.Queue.Requests))}
	}
	return r, nil
}

// Check says what in p cannot be: a route without upstreams, which is for sub-requests alone, with limits that they cannot
// hold. It opens no files. The error wraps ErrConfig.
func Check(p *policy.Policy) error {
	for _, route := range p.Routes {
		if why := unfit(route); why != "" && len(route.Upstreams) == 0 {
			return fmt.Errorf("%w: %s; want upstreams, which make the route a gateway's, or a limit of requests", ErrConfig, why)
		}
	}
	return nil
}

// unfit says why sub-requests cannot ask about a route, "" if they can.
func unfit(route *policy.Route) string {
	for _, l := range route.Limits {
		if l.Unit != policy.Requests {
			return fmt.Sprintf("routes.%s has the limit %s of %s, which a sub-request cannot hold: it does not see the request's end", route.Name, l.Name, l.Unit)
		}
	}
	return ""
}

// warn logs, once, that what r says of where a request came from is not believed.
func (rs *rules) warn(r *http.Request, logger *slog.Logger) {
	for _, name := range []string{forwardedFor, "X-Forwarded-Uri", "X-Original-Uri", realIP} {
		if len(r.Header[name]) > 0 && !rs.warned.Swap(true) {
			logger.Warn("a sub-request's word on where it came from is not believed", "peer", r.RemoteAddr,
				"err", name+" came from an address that trusted_proxies does not have, so all its clients count as one")
			return
		}
	}
}
