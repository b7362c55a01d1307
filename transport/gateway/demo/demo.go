// Package demo is a small upstream that speaks as model servers do, for those who try a gateway without one. It has no
// model: what it answers, how long that takes and what it says that it came to is for its caller to set.
package demo

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/noriahq/noria/transport/gateway/llm"
)

// mostBody is how many bytes a request may have.
const mostBody = 32 << 20

// Config is how a Handler answers where a request does not say otherwise. The zero value is fine.
type Config struct {
	// OutputTokens is how many tokens an answer has, at most as many as its request allows. Default: 12.
	OutputTokens int64

	// InputTokens is how many tokens a request is said to have. Default: an estimate.
	InputTokens int64

	// CachedTokens is how many of those are said to be from a cache. Default: none.
	CachedTokens int64

	// Pace is how long a stream waits before each piece of text, and an answer in one piece in all. Default: not at all.
	Pace time.Duration

	// Key is what clients have to show, as a bearer token or in X-Api-Key. Default: anything does, nothing too.
	Key string
}

// New returns a handler of POST /v1/chat/completions, /v1/responses and /v1/embeddings in the manner of OpenAI and of
// /v1/messages in that of Anthropic, of GET /v1/models, and of GET /healthz.
//
// Header fields of a request change what its answer is: X-Demo-Output-Tokens, X-Demo-Input-Tokens and X-Demo-Cached-Tokens
// say what its usage tells, X-Demo-Usage: none keeps it from telling any; X-Demo-Pieces is in how many pieces a stream
// sends its text, X-Demo-Pace how long it waits before each, such as 50ms; X-Demo-Status fails with that status, and
// X-Demo-Break breaks the connection after so many pieces. What is wrong in them is answered by status 400.
func New(c Config) http.Handler {
	if c.OutputTokens == 0 {
		c.OutputTokens = 12
	}
	h := &handler{config: c}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /v1/models", models)
	for _, path := range []string{"/v1/chat/completions", "/v1/responses", "/v1/embeddings"} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) { h.answer(w, r, llm.OpenAI) })
	}
	mux.HandleFunc("POST /v1/messages", func(w http.ResponseWriter, r *http.Request) { h.answer(w, r, llm.Anthropic) })
	return mux
}

// A handler answers calls.
type handler struct{ config Config }

// answer answers one call.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, s llm.Style) {
	if h.config.Key != "" && keyOf(r) != h.config.Key {
		llm.WriteRefusal(w, s, llm.Refusal{Status: http.StatusUnauthorized, Message: "this key is not that of the upstream"})
		return
	}
	body, err := llm.ReadBody(r.Body, mostBody)
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, llm.ErrTooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		llm.WriteRefusal(w, s, llm.Refusal{Status: status, Message: err.Error()})
		return
	}
	call, _, err := llm.ReadCall(s, r.URL.Path, body, llm.Options{})
	if err != nil {
		llm.WriteRefusal(w, s, llm.Refusal{Status: http.StatusBadRequest, Message: err.Error()})
		return
	}
	plan, err := planOf(r.Header, call, h.config)
	if err != nil {
		llm.WriteRefusal(w, s, llm.Refusal{Status: http.StatusBadRequest, Message: err.Error()})
		return
	}
	plan.asked = body
	plan.run(w, r, s)
}

// run answers r by the plan.
func (p plan) run(w http.ResponseWriter, r *http.Request, s llm.Style) {
	if p.status != 0 {
		llm.WriteRefusal(w, s, llm.Refusal{Status: p.status, Message: "this was asked to fail"})
		return
	}
	to := &sender{plan: p, w: w, ctx: r.Context()}
	switch p.call.Endpoint {
	case llm.ChatCompletions:
		chat(to)
	case llm.Responses:
		responses(to)
	case llm.Embeddings:
		embeddings(to)
	case llm.Messages:
		messages(to)
	case llm.Completions, llm.Other: // have no route
	}
}

// keyOf returns the key that r shows.
func keyOf(r *http.Request) string {
	if key := r.Header.Get("X-Api-Key"); key != "" {
		return key
	}
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

// models answers with the list of models, of which there is one.
func models(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, object{"object": "list", "data": []any{object{"id": "demo", "object": "model", "created": 0, "owned_by": "noria"}}})
}

// object is a JSON object.
type object map[string]any

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // a client that is gone needs no answer
}
