package bearer

import (
	"context"
	"fmt"
	"net/http"

	"github.com/noriahq/noria/transport"
)

// A Guard lets requests through to a server that show a token, or a client certificate.
type Guard struct {
	// Tokens are those that are let through. None are if it and Admin are nil.
	Tokens *Tokens

	// Admin are the tokens of those who look after the fleet, who may do whatever Tokens may. See the function Admin.
	Admin *Tokens

	// Certificates lets those through who have shown a client certificate. The server has verified it.
	Certificates bool

	// Open says which requests are let through whatever they show. nil says none.
	Open func(*http.Request) bool

	// Basic takes a token for the password of HTTP Basic too, and asks for it, so that a browser can show one.
	Basic bool

	// Refuse answers who is not let through with err, which wraps transport.ErrUnauthenticated.
	Refuse func(w http.ResponseWriter, r *http.Request, err error)
}

// Errors of those who are not let through.
var (
	errNoToken  = fmt.Errorf("%w: no token: want the header Authorization: Bearer TOKEN, or %s: TOKEN", transport.ErrUnauthenticated, Header)
	errBadToken = fmt.Errorf("%w: the token is not known here", transport.ErrUnauthenticated)
)

// Wrap returns next behind g. What it hears of a request has its token removed where that stood in Header.
func (g Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown := g.shown(r)
		r.Header.Del(Header)
		if _, ok := g.Admin.Name(shown); ok {
			still := func() bool { _, ok := g.Admin.Name(shown); return ok }
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), adminKey{}, still)))
			return
		}
		_, known := g.Tokens.Name(shown)
		certified := g.Certificates && r.TLS != nil && len(r.TLS.VerifiedChains) > 0
		if known || certified || g.Open != nil && g.Open(r) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Add("WWW-Authenticate", `Bearer realm="noria"`)
		if g.Basic {
			w.Header().Add("WWW-Authenticate", `Basic realm="noria", charset="UTF-8"`)
		}
		err := errBadToken
		if shown == "" {
			err = errNoToken
		}
		g.Refuse(w, r, err)
	})
}

// shown returns the token that r shows, "" for none.
func (g Guard) shown(r *http.Request) string {
	if token := r.Header.Get(Header); token != "" {
		return token
	}
	if token := fromAuthorization(r.Header.Get("Authorization")); token != "" {
		return token
	}
	if g.Basic {
		if _, password, ok := r.BasicAuth(); ok {
			return password
		}
	}
	return ""
}

// adminKey is the key of a context's value that says whether the admin's token that was shown is one still: a func() bool.
type adminKey struct{}

// Admin says whether r came through a Guard with one of its tokens for those who look after the fleet, which is one still: an
// answer that takes long asks again. Where there are no such tokens nobody has one.
func Admin(r *http.Request) bool {
	still, ok := r.Context().Value(adminKey{}).(func() bool)
	return ok && still()
}
