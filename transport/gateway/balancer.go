package gateway

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
)

// A balancer sends each request to an upstream of its site, and to another one if that could not be reached or, where
// nothing can have come of it, did not answer.
type balancer struct{ site *site }

// RoundTrip implements http.RoundTripper.
func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	x := exchangeOf(r)
	p := b.site.pool
	var tried uint64
	body := &kept{ReadCloser: r.Body}
	for left := b.site.route.Retries; ; left-- {
		at := p.pick(tried)
		if x.to != nil {
			x.to.under.Add(-1)
		}
		x.to = p.all[at]
		tried |= 1 << at
		out := toward(r, x.to.url)
		if r.Body != nil && r.Body != http.NoBody {
			out.Body = body
		}
		res, err := p.transport.RoundTrip(out)
		if err == nil || left <= 0 || r.Context().Err() != nil || !repeatable(r, err) {
			body.end()
			return res, err
		}
	}
}

// toward returns r as it goes to the upstream u.
func toward(r *http.Request, u *url.URL) *http.Request {
	out := *r
	to := *r.URL
	to.Scheme, to.Host = u.Scheme, u.Host
	if u.Path != "" && u.Path != "/" {
		joined := u.JoinPath(r.URL.EscapedPath())
		to.Path, to.RawPath = joined.Path, joined.RawPath
	}
	if u.RawQuery != "" {
		if to.RawQuery != "" {
			to.RawQuery = "&" + to.RawQuery
		}
		to.RawQuery = u.RawQuery + to.RawQuery
	}
	out.URL, out.Host = &to, ""
	return &out
}

// repeatable says whether r may be sent again after err: if it never arrived, or if it asks for nothing to be changed.
func repeatable(r *http.Request, err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return true
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return (r.Body == nil || r.Body == http.NoBody) && r.Header.Get("Upgrade") == ""
	}
	return false
}

// kept is the body of a request that may have to be sent again: closing it is put off until it is not. Only a request that
// found no connection is sent again with a body, and nothing has read that.
type kept struct {
	io.ReadCloser
	closed, over atomic.Bool
}

// Close implements io.Closer.
func (k *kept) Close() error {
	k.closed.Store(true)
	if k.over.Load() {
		return k.ReadCloser.Close()
	}
	return nil
}

// end says that there is no further attempt.
func (k *kept) end() {
	k.over.Store(true)
	if k.closed.Load() && k.ReadCloser != nil {
		_ = k.ReadCloser.Close() // it is the client's, or memory
	}
}
