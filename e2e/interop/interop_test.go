package interop

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// users are the keys of the tests: those with limits have a case each.
func users() []string {
	return []string{"plenty.all", "slow.openai", "slow.anthropic", "few.openai", "few.anthropic", "tokens.openai", "tokens.anthropic"}
}

// What is asked through the SDKs is answered as without a gateway, usage and all, and is told of in the headers.
func TestSDKs(t *testing.T) {
	n := findNode(t)
	url := startGateway(t, users()...)
	t.Run("answers", func(t *testing.T) { testAnswers(t, n, url) })
	t.Run("retries", func(t *testing.T) { testRetries(t, n, url) })
	t.Run("quotas", func(t *testing.T) { testQuotas(t, n, url) })
	t.Run("tokens", func(t *testing.T) { testTokens(t, n, url) })
	t.Run("errors", func(t *testing.T) { testErrors(t, n, url) })
}

// text is what the demo says with 20 tokens.
const text = "The wheel turns, its buckets fill, the water climbs and runs away. The wheel tur"

// testAnswers checks answers that come.
func testAnswers(t *testing.T, n node, url string) {
	chat := map[string]any{
		"prompt_tokens": 41.0, "completion_tokens": 20.0, "total_tokens": 61.0,
		"prompt_tokens_details":     map[string]any{"cached_tokens": 3.0, "audio_tokens": 0.0},
		"completion_tokens_details": map[string]any{"reasoning_tokens": 0.0},
	}
	responses := map[string]any{
		"input_tokens": 41.0, "output_tokens": 20.0, "total_tokens": 61.0,
		"input_tokens_details": map[string]any{"cached_tokens": 3.0}, "output_tokens_details": map[string]any{"reasoning_tokens": 0.0},
	}
	messages := map[string]any{"input_tokens": 38.0, "cache_creation_input_tokens": 0.0, "cache_read_input_tokens": 3.0, "output_tokens": 20.0}
	vector := []any{0.25, -0.5, 0.75}
	cases := []struct {
		name string
		want map[string]any
	}{
		{"openai/chat", map[string]any{"text": text, "usage": chat}},
		{"openai/stream", map[string]any{"text": text, "finish": []any{"stop"}, "bare": 0.0, "usage": nil}},
		{"openai/stream with usage", map[string]any{"text": text, "finish": []any{"stop"}, "bare": 1.0, "usage": chat}},
		{"openai/responses", map[string]any{"text": text, "usage": responses}},
		{"openai/responses stream", map[string]any{"text": text, "type": "response.completed", "usage": responses}},
		{"openai/embeddings", map[string]any{"vectors": []any{vector, vector}, "usage": map[string]any{"prompt_tokens": 41.0, "total_tokens": 41.0}}},
		{"anthropic/messages", map[string]any{"text": text, "usage": messages}},
		{"anthropic/stream", map[string]any{"text": text, "finish": []any{"end_turn"}, "usage": messages}},
	}
	for _, c := range cases {
		o := n.run(t, url, "plenty.all", c.name)
		if o.Error != nil || len(o.Attempts) != 1 {
			t.Errorf("%s: error %+v after %d attempts, want none and 1", c.name, o.Error, len(o.Attempts))
			continue
		}
		if diff := cmp.Diff(c.want, o.Answer); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", c.name, diff)
		}
		limit := "x-ratelimit-limit-requests"
		if strings.HasPrefix(c.name, "anthropic/") {
			limit = "anthropic-ratelimit-requests-limit"
		}
		if got := o.Attempts[0].Headers[limit]; got != "1000" {
			t.Errorf("%s: %s %q, want 1000; all: %v", c.name, limit, got, o.Attempts[0].Headers)
		}
	}
}

// testRetries checks that an SDK whose call is denied comes back by itself, not before the time that it was told, and gets
// its answer.
func testRetries(t *testing.T, n node, url string) {
	for _, sdk := range []string{"openai", "anthropic"} {
		denied := false
		for range 5 { // on a machine so slow that the second call finds a new token
			o := n.run(t, url, "slow."+sdk, sdk+"/retry")
			if o.Error != nil || o.Answer["answers"] != 2.0 {
				t.Fatalf("%s: error %+v, answer %v, want both calls answered", sdk, o.Error, o.Answer)
			}
			if denied = denials(t, sdk, o.Attempts); denied {
				break
			}
		}
		if !denied {
			t.Errorf("%s: nothing was ever denied by a limit of 1/3s", sdk)
		}
	}
}

