package middleware

import (
	"context"
	"errors"
	"net/http"

	"github.com/noriahq/noria/transport/api"
)

// HTTPLimits says which limits a request meets: all of them, or it is refused and nothing is taken. None lets it pass. An
// error that wraps ErrCaller is answered with 401, one that passes by itself, such as one with the gRPC status Unavailable, with 503,
// and any other with 500 and a line in the log.
type HTTPLimits func(r *http.Request) ([]Met, error)

// HTTP returns middleware that lets requests pass as limits and c say. The answers to all of them have the headers of
// api.WriteHeaders. Those that are refused get 429 and a problem, RFC 9457, that names the limit; those that cannot be decided
// on, 503. An error wraps ErrConfig.
func HTTP(c Config, limits HTTPLimits) (func(http.Handler) http.Handler, error) {
	c, err := c.withDefaults(limits == nil)
	if err != nil {
		return nil, err
	}
	g := &guard{Config: c}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if g.admit(w, r, limits) {
				next.ServeHTTP(w, r)
			}
		})
	}, nil
}

// admit says whether r may go on. If not it is answered.
func (g *guard) admit(w http.ResponseWriter, r *http.Request, limits HTTPLimits) bool {
	met, err := limits(r)
	if err != nil {
		return g.refuse(w, r, g.unmet(r.Context(), err))
	}
	if len(met) == 0 {
		return true
	}
	v, err := g.decide(r.Context(), met)
	switch {
	case err == nil:
	case r.Context().Err() != nil:
		return g.refuse(w, r, problem{Status: statusClientGone})
	default:
		g.log(r.Context(), err)
		return g.FailOpen || g.refuse(w, r, undecided(err))
	}
	if v.denied >= 0 {
		p := denial(&v)
		api.WriteHeaders(w.Header(), v.applied)
		return g.refuse(w, r, p)
	}
	err = g.hold(r.Context(), v.delay)
	switch {
	case errors.Is(err, ErrQueue):
		return g.refuse(w, r, tooLate(v.delay))
	case err != nil:
		return g.refuse(w, r, problem{Status: statusClientGone})
	}
	api.WriteHeaders(w.Header(), v.applied)
	return true
}

// unmet says what is wrong where it is not known which limits a request meets.
func (g *guard) unmet(ctx context.Context, err error) problem {
	if errors.Is(err, ErrCaller) {
		return problem{Type: kind + "unauthorized", Title: "The credentials are not valid", Status: http.StatusUnauthorized, Detail: err.Error()}
	}
	g.log(ctx, err)
	return undecided(err)
}

// refuse answers r with p, and returns false.
func (g *guard) refuse(w http.ResponseWriter, r *http.Request, p problem) bool {
	if p.Status == statusClientGone {
		w.WriteHeader(p.Status)
		return false
	}
	p.write(w, r)
	return false
}
