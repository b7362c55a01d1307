package demo_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport/gateway/demo"
	"github.com/noriahq/noria/transport/gateway/llm"
)

// ask asks a demo and returns its answer. header has pairs of name and value.
func ask(t *testing.T, c demo.Config, path, body string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	demo.New(c).ServeHTTP(w, r)
	return w.Result()
}

// A call is what a test asks of one endpoint.
type call struct {
	style        llm.Style
	path, body   string
	stream, text bool // whether it streams, and has text
}

// calls returns calls of all endpoints.
func calls() []call {
	const message = `"messages":[{"role":"user","content":"hello"}]`
	return []call{
		{style: llm.OpenAI, path: "/v1/chat/completions", body: `{"model":"m",` + message + `}`, text: true},
		{
			style: llm.OpenAI, path: "/v1/chat/completions", body: `{"model":"m","stream":true,"stream_options":{"include_usage":true},` + message + `}`,
			stream: true, text: true,
		},
		{style: llm.OpenAI, path: "/v1/responses", body: `{"model":"m","input":"hello"}`, text: true},
		{style: llm.OpenAI, path: "/v1/responses", body: `{"model":"m","input":"hello","stream":true}`, stream: true, text: true},
		{style: llm.OpenAI, path: "/v1/embeddings", body: `{"model":"m","input":["hello"]}`},
		{style: llm.Anthropic, path: "/v1/messages", body: `{"model":"m","max_tokens":100,` + message + `}`, text: true},
		{style: llm.Anthropic, path: "/v1/messages", body: `{"model":"m","max_tokens":100,"stream":true,` + message + `}`, stream: true, text: true},
	}
}

// usageOf returns what a meter says that an answer came to.
func usageOf(t *testing.T, c call, res *http.Response) (u llm.Usage) {
	t.Helper()
	read, _, err := llm.ReadCall(c.style, c.path, []byte(c.body), llm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	body := llm.NewMeter(c.style, read, res.Header, res.Body, func(told llm.Usage) { u = told })
	if _, err := io.ReadAll(body); err != nil {
		t.Fatal(err)
	}
	return u
}

// Answers of all endpoints, in one piece and streamed, tell the usage that was set, and nothing if that was.
func TestUsage(t *testing.T) {
	for _, c := range calls() {
		res := ask(t, demo.Config{CachedTokens: 3}, c.path, c.body, "X-Demo-Input-Tokens", "41", "X-Demo-Output-Tokens", "20")
		kind := "application/json"
		if c.stream {
			kind = "text/event-stream; charset=utf-8"
		}
		if got := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || got != kind {
			t.Errorf("%s %s: status %d, Content-Type %q, want 200, %q", c.path, c.body, res.StatusCode, got, kind)
		}
		want := llm.Usage{Input: 41, Cached: 3, Output: 20, Exact: true}
		if !c.text {
			want.Cached, want.Output = 0, 0
		}
		if diff := cmp.Diff(want, usageOf(t, c, res)); diff != "" {
			t.Errorf("%s %s differs (-want +got):\n%s", c.path, c.body, diff)
		}
		res = ask(t, demo.Config{}, c.path, c.body, "X-Demo-Usage", "none", "X-Demo-Output-Tokens", "20")
		if u := usageOf(t, c, res); u.Exact || c.text && u.Output != 20 {
			t.Errorf("%s %s without usage: %+v, want 20 tokens counted", c.path, c.body, u)
		}
	}
}

// An answer is no longer than its request allows, and says so.
func TestMaxTokens(t *testing.T) {
	res := ask(t, demo.Config{OutputTokens: 50}, "/v1/chat/completions", `{"model":"m","max_tokens":7}`)
	var answer struct {
		Choices []struct {
			Message struct{ Content string }
			Finish  string `json:"finish_reason"`
		}
		Usage struct {
			Completion int `json:"completion_tokens"`
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || len(answer.Choices) != 1 {
		t.Fatalf("error %v, %d choices", err, len(answer.Choices))
	}
	if c := answer.Choices[0]; answer.Usage.Completion != 7 || c.Finish != "length" || len(c.Message.Content) != 4*7 {
		t.Errorf("%d tokens, ended for %q, text %q", answer.Usage.Completion, c.Finish, c.Message.Content)
	}
}

// A stream comes in as many pieces as were asked for, at the pace that was, and breaks where it was to.
func TestStream(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const body = `{"model":"m","stream":true}`
		begin := time.Now()
		res := ask(t, demo.Config{}, "/v1/chat/completions", body, "X-Demo-Pieces", "5", "X-Demo-Pace", "300ms")
		if took := time.Since(begin); took != 1500*time.Millisecond {
			t.Errorf("5 pieces took %v, want 1.5s", took)
		}
		text, err := io.ReadAll(res.Body)
		if got := strings.Count(string(text), `"delta":{"content":"`); got != 1+5 || err != nil {
			t.Errorf("%d pieces in %s, want 5, and one that begins", got, text)
		}
		defer func() {
			if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // nobody wraps what is thrown
				t.Errorf("a stream that is to break panics with %v, want http.ErrAbortHandler", p)
			}
		}()
		ask(t, demo.Config{}, "/v1/chat/completions", body, "X-Demo-Pieces", "5", "X-Demo-Break", "2")
		t.Error("a stream that is to break does not")
	})
}

