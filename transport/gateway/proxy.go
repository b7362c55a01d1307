package gateway

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/transport/api"
)

// metKey is the key of a request's limits in its context.
type metKey struct{}

// withMet returns ctx with the limits that its request met.
func withMet(ctx context.Context, met []api.Applied) context.Context {
	return context.WithValue(ctx, metKey{}, met)
}

// metOf returns what withMet put into ctx.
func metOf(ctx context.Context) []api.Applied {
	met, _ := ctx.Value(metKey{}).([]api.Applied)
	return met
}

// newProxy returns what forwards admitted requests.
func newProxy(c Config) *httputil.ReverseProxy {
	warn := &warner{logger: c.Logger}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(c.Upstream)
			r.SetXForwarded() // in place of what the client claims
		},
		Transport:     newTransport(c),
		FlushInterval: -1, // as it comes: event streams must not wait for a buffer to fill
		BufferPool:    &buffers{},
		ErrorLog:      log.New(warn, "", 0),
		ModifyResponse: func(res *http.Response) error {
			// Here and not before, so that they replace those that the upstream sends.
			api.WriteHeaders(res.Header, metOf(res.Request.Context()))
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			upstreamFailed(warn, w, r, err)
		},
	}
}

// newTransport returns the connections to the upstream. Only the begin of an answer has a time limit.
func newTransport(c Config) *http.Transport {
	return &http.Transport{
		DialContext:           c.Dial,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          1024,
		MaxIdleConnsPerHost:   512, // there is one host; the default of 2 would open a connection for nearly each request
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: c.UpstreamWait,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // what the client did not ask for is not its encoding
	}
}

// upstreamFailed answers a request that the upstream did not.
func upstreamFailed(warn *warner, w http.ResponseWriter, r *http.Request, err error) {
	ctx := r.Context()
	if errors.Is(ctx.Err(), context.Canceled) {
		w.WriteHeader(statusClientGone)
		return
	}
	var timeout net.Error
	p := badUpstream()
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		p = slowUpstream()
	}
	warn.say("upstream does not answer", err.Error())
	api.WriteHeaders(w.Header(), metOf(ctx))
	writeProblem(w, p)
}

// buffers lends the memory in which answers are copied.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[32 << 10]byte); ok {
		return p[:]
	}
	return make([]byte, 32<<10)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) { b.pool.Put((*[32 << 10]byte)(p)) }

// A warner logs what goes wrong upstream, at most once a second: a dead upstream fails every request.
type warner struct {
	logger *slog.Logger
	last   atomic.Int64 // Unix time of the last line
	quiet  atomic.Int64 // lines left out since
}

// say logs text and what went wrong, or counts it.
func (w *warner) say(text, wrong string) {
	now, last := time.Now().Unix(), w.last.Load()
	if now == last || !w.last.CompareAndSwap(last, now) {
		w.quiet.Add(1)
		return
	}
	w.logger.Warn(text, "err", wrong, "unlogged", w.quiet.Swap(0)) //nolint:sloglint // callers pass constants
}

// Write implements io.Writer for what the standard library has to say, one line at a time.
func (w *warner) Write(p []byte) (int, error) {
	w.say("proxy", strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}
