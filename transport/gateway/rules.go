package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httputil"
	"strconv"
	"sync"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/transport/gateway/identity"
	"github.com/noriahq/noria/transport/gateway/llm"
)

// rules are a policy and all that was made for it.
type rules struct {
	policy  *policy.Policy
	callers *identity.Finder
	logger  *slog.Logger
	sites   map[*policy.Route]*site
}

// A site is a route and what serves it.
type site struct {
	route   *policy.Route
	pool    *pool
	proxy   *httputil.ReverseProxy
	options llm.Options
	waiting chan struct{} // has an element for each request that waits for its turn
}

// newRules returns the rules of p. It opens nothing but the files that p names.
func newRules(g *Gateway, p *policy.Policy) (*rules, error) {
	switch {
	case p == nil:
		return nil, fmt.Errorf("%w: Policy is nil, want one that policy.Parse returns", ErrConfig)
	case len(p.Routes) == 0:
		return nil, fmt.Errorf("%w: the policy has no routes, so there is nothing to forward", ErrConfig)
	}
	var before *identity.Finder
	if old := g.rules.Load(); old != nil {
		before = old.callers
	}
	callers, err := identity.New(identity.Config{
		Identities: p.Identities, TrustedProxies: p.TrustedProxies, IPv6Bits: p.IPv6Bits, Logger: g.config.Logger, Before: before,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: identities: %w", ErrConfig, err)
	}
	r := &rules{policy: p, callers: callers, logger: g.config.Logger, sites: make(map[*policy.Route]*site, len(p.Routes))}
	for _, route := range p.Routes {
		if len(route.Upstreams) == 0 {
			return nil, fmt.Errorf("%w: route %s has no upstreams", ErrConfig, route.Name)
		}
		if route.MaxHeader > maxHeader {
			return nil, fmt.Errorf("%w: route %s takes headers of %d bytes, want at most %d", ErrConfig, route.Name, route.MaxHeader, maxHeader)
		}
		r.sites[route] = newSite(g.config, route)
	}
	return r, nil
}

// newSite returns what serves route.
func newSite(c Config, route *policy.Route) *site {
	s := &site{
		route: route, pool: newPool(route.Upstreams), waiting: make(chan struct{}, max(1, route.Queue.Requests)),
		options: llm.Options{MaxOutput: route.LLM.DefaultMaxTokens, BytesPerToken: route.LLM.CharsPerToken, Tokenizer: tokenizer(route.LLM.Tokenizer)},
	}
	s.proxy = newProxy(c, s)
	return s
}

// tokenizer returns the one with that name in a policy.
func tokenizer(name string) llm.Tokenizer {
	switch name {
	case "o200k":
		return llm.O200k
	case "cl100k":
		return llm.CL100k
	}
	return llm.Chars
}

// run does until ctx ends what goes on beside requests.
func (r *rules) run(ctx context.Context) {
	var children sync.WaitGroup
	children.Go(func() { _ = r.callers.Run(ctx) }) // it ends with ctx, and logs by itself
	for _, s := range r.sites {
		if s.route.Health.Path != "" {
			children.Go(func() { s.pool.watch(ctx, s, r.logger) })
		}
	}
	children.Wait()
}

// retire closes what requests under way do not use. These close theirs when they are done, or after some idle time.
func (r *rules) retire() {
	for _, s := range r.sites {
		s.pool.transport.CloseIdleConnections()
	}
}

// speaksLLM says whether the requests of s are for a language model, and in which style.
func (s *site) speaksLLM() (style llm.Style, yes bool) {
	switch s.route.Kind {
	case policy.OpenAI:
		return llm.OpenAI, true
	case policy.Anthropic:
		return llm.Anthropic, true
	case policy.HTTP:
	}
	return 0, false
}

// weights returns what a model's tokens count on the limits of s.
func (s *site) weights(model string) llm.Weights {
	w := s.route.LLM.Weigh(model)
	return llm.Weights{Input: orFree(w.Input), Output: orFree(w.Output), Cached: orFree(w.Cached)}
}

// orFree returns the weight w of a policy, where 0 means 0, as one of package llm.
func orFree(w int64) int64 {
	if w == 0 {
		return llm.Free
	}
	return w
}

// formatID returns the text of a number.
func formatID(n uint64) string { return strconv.FormatUint(n, 36) }
