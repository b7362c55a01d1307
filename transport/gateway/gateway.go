// Package gateway is a reverse proxy that lets a request through when its caller has tokens for it, as a policy says.
//
// A request's route names the limits that it meets: of its client's address, of who its caller is, of the upstream as a
// whole. They are asked in one check that charges all or none. What a request costs in tokens of a language model is
// reserved before and settled when the answer has passed; requests under way hold slots of concurrency limits that come
// back when they end, or by themselves where the gateway died.
package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/bucket/policy"
)

// ErrConfig is wrapped by errors about a Config.
var ErrConfig = errors.New("bad gateway configuration")

// A Limiter decides. *cluster.Node is one. Its methods are called by many goroutines at once.
type Limiter interface {
	// Check takes r's cost from its bucket or refuses.
	Check(ctx context.Context, r bucket.Request) (bucket.Decision, error)

	// CheckAll takes the costs of all of rs or none.
	CheckAll(ctx context.Context, rs []bucket.Request) (bucket.Decisions, error)

	// Settle says what reservations came to, or keeps them for longer.
	Settle(ctx context.Context, s ...bucket.Settlement) ([]bucket.Settled, error)
}

// Config is what a gateway is made of. Policy and Limiter are required.
type Config struct {
	// Policy says which requests go where and which limits they meet. It needs a route at least, and all routes an upstream.
	Policy *policy.Policy

	// Limiter decides.
	Limiter Limiter

	// Dial opens connections to upstreams. Default: TCP, given up after 5 seconds.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Wrap, where not nil, returns what requests to upstreams go through, such as what traces them. It is called once for each
	// route.
	Wrap func(http.RoundTripper) http.RoundTripper

	// Logger is told of upstreams that do not answer and of errors that are the node's fault. Default: nowhere.
	Logger *slog.Logger
}

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// A Gateway is an http.Handler that forwards the requests that its policy's limits admit, and answers the others itself.
// Its methods are safe for concurrent use.
//
// A request that has to wait for its turn is held until then. Answers are passed on as they come, without buffering, and
// what the client cancels is canceled upstream. All answers carry the headers of api.WriteHeaders, and on routes of
// language models those of llm.WriteHeaders. What the gateway answers itself is an RFC 9457 problem, or an error as
// OpenAI's and Anthropic's SDKs read it.
type Gateway struct {
	config  Config
	prefix  string // of the ids of this run
	lastID  atomic.Uint64
	keeper  *keeper
	stalls  stalls
	rules   atomic.Pointer[rules]
	changed chan struct{} // has an element when rules are new to Run
	using   sync.Mutex    // held while rules are replaced
	free    sync.Pool     // of *exchange
}

// New returns a gateway. It opens nothing; Run does what goes on beside requests. Errors wrap ErrConfig.
func New(c Config) (*Gateway, error) {
	c = c.withDefaults()
	if c.Limiter == nil {
		return nil, fmt.Errorf("%w: Limiter is nil, want one such as *cluster.Node", ErrConfig)
	}
	g := &Gateway{
		config: c, prefix: rand.Text() + "-", changed: make(chan struct{}, 1),
		keeper: newKeeper(c.Limiter, c.Logger), stalls: stalls{base: time.Now(), open: map[*download]struct{}{}},
	}
	return g, g.Use(c.Policy)
}

// Use makes p the policy of all requests from now on; those under way keep the one that they began with. It does not block
// on them. On an error, which wraps ErrConfig, the policy stays what it was.
func (g *Gateway) Use(p *policy.Policy) error {
	r, err := newRules(g, p)
	if err != nil {
		return err
	}
	g.using.Lock()
	defer g.using.Unlock()
	if old := g.rules.Swap(r); old != nil {
		old.retire()
	}
	select {
	case g.changed <- struct{}{}:
	default:
	}
	return nil
}

// Policy returns the policy in use.
func (g *Gateway) Policy() *policy.Policy { return g.rules.Load().policy }

// Run does until ctx ends what goes on beside requests: it asks upstreams whether they are well, reads credentials anew
// when they change, keeps reservations alive and settles them, and ends answers that do not go on. Without it none of that is done, and what waits
// for it is bounded. It returns nil.
func (g *Gateway) Run(ctx context.Context) error {
	var children sync.WaitGroup
	children.Go(func() { g.keeper.run(ctx) })
	children.Go(func() { g.stalls.run(ctx) })
	for ctx.Err() == nil {
		own, stop := context.WithCancel(ctx)
		r := g.rules.Load()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.run(own)
		}()
		select {
		case <-g.changed:
		case <-ctx.Done():
		}
		stop()
		<-ended
	}
	children.Wait()
	return nil
}

// Drain blocks until all that requests have ended with is settled, or ctx ends, and returns how much is not. It is for a
// graceful stop, after the last request and before Run's end.
func (g *Gateway) Drain(ctx context.Context) (left int) { return g.keeper.drain(ctx) }

// Stats returns what the gateway has counted.
func (g *Gateway) Stats() Stats { return g.keeper.stats() }

// Stats are counts of a gateway.
type Stats struct {
	Held      int    // reservations that requests under way hold
	Unsettled int    // settlements that were not sent yet, or not answered
	Given     uint64 // settlements given up: queue full, or too late; what was reserved stays spent
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rules := g.rules.Load()
	route := rules.policy.Route(r.Host, r.Method, r.URL.Path)
	if route == nil {
		writeProblem(w, noRoute())
		return
	}
	x := g.newExchange(rules, rules.sites[route])
	defer x.end()
	if r = x.admit(w, r); r != nil {
		x.site.proxy.ServeHTTP(w, r)
	}
}

// nextID returns an id for reservations that no other request has, of any gateway.
func (g *Gateway) nextID() string {
	return g.prefix + formatID(g.lastID.Add(1))
}
