package shed

import (
	"math/rand/v2"
	"net/http"
	"strconv"
)

// A Kind is what a request is to a Gate.
type Kind struct {
	Entry    Entry
	Priority Priority
}

// Handler returns a handler that hands requests to h as far as g lets them in, and answers the others: 503, a problem of type
// urn:noria:problem:overloaded, and Retry-After. kind says what a request is, before its body is read.
func Handler(g *Gate, kind func(r *http.Request) Kind, h http.Handler) http.Handler {
	if g == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k := kind(r)
		if !g.Enter(r.Context(), k.Entry, k.Priority) {
			refuse(w, r)
			return
		}
		defer g.Leave()
		h.ServeHTTP(w, r)
	})
}

// body is what those are told whose requests are refused.
const body = `{"type":"urn:noria:problem:overloaded","title":"The node has too much to do","status":503,` +
	`"detail":"overloaded: the node has too much to do; nothing was taken, ask again a little later"}` + "\n"

// refuse answers r. Those who are told to come back do not come all at once.
func refuse(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Content-Type"] = []string{"application/problem+json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["Cache-Control"] = []string{"no-store"}
	h["Retry-After"] = []string{strconv.Itoa(1 + rand.IntN(2))}
	w.WriteHeader(http.StatusServiceUnavailable)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(body)) // an error means that nobody reads the answer
	}
}