// Nothing goes on for a client that is gone.
func TestClientGone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, c := range calls() {
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, c.path, strings.NewReader(c.body))
			r.Header.Set("X-Demo-Pace", "400ms")
			w := httptest.NewRecorder()
			demo.New(demo.Config{}).ServeHTTP(w, r)
		}
		if ctx.Err() == nil {
			t.Error("all calls were answered before the client left")
		}
	})
}

// What is wrong is answered in the shape of the endpoint's own errors.
func TestRefusals(t *testing.T) {
	cases := []struct {
		name   string
		config demo.Config
		body   string
		header []string
		status int
		words  string
	}{
		{"failure", demo.Config{}, `{"model":"m"}`, []string{"X-Demo-Status", "503"}, 503, "this was asked to fail"},
		{"body", demo.Config{}, `{`, nil, 400, "the body is not valid JSON"},
		{"no key", demo.Config{Key: "k"}, `{"model":"m"}`, nil, 401, "not that of the upstream"},
		{"wrong key", demo.Config{Key: "k"}, `{"model":"m"}`, []string{"Authorization", "Bearer no"}, 401, "not that of the upstream"},
		{"tokens", demo.Config{}, `{"model":"m"}`, []string{"X-Demo-Output-Tokens", "-1"}, 400, "X-Demo-Output-Tokens is"},
		{"pace", demo.Config{}, `{"model":"m"}`, []string{"X-Demo-Pace", "2h"}, 400, "X-Demo-Pace is"},
		{"status", demo.Config{}, `{"model":"m"}`, []string{"X-Demo-Status", "200"}, 400, "X-Demo-Status is"},
		{"usage", demo.Config{}, `{"model":"m"}`, []string{"X-Demo-Usage", "some"}, 400, "X-Demo-Usage is"},
	}
	for _, path := range []string{"/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/messages"} {
		for _, c := range cases {
			res := ask(t, c.config, path, c.body, c.header...)
			text, err := io.ReadAll(res.Body)
			if res.StatusCode != c.status || !strings.Contains(string(text), c.words) || err != nil {
				t.Errorf("%s: %s: status %d, %s, want %d, %q", c.name, path, res.StatusCode, text, c.status, c.words)
			}
			if got := strings.HasPrefix(string(text), `{"type":"error"`); got != (path == "/v1/messages") {
				t.Errorf("%s: %s: %s is of the other style", c.name, path, text)
			}
		}
	}
	for _, name := range []string{"Authorization", "X-Api-Key"} {
		key := map[string]string{"Authorization": "Bearer k", "X-Api-Key": "k"}[name]
		if res := ask(t, demo.Config{Key: "k"}, "/v1/responses", `{"model":"m"}`, name, key); res.StatusCode != http.StatusOK {
			t.Errorf("the right key in %s: status %d, want 200", name, res.StatusCode)
		}
	}
}

// Embeddings come for each input, in base64 where a client asks for it.
func TestEmbeddings(t *testing.T) {
	res := ask(t, demo.Config{}, "/v1/embeddings", `{"model":"m","input":["a","b"],"encoding_format":"base64"}`)
	text, err := io.ReadAll(res.Body)
	if got := strings.Count(string(text), `"embedding":"AACAPgAAAL8AAEA/"`); got != 2 || err != nil {
		t.Errorf("%d embeddings in %s, want 2", got, text)
	}
}