// denials checks what was sent after calls that were denied, and tells whether there were any. The two calls of a case take
// turns: what is sent next after a denial is its retry, or later.
func denials(t *testing.T, sdk string, attempts []attempt) bool {
	t.Helper()
	// Node's timers count in whole milliseconds from one that had begun before.
	const tick = 2
	found := false
	for i, a := range attempts {
		if a.Status != 429 {
			continue
		}
		found = true
		ms, err := strconv.ParseFloat(a.Headers["retry-after-ms"], 64)
		s, err2 := strconv.ParseFloat(a.Headers["retry-after"], 64)
		if err != nil || err2 != nil || ms <= 0 || s*1000 < ms || s*1000 >= ms+1000 || a.Headers["x-should-retry"] != "" {
			t.Errorf("%s: a denial says %v, want retry-after and retry-after-ms of one time", sdk, a.Headers)
		}
		if a.Headers["x-ratelimit-type"] != "user" {
			t.Errorf("%s: a denial by x-ratelimit-type %q, want user", sdk, a.Headers["x-ratelimit-type"])
		}
		for _, next := range attempts[i+1:] {
			if next.Sent > a.Answered && next.Sent < a.Answered+ms-tick {
				t.Errorf("%s: came back %.1f ms after a denial that said %.0f ms", sdk, next.Sent-a.Answered, ms)
			}
		}
	}
	return found
}

// testQuotas checks that an SDK does not come back where waiting is no use.
func testQuotas(t *testing.T, n node, url string) {
	for sdk, want := range map[string]failure{
		"openai":    {Class: "RateLimitError", Status: 429, Type: "insufficient_quota", Code: "rate_limit_exceeded"},
		"anthropic": {Class: "RateLimitError", Status: 429, Type: "rate_limit_error"},
	} {
		o := n.run(t, url, "few."+sdk, sdk+"/quota")
		checkFailure(t, sdk+"/quota", want, o, 2)
		if len(o.Attempts) == 2 {
			got := fmt.Sprintf("%d %d %s", o.Attempts[0].Status, o.Attempts[1].Status, o.Attempts[1].Headers["x-should-retry"])
			if want := "200 429 false"; got != want {
				t.Errorf("%s: two attempts with %s, want %s", sdk, got, want)
			}
		}
	}
}

// testTokens checks that calls are charged what they came to and not what was expected of them, also where they stream.
func testTokens(t *testing.T, n node, url string) {
	for sdk, want := range map[string]failure{
		"openai":    {Class: "RateLimitError", Status: 429, Type: "insufficient_quota", Code: "rate_limit_exceeded"},
		"anthropic": {Class: "RateLimitError", Status: 429, Type: "rate_limit_error"},
	} {
		o := n.run(t, url, "tokens."+sdk, sdk+"/tokens")
		checkFailure(t, sdk+"/tokens", want, o, len(o.Attempts))
		if last := o.Attempts[len(o.Attempts)-1]; last.Headers["x-ratelimit-type"] != "tokens" {
			t.Errorf("%s: denied by x-ratelimit-type %q, want tokens", sdk, last.Headers["x-ratelimit-type"])
		}
	}
}

// testErrors checks what SDKs make of what is refused.
func testErrors(t *testing.T, n node, url string) {
	cases := []struct {
		name, key string
		want      failure
	}{
		{"openai/bad request", "plenty.all", failure{Class: "BadRequestError", Status: 400, Type: "invalid_request_error", Param: "max_tokens"}},
		{"openai/bad key", "nobody's", failure{Class: "AuthenticationError", Status: 401, Type: "invalid_request_error", Code: "invalid_api_key"}},
		{"openai/upstream fails", "plenty.all", failure{Class: "InternalServerError", Status: 500, Type: "server_error"}},
		{"anthropic/bad request", "plenty.all", failure{Class: "BadRequestError", Status: 400, Type: "invalid_request_error"}},
		{"anthropic/bad key", "nobody's", failure{Class: "AuthenticationError", Status: 401, Type: "authentication_error"}},
		{"anthropic/upstream fails", "plenty.all", failure{Class: "InternalServerError", Status: 500, Type: "api_error"}},
	}
	for _, c := range cases {
		checkFailure(t, c.name, c.want, n.run(t, url, c.key, c.name), 1)
	}
}

// checkFailure checks the error of an outcome, whose message may be any, and how many attempts there were.
func checkFailure(t *testing.T, name string, want failure, o outcome, attempts int) {
	t.Helper()
	if o.Error == nil {
		t.Errorf("%s: answer %v, want an error", name, o.Answer)
		return
	}
	got := *o.Error
	if !strings.HasPrefix(got.Message, strconv.Itoa(want.Status)+" ") || len(o.Attempts) != attempts {
		t.Errorf("%s: %d attempts, want %d; message %q", name, len(o.Attempts), attempts, got.Message)
	}
	got.Message = ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", name, diff)
	}
}
