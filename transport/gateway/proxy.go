package gateway

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/gateway/llm"
)

// newProxy returns what forwards the admitted requests of s, and gives s.pool its connections.
func newProxy(c Config, s *site) *httputil.ReverseProxy {
	warn := &warner{logger: c.Logger}
	s.pool.transport = newTransport(c, s)
	_, speaks := s.speaksLLM()
	var upstream http.RoundTripper = &balancer{site: s}
	if c.Wrap != nil {
		upstream = c.Wrap(upstream)
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			x := exchangeOf(r.In)
			if x.rules.callers.Trusts(r.In) {
				r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"] // what it says goes on
			}
			r.SetXForwarded() // in place of what a client claims
			x.rules.callers.Conceal(r.In, r.Out.Header)
			for name, value := range s.route.Headers {
				r.Out.Header[name] = []string{value}
			}
			if speaks {
				r.Out.Header.Set("Accept-Encoding", "identity") // what is packed cannot be counted
			}
		},
		Transport:     upstream,
		FlushInterval: -1, // as it comes: event streams must not wait for a buffer to fill
		BufferPool:    &buffers{},
		ErrorLog:      log.New(warn, "", 0),
		ModifyResponse: func(res *http.Response) error {
			exchangeOf(res.Request).answered(res)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			exchangeOf(r).failed(warn, w, r, err)
		},
	}
}

// newTransport returns the connections to the upstreams of s. Only the begin of an answer has a time limit, and pauses in it.
func newTransport(c Config, s *site) *http.Transport {
	return &http.Transport{
		DialContext:           c.Dial,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          1024,
		MaxIdleConnsPerHost:   512, // there are few hosts; the default of 2 would open a connection for nearly each request
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: s.route.Timeout,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // what the client did not ask for is not its encoding
	}
}

// answered notes the upstream's answer, and makes the headers and the body those that the client gets.
func (x *exchange) answered(res *http.Response) {
	x.outcome.answered = res.StatusCode < 400
	x.writeHeaders(res.Header) // here and not before, so that they replace those that the upstream sends
	if res.StatusCode == http.StatusSwitchingProtocols {
		return // the body is a connection now
	}
	x.outcome.metered = false
	if style, speaks := x.site.speaksLLM(); speaks && x.outcome.answered && x.call.Endpoint != llm.Other {
		res.Body = llm.NewMeter(style, x.call, res.Header, res.Body, func(u llm.Usage) {
			x.outcome.usage, x.outcome.metered = u, true
		})
		if x.call.Stream {
			// An event that was asked for may be left out, so its length is not the answer's any more.
			res.Header.Del("Content-Length")
			res.ContentLength = -1
		}
	}
	x.download = &download{ReadCloser: res.Body, exchange: x, idle: x.site.route.IdleTimeout}
	x.gateway.stalls.add(x.download)
	res.Body = x.download
}

// failed answers a request that the upstream did not.
func (x *exchange) failed(warn *warner, w http.ResponseWriter, r *http.Request, err error) {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		x.refuse(w, r, bodyTooLarge(large.Limit))
		return
	}
	if errors.Is(r.Context().Err(), context.Canceled) {
		if x.to != nil && x.call.Endpoint != llm.Other { // the upstream may work on it, so what went in is not free
			x.outcome.usage, x.outcome.metered = llm.Usage{Input: x.call.Prompt}, true
		}
		w.WriteHeader(statusClientGone)
		return
	}
	var timeout net.Error
	f := badUpstream()
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		f = slowUpstream()
	}
	warn.say("upstream does not answer", err.Error())
	x.writeHeaders(w.Header())
	x.refuse(w, r, f)
}

// writeHeaders tells of the limits that the request met.
func (x *exchange) writeHeaders(h http.Header) {
	api.WriteHeaders(h, x.told())
	if style, speaks := x.site.speaksLLM(); speaks {
		llm.WriteHeaders(h, style, time.Now(), x.budgets())
	}
	if len(x.shadow) > 0 {
		h.Set("X-Ratelimit-Shadow", strings.Join(x.shadow, ", "))
	}
}

// told returns what the client is told: all that is known. Where a denial was remembered, nobody was asked about the other limits.
func (x *exchange) told() []api.Applied {
	if !slices.ContainsFunc(x.applied, unasked) {
		return x.applied
	}
	return slices.DeleteFunc(slices.Clone(x.applied), unasked)
}

// unasked says whether nobody was asked about a: then it is only not known to deny.
func unasked(a api.Applied) bool {
	return a.Decision.Allowed && a.Decision.Node == "" && !a.Decision.Degraded
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
