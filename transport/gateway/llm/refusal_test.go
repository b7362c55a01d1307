package llm

import (
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Refusals have the bodies that SDKs make errors of.
func TestWriteRefusalBody(t *testing.T) {
	cases := []struct {
		refusal           Refusal
		openAI, anthropic string
	}{
		{
			Refusal{Status: 400, Message: "model is missing", Param: "model"},
			`{"error":{"message":"model is missing","type":"invalid_request_error","param":"model","code":null}}`,
			`{"type":"error","error":{"type":"invalid_request_error","message":"model is missing"}}`,
		},
		{
			Refusal{Status: 401, Message: "who?"},
			`{"error":{"message":"who?","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`,
			`{"type":"error","error":{"type":"authentication_error","message":"who?"}}`,
		},
		{
			Refusal{Status: 413, Message: "large"},
			`{"error":{"message":"large","type":"invalid_request_error","param":null,"code":"request_too_large"}}`,
			`{"type":"error","error":{"type":"request_too_large","message":"large"}}`,
		},
		{
			Refusal{Status: 429, Message: "later", RequestID: "req_1"},
			`{"error":{"message":"later","type":"requests","param":null,"code":"rate_limit_exceeded"}}`,
			`{"type":"error","error":{"type":"rate_limit_error","message":"later"},"request_id":"req_1"}`,
		},
		{
			Refusal{Status: 429, Message: "later", Tokens: true},
			`{"error":{"message":"later","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`,
			`{"type":"error","error":{"type":"rate_limit_error","message":"later"}}`,
		},
		{
			Refusal{Status: 429, Message: "never", Tokens: true, Hard: true},
			`{"error":{"message":"never","type":"insufficient_quota","param":null,"code":"rate_limit_exceeded"}}`,
			`{"type":"error","error":{"type":"rate_limit_error","message":"never"}}`,
		},
		{
			Refusal{Status: 503, Message: "a \"moment\""},
			`{"error":{"message":"a \"moment\"","type":"server_error","param":null,"code":"service_unavailable"}}`,
			`{"type":"error","error":{"type":"api_error","message":"a \"moment\""}}`,
		},
		{
			Refusal{Status: 504, Message: "slow"},
			`{"error":{"message":"slow","type":"server_error","param":null,"code":null}}`,
			`{"type":"error","error":{"type":"timeout_error","message":"slow"}}`,
		},
	}
	for _, c := range cases {
		for style, want := range map[Style]string{OpenAI: c.openAI, Anthropic: c.anthropic} {
			w := httptest.NewRecorder()
			WriteRefusal(w, style, c.refusal)
			if diff := cmp.Diff(want+"\n", w.Body.String()); diff != "" || w.Code != c.refusal.Status {
				t.Errorf("%v, %+v: status %d, body differs (-want +got):\n%s", style, c.refusal, w.Code, diff)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("%v, %+v: Content-Type %q", style, c.refusal, got)
			}
			id := map[Style]string{OpenAI: "X-Request-Id", Anthropic: "Request-Id"}[style]
			if got := w.Header().Get(id); got != c.refusal.RequestID {
				t.Errorf("%v, %+v: %s %q", style, c.refusal, id, got)
			}
		}
	}
}

// SDKs are told when to come back, never too early, and not to come back where that is no use.
func TestWriteRefusalRetry(t *testing.T) {
	type said struct{ After, AfterMS, Should string }
	cases := []struct {
		after time.Duration
		hard  bool
		want  said
	}{
		{0, false, said{}},
		{1, false, said{After: "1", AfterMS: "1"}},
		{1500 * time.Millisecond, false, said{After: "2", AfterMS: "1500"}},
		{time.Second + 1, false, said{After: "2", AfterMS: "1001"}},
		{time.Minute, false, said{After: "60", AfterMS: "60000"}},
		{time.Minute + 1, false, said{After: "61", AfterMS: "60001", Should: "false"}},
		{0, true, said{Should: "false"}},
		{48 * time.Hour, true, said{After: "172800", AfterMS: "172800000", Should: "false"}},
		{math.MaxInt64, false, said{Should: "false"}},
	}
	for _, c := range cases {
		w := httptest.NewRecorder()
		w.Header().Set("X-Ratelimit-Type", "user")
		WriteRefusal(w, OpenAI, Refusal{Status: http.StatusTooManyRequests, RetryAfter: c.after, Hard: c.hard})
		h := w.Header()
		got := said{After: h.Get("Retry-After"), AfterMS: h.Get("Retry-After-Ms"), Should: h.Get("X-Should-Retry")}
		if diff := cmp.Diff(c.want, got); diff != "" || h.Get("X-Ratelimit-Type") != "user" {
			t.Errorf("after %v, hard %v, differs (-want +got):\n%s", c.after, c.hard, diff)
		}
	}
}

// The families of header fields say what is left, in place of what the upstream says of its own.
func TestWriteHeaders(t *testing.T) {
	now := time.Date(2026, 2, 3, 4, 5, 6, 7, time.FixedZone("", 3600))
	b := Budgets{
		Requests: &Budget{Limit: 60, Remaining: 59, Reset: time.Second},
		Tokens:   &Budget{Limit: 150000, Remaining: -3, Reset: 6 * time.Minute},
		Input:    &Budget{Limit: 9, Remaining: 8, Reset: 19*time.Millisecond + 1},
	}
	cases := []struct {
		style Style
		want  http.Header
	}{
		{OpenAI, http.Header{
			"X-Ratelimit-Limit-Requests": {"60"}, "X-Ratelimit-Remaining-Requests": {"59"}, "X-Ratelimit-Reset-Requests": {"1s"},
			"X-Ratelimit-Limit-Tokens": {"150000"}, "X-Ratelimit-Remaining-Tokens": {"0"}, "X-Ratelimit-Reset-Tokens": {"6m0s"},
		}},
		{Anthropic, http.Header{
			"Anthropic-Ratelimit-Requests-Limit": {"60"}, "Anthropic-Ratelimit-Requests-Remaining": {"59"},
			"Anthropic-Ratelimit-Requests-Reset": {"2026-02-03T03:05:08Z"},
			"Anthropic-Ratelimit-Tokens-Limit":   {"150000"}, "Anthropic-Ratelimit-Tokens-Remaining": {"0"},
			"Anthropic-Ratelimit-Tokens-Reset":       {"2026-02-03T03:11:07Z"},
			"Anthropic-Ratelimit-Input-Tokens-Limit": {"9"}, "Anthropic-Ratelimit-Input-Tokens-Remaining": {"8"},
			"Anthropic-Ratelimit-Input-Tokens-Reset": {"2026-02-03T03:05:07Z"},
		}},
	}
	for _, c := range cases {
		h := http.Header{
			"X-Ratelimit-Limit": {"60"}, "X-Ratelimit-Type": {"user"}, "X-Ratelimit-Limit-Images": {"5"}, "X-Ratelimit-Reset-Tokens": {"1ms"},
			"Anthropic-Ratelimit-Output-Tokens-Limit": {"7"}, "Content-Type": {"application/json"},
		}
		WriteHeaders(h, c.style, now, b)
		want := c.want.Clone()
		want["X-Ratelimit-Limit"], want["X-Ratelimit-Type"], want["Content-Type"] = []string{"60"}, []string{"user"}, []string{"application/json"}
		if diff := cmp.Diff(want, h); diff != "" {
			t.Errorf("%v differs (-want +got):\n%s", c.style, diff)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", -time.Hour: "0s", 1: "1ms", 20 * time.Millisecond: "20ms", math.MaxInt64: "2562047h47m16.854s"} {
		if got := wholeMilliseconds(d).String(); got != want {
			t.Errorf("reset of %v is said as %q, want %q", d, got, want)
		}
	}
}
