// Package auth answers the sub-requests by which nginx, Caddy, Traefik and HAProxy ask whether a request may go ahead.
//
// They send GET /v1/auth/ROUTE to the port of --api, and the route of that name in the policy says which limits are met:
//
//	$ cat noria.yaml
//	trusted_proxies: [127.0.0.0/8]
//	limits:
//	  ip: {key: client.ip, limit: 2/m}
//	routes:
//	  web: {limits: [ip]}
//	$ noria serve --config noria.yaml &
//	$ curl -i -H 'X-Forwarded-For: 192.0.2.1' -H 'X-Forwarded-Uri: /index.html' http://127.0.0.1:8083/v1/auth/web
//	HTTP/1.1 200 OK
//	Ratelimit: "ip";r=1;t=30
//	Ratelimit-Policy: "ip";q=2;w=60
//	X-Ratelimit-Limit: 2
//	X-Ratelimit-Remaining: 1
//	X-Ratelimit-Reset: 30
//
// and for the third one within a minute
//
//	HTTP/1.1 429 Too Many Requests
//	Content-Type: application/problem+json
//	Ratelimit: "ip";r=0;t=29
//	Ratelimit-Policy: "ip";q=2;w=60
//	Retry-After: 29
//	X-Ratelimit-Limit: 2
//	X-Ratelimit-Remaining: 0
//	X-Ratelimit-Reset: 59
//	X-Ratelimit-Type: ip
//
// The answer is 200 or 429, with the headers of api.WriteHeaders; 401 where credentials are no good; 404 where the policy has
// no such route; 503 where a limit with on_lost: deny has lost the node that keeps its count. With ?deny=403 a denial has the
// status 403, for nginx, which makes 500 of all else. Any method will do, and a body is not looked at.
//
// Who the caller is and where it comes from is found as a gateway finds it, by identities, trusted_proxies and ipv6_bits. What
// was asked for is the proxy's word: X-Forwarded-Method, -Uri, -Host and -For, or X-Original-Method and -URI, and X-Real-IP
// where there is no X-Forwarded-For. It is believed from trusted_proxies only, which have to have the proxy's address: without,
// all clients are one, the proxy. A proxy that sets one of two headers has to take the other out: where both are there and
// differ one of them is the client's, and the answer is 400.
//
// Limits of llm_tokens, bytes and concurrency need the request and its answer, which a sub-request does not see. A policy
// is refused in which a route without upstreams, which is for sub-requests alone, has one; a gateway's route that has one is
// a 404 here.
//
// Configurations that work are in e2e/interop: nginx, caddy, haproxy and traefik.
package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/transport/gateway/identity"
)

// Path is what the paths of all sub-requests begin with. The route's name follows.
const Path = "/v1/auth/"

// ErrConfig is wrapped by errors about a Config or a policy.
var ErrConfig = errors.New("bad configuration of sub-requests")

// A Limiter decides. *cluster.Node is one. Its methods are called by many goroutines at once.
type Limiter interface {
	// Check takes r's cost from its bucket or refuses.
	Check(ctx context.Context, r bucket.Request) (bucket.Decision, error)

	// CheckAll takes the costs of all of rs or none.
	CheckAll(ctx context.Context, rs []bucket.Request) (bucket.Decisions, error)
}

// Config is what a Handler is made of. Limiter is required.
type Config struct {
	// Policy has the routes. Default: nil, none.
	Policy *policy.Policy

	// Limiter decides.
	Limiter Limiter

	// MaxHold is the longest that an answer is held until the request's turn comes, where one of its limits has a queue; a
	// route may say less. Default: 30s. More costs open requests.
	MaxHold time.Duration

	// Logger is told of proxies that are not believed and of errors that are the node's fault. Default: nowhere.
	Logger *slog.Logger
}

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	if c.MaxHold <= 0 {
		c.MaxHold = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// A Handler is an http.Handler that answers sub-requests. Its methods are safe for concurrent use.
type Handler struct {
	config  Config
	rules   atomic.Pointer[rules]
	changed chan struct{} // has an element when rules are new to Run
}

// New returns a Handler. It opens nothing but the files that the policy names; Run does what goes on beside requests. Errors
// wrap ErrConfig.
func New(c Config) (*Handler, error) {
	if c.Limiter == nil {
		return nil, fmt.Errorf("%w: Limiter is nil, want one such as *cluster.Node", ErrConfig)
	}
	h := &Handler{config: c.withDefaults(), changed: make(chan struct{}, 1)}
	use, err := h.Prepare(c.Policy)
	if err != nil {
		return nil, err
	}
	use()
	return h, nil
}

// Prepare returns what makes p, nil for none, the policy of all requests from its call on. On an error, which wraps ErrConfig,
// there is nothing to call.
func (h *Handler) Prepare(p *policy.Policy) (use func(), err error) {
	var before *identity.Finder
	if old := h.rules.Load(); old != nil {
		before = old.callers
	}
	r, err := newRules(p, before, h.config.Logger)
	if err != nil {
		return nil, err
	}
	return func() {
		h.rules.Store(r)
		select {
		case h.changed <- struct{}{}:
		default:
		}
	}, nil
}

// Run reads credentials anew when they change, until ctx ends. It returns nil.
func (h *Handler) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		own, stop := context.WithCancel(ctx)
		r := h.rules.Load()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = r.callers.Run(own) // it ends with own, and logs by itself
		}()
		select {
		case <-h.changed:
		case <-ctx.Done():
		}
		stop()
		<-ended
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rules := h.rules.Load()
	name, _ := strings.CutPrefix(r.URL.Path, Path)
	site := rules.sites[name]
	if site == nil {
		writeRefusal(w, r, noRoute(rules.unfit[name]))
		return
	}
	q := question{handler: h, rules: rules, site: site}
	q.answer(w, r)
}
