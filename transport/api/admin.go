package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/pprof"

	"github.com/noriahq/noria/cluster"
)

// NewAdmin returns what those who look after a node ask it, over l:
//
//	/healthz       200 while the process answers
//	/readyz        200 once the node has joined and serves, else 503; the body says why
//	/status        cluster.Status as JSON
//	/debug/pprof/  profiles
//
// More may be added to it. It is not for the public.
func NewAdmin(l Limiter) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { readyz(w, l.Status()) })
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { statusJSON(w, l.Status()) })
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	return mux
}

// readyz says whether a node with status s serves.
func readyz(w http.ResponseWriter, s cluster.Status) {
	if !s.Ready {
		why := cluster.ErrNotReady.Error()
		switch {
		case len(s.Members) == 0: // it says it all
		case s.Role == cluster.RoleGateway && !s.HasHolder():
			why = "it is a gateway and knows no holder"
		default:
			why = "it is leaving, or has not agreed with the others yet"
		}
		w.Header().Set(headerRetryAfter, "1")
		say(w, http.StatusServiceUnavailable, fmt.Sprintf("not ready: %s: %s", s.Node, why))
		return
	}
	say(w, http.StatusOK, fmt.Sprintf("ready: %s, one of %d in %s", s.Node, len(s.Members), s.Label))
}

// statusJSON answers with s, for people and programs.
func statusJSON(w http.ResponseWriter, s cluster.Status) {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil { // cannot be: s is strings and numbers
		say(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, append(b, '\n'))
}

// say answers with a line of text.
func say(w http.ResponseWriter, status int, line string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, line) // an error means that nobody reads the answer
}
