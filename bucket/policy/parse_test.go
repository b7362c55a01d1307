package policy

import (
	"errors"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noriahq/noria/bucket"
)

// A file with everything in it gives what it says.
func TestParse(t *testing.T) {
	p := parsed(t, string(testdata(t, "full.yaml")), nil)
	wantIdentities := Identities{
		Keys: &Keys{File: "/etc/noria/keys.yaml", Header: "X-Api-Key"},
		JWT: &JWT{
			Header: "Authorization", JWKSURL: "https://login.example.com/jwks.json", Refresh: 5 * time.Minute,
			Issuer: "https://login.example.com/", Audience: []string{"api", "chat"}, Algorithms: []string{"ES256", "EdDSA", "RS256"},
			IDClaim: "sub", TierClaim: "plan.name", OrgClaim: "org", Leeway: 30 * time.Second,
		},
		Header:        &TrustedHeader{ID: "X-User", Tier: "X-Tier", Org: "X-Org"},
		AnonymousTier: "anonymous",
	}
	if diff := cmp.Diff(wantIdentities, p.Identities); diff != "" {
		t.Errorf("identities (-want +got):\n%s", diff)
	}
	wantProxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	if !slices.Equal(p.TrustedProxies, wantProxies) || p.IPv6Bits != 64 {
		t.Errorf("trusted proxies are %v and IPv6 bits %d, want %v and 64", p.TrustedProxies, p.IPv6Bits, wantProxies)
	}
	if got, want := limitNames(p.Limits), []string{"ip", "user", "global", "tokens", "slots"}; !slices.Equal(got, want) {
		t.Errorf("limits are %q, want %q", got, want)
	}
	tokens := p.Limits[3]
	if tokens.Unit != LLMTokens || tokens.Durability != bucket.Sync || tokens.OnLost != bucket.Share || tokens.Shadow {
		t.Errorf("limit tokens is %+v", tokens)
	}
	if len(p.Routes) != 1 {
		t.Fatalf("%d routes, want 1", len(p.Routes))
	}
	r := *p.Routes[0]
	if !slices.Equal(r.Limits, p.Limits) {
		t.Errorf("route has the limits %q", limitNames(r.Limits))
	}
	r.Limits = nil
	want := Route{
		Name: "chat", Kind: OpenAI, Hosts: []string{"api.example.com", "*.ai.example.com"}, Path: "/v1", Methods: []string{"POST", "GET"}, Headers: map[string]string{"Authorization": "Bearer sk-upstream"},
		Upstreams: []*url.URL{{Scheme: "http", Host: "10.1.0.1:8000"}, {Scheme: "http", Host: "10.1.0.2:8000"}},
		Health:    HealthCheck{Path: "/healthz", Interval: 5 * time.Second, Timeout: 2 * time.Second}, Retries: 1,
		Timeout: 10 * time.Minute, ReadTimeout: time.Minute, IdleTimeout: 5 * time.Minute, MaxHeader: 32 << 10, MaxBody: 10 << 20,
		Queue: Queue{Wait: 30 * time.Second, Requests: 1000},
		LLM: LLM{DefaultMaxTokens: 1024, CharsPerToken: 4, Tokenizer: "chars", Weights: map[string]Weights{
			"default": {Input: 1000, Output: 4000, Cached: 100}, "gpt-4*": {Input: 10_000, Output: 30_000, Cached: 10_000},
		}},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("route (-want +got):\n%s", diff)
	}
}

// What is left out is what the documentation says: a file of all defaults gives the same as one without them.
func TestDefaults(t *testing.T) {
	p := parsed(t, "limits: {a: {limit: 1/s}}\nroutes: {r: {}, l: {kind: openai, path: /v1}}\n", nil)
	r, l := p.Routes[0], p.Routes[1]
	want := Route{
		Name: "r", Path: "/", Retries: 1, Timeout: time.Minute, ReadTimeout: time.Minute, IdleTimeout: 5 * time.Minute,
		MaxHeader: 32 << 10, MaxBody: 10 << 20, Health: HealthCheck{Interval: 5 * time.Second, Timeout: 2 * time.Second},
		Queue: Queue{Wait: 30 * time.Second, Requests: 1000}, LLM: LLM{DefaultMaxTokens: 1024, CharsPerToken: 4, Tokenizer: "chars"},
	}
	if diff := cmp.Diff(want, *r); diff != "" {
		t.Errorf("route (-want +got):\n%s", diff)
	}
	if l.Timeout != 10*time.Minute {
		t.Errorf("timeout of a route of kind openai is %v, want 10m", l.Timeout)
	}
	if p.IPv6Bits != 64 || p.Identities.AnonymousTier != "anonymous" || p.Identities.Keys != nil || p.Identities.JWT != nil || p.Identities.Header != nil {
		t.Errorf("policy is %+v", p)
	}
}

// An empty file is a policy without limits and routes.
func TestEmpty(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "limits:\nroutes:\nidentities:\n  jwt:\n"} {
		p := parsed(t, text, nil)
		if len(p.Limits)+len(p.Routes) > 0 || p.Route("a", "GET", "/") != nil || p.Identities.JWT != nil {
			t.Errorf("%q gives %+v", text, p)
		}
	}
}

// Each way to be wrong is told at its place, all at once, with what would be right.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse("noria.yaml", b, environment(string(b)))
			if err == nil {
				t.Fatal("is accepted")
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", err.Error()+"\n")
		})
	}
}

// environment returns the variables that a test's file has in comments.
func environment(text string) map[string]string {
	env := map[string]string{}
	for line := range strings.Lines(text) {
		if set, ok := strings.CutPrefix(line, "# env "); ok {
			name, v, _ := strings.Cut(strings.TrimSpace(set), "=")
			env[name] = v
		}
	}
	return env
}

// Of many errors the first ones are told, and how many there are.
func TestManyErrors(t *testing.T) {
	_, err := Parse("f", []byte("limits:\n"+manyBad(50)), nil)
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != maxWrong+1 || !strings.HasSuffix(err.Error(), "f: and 30 more") {
		t.Errorf("Parse: %v", err)
	}
	for _, one := range joined.Unwrap() {
		var e *Error
		if !errors.As(one, &e) || e.File != "f" {
			t.Errorf("%v is no *Error of the file", one)
		}
	}
}

// manyBad returns that many wrong limits.
func manyBad(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("  l" + strings.Repeat("x", i%40) + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ": {limit: no}\n")
	}
	return b.String()
}

// What is too large is refused before it costs anything.
func TestBounds(t *testing.T) {
	for name, text := range map[string]string{
		"line":    "limits: " + strings.Repeat("x", 5000),
		"nesting": strings.Repeat("[", 200),
		"blocks":  "limits:\n  a:\n    " + strings.Repeat("- ", 100) + "a\n",
		"value":   "limits: {a: {when: " + strings.Repeat("x", 2000) + "}}",
		"list":    "trusted_proxies: [" + strings.Repeat("10.0.0.1, ", 101) + "10.0.0.1]",
		"names":   "limits:\n" + manyBad(1040),
		"file":    strings.Repeat("#\n", 100_000),
		"name":    "limits: {" + strings.Repeat("x", 49) + ": {limit: 1/s}}",
	} {
		if _, err := Parse("f", []byte(text), nil); err == nil || !strings.Contains(err.Error(), "at most") &&
			!strings.Contains(err.Error(), "more than") && !strings.Contains(err.Error(), "want 1 to 48") {
			t.Errorf("%s: %v, want that it is too much", name, err)
		}
	}
}
