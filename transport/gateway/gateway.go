// Package gateway is a reverse proxy that lets a request through when its client has tokens for it.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport/api"
)

// ErrConfig is wrapped by errors about a Config.
var ErrConfig = errors.New("bad gateway configuration")

// A Limiter decides. *cluster.Node is one. Check is called by many goroutines at once.
type Limiter interface {
	// Check takes r's cost from its bucket or refuses.
	Check(ctx context.Context, r bucket.Request) (bucket.Decision, error)
}

// Config is what a gateway is made of. Upstream, Limit, Key and Limiter are required.
type Config struct {
	// Upstream is where admitted requests go: http or https with a host. Its path is put before the request's.
	Upstream *url.URL

	// Limit is what each client may ask for. One request costs one token.
	Limit bucket.Limit

	// Key says who a client is.
	Key Key

	// Limiter decides.
	Limiter Limiter

	// UpstreamWait is how long the upstream may take until its answer begins; the answer itself may take any time.
	// Default: 1 minute. Less frees what a stuck upstream holds sooner, and cuts off slow answers.
	UpstreamWait time.Duration

	// Dial opens connections to the upstream. Default: TCP, given up after 5 seconds.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Logger is told of upstreams that do not answer and of errors that are the node's fault. Default: nowhere.
	Logger *slog.Logger
}

// check returns an error that wraps ErrConfig if c cannot work.
func (c Config) check() error {
	switch {
	case c.Upstream == nil:
		return fmt.Errorf("%w: Upstream is nil, want a URL such as http://127.0.0.1:9000", ErrConfig)
	case c.Upstream.Scheme != "http" && c.Upstream.Scheme != "https", c.Upstream.Host == "":
		return fmt.Errorf("%w: Upstream is %q, want http:// or https:// and a host, such as http://127.0.0.1:9000", ErrConfig, c.Upstream.Redacted())
	case c.Key == (Key{}):
		return fmt.Errorf("%w: Key is zero, want one that ParseKey returns", ErrConfig)
	case c.Limiter == nil:
		return fmt.Errorf("%w: Limiter is nil, want one such as *cluster.Node", ErrConfig)
	case c.UpstreamWait < 0:
		return fmt.Errorf("%w: UpstreamWait is %v, want more than 0", ErrConfig, c.UpstreamWait)
	}
	if err := c.Limit.Validate(); err != nil {
		return fmt.Errorf("%w: Limit: %w", ErrConfig, err)
	}
	return nil
}

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	if c.UpstreamWait == 0 {
		c.UpstreamWait = time.Minute
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// A gateway is the handler that New returns.
type gateway struct {
	config Config
	proxy  *httputil.ReverseProxy
}

// New returns a handler that forwards the requests that c's limit admits and answers 429 to the others. Errors wrap
// ErrConfig.
//
// A request that has to wait for its turn is held until then. Answers are passed on as they come, without buffering, and
// what the client cancels is canceled upstream. All answers carry the headers of api.WriteHeaders; refusals and errors of
// the gateway itself are RFC 9457 problems.
func New(c Config) (http.Handler, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	return &gateway{config: c, proxy: newProxy(c)}, nil
}

// ServeHTTP implements http.Handler.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	key := g.config.Key
	d, err := g.config.Limiter.Check(ctx, bucket.Request{Key: key.of(r), Limit: g.config.Limit, Cost: 1})
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	met := []api.Applied{{Name: key.String(), Limit: g.config.Limit, Decision: d}}
	if !d.Allowed {
		api.WriteHeaders(w.Header(), met)
		writeProblem(w, denied(met[0]))
		return
	}
	if wait(ctx, d.Delay) != nil {
		return // the client is gone
	}
	g.proxy.ServeHTTP(w, r.WithContext(withMet(ctx, met)))
}

// wait blocks until d has passed or ctx ends, and returns its error then.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
