package auth_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport/auth"
	"github.com/noriahq/noria/transport/gateway/identity"
)

// parse returns the policy in text.
func parse(t *testing.T, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("noria.yaml", []byte(text), nil)
	if err != nil {
		t.Fatalf("policy: %v", err)
	}
	return p
}

// newHandler returns a handler of l with the policy in text.
func newHandler(t *testing.T, l auth.Limiter, text string) *auth.Handler {
	t.Helper()
	h, err := auth.New(auth.Config{Policy: parse(t, text), Limiter: l})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return h
}

// ask sends a sub-request from a proxy on this machine, with lines of name: value as header.
func ask(t *testing.T, h http.Handler, method, target string, lines ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, nil).WithContext(t.Context())
	r.RemoteAddr = "127.0.0.1:4711"
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// brief returns an answer in a line: status, the limit that denied, Retry-After, the problem's type and denied_by.
func brief(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var problem struct {
		Type     string `json:"type"`
		Status   int    `json:"status"`
		DeniedBy string `json:"denied_by"`
	}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || problem.Status != w.Code {
			t.Errorf("body %s: %v, want a problem of status %d", w.Body, err, w.Code)
		}
	}
	h := w.Header()
	return strings.TrimSpace(fmt.Sprintf("%d %s %s %s %s", w.Code, h.Get("X-RateLimit-Type"), h.Get("Retry-After"), strings.TrimPrefix(problem.Type, "urn:noria:problem:"), problem.DeniedBy))
}

const twoLimits = `
trusted_proxies: [127.0.0.0/8]
limits:
  ip: {key: client.ip, limit: 2/m}
  site: {key: host, limit: 3/h}
  try: {key: client.ip, limit: 1/h, shadow: true}
routes:
  web: {path: /web, limits: [ip, site]}
  tried: {path: /tried, limits: [try]}
  open: {path: /open}
`

// Requests are told from each other by what the proxy says of them, and the answer is the limits': status, headers and body.
func TestAnswers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a")
		h := newHandler(t, c.Node("a"), twoLimits)
		for i, s := range []struct{ method, target, client, want string }{
			{"GET", "/v1/auth/web", "192.0.2.1", "200"},
			{"HEAD", "/v1/auth/web", "192.0.2.1", "200"},
			{"GET", "/v1/auth/web", "192.0.2.1", "429 ip 30 denied ip"},
			{"POST", "/v1/auth/web?deny=403", "192.0.2.1", "403 ip 30 denied ip"},
			{"HEAD", "/v1/auth/web", "192.0.2.1", "429 ip 30"},
			{"GET", "/v1/auth/web?deny=429", "192.0.2.2", "200"},
			{"GET", "/v1/auth/web", "192.0.2.2", "429 site 1200 denied site"},
			{"GET", "/v1/auth/web?deny=500", "192.0.2.2", "400   bad-request"},
			{"GET", "/v1/auth/web?deny=x", "192.0.2.2", "400   bad-request"},
			{"GET", "/v1/auth/wab", "192.0.2.2", "404   no-route"},
			{"GET", "/v1/auth/web/", "192.0.2.2", "404   no-route"},
			{"GET", "/v1/auth/", "192.0.2.2", "404   no-route"},
			{"DELETE", "/v1/auth/open", "192.0.2.2", "200"},
		} {
			w := ask(t, h, s.method, s.target, "X-Forwarded-For: "+s.client)
			if got := brief(t, w); got != s.want {
				t.Errorf("%d. %s %s of %s is %q, want %q", i, s.method, s.target, s.client, got, s.want)
			}
		}
	})
}

// The headers are those of all answers of a node.
func TestHeaders(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a")
		h := newHandler(t, c.Node("a"), twoLimits)
		got := ask(t, h, "GET", "/v1/auth/web", "X-Real-IP: 192.0.2.1").Header()
		want := http.Header{
			"Cache-Control": {"no-store"}, "Content-Length": {"0"},
			"Ratelimit": {`"ip";r=1;t=30, "site";r=2;t=1200`}, "Ratelimit-Policy": {`"ip";q=2;w=60, "site";q=3;w=3600`},
			"X-Ratelimit-Limit": {"2"}, "X-Ratelimit-Remaining": {"1"}, "X-Ratelimit-Reset": {"30"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("headers differ (-want +got):\n%s", diff)
		}
		ask(t, h, "GET", "/v1/auth/tried", "X-Real-IP: 192.0.2.1")
		if w := ask(t, h, "GET", "/v1/auth/tried", "X-Real-IP: 192.0.2.1"); w.Code != 200 || w.Header().Get("X-RateLimit-Shadow") != "try" {
			t.Errorf("a shadow limit that is reached: %d, %v, want 200 and its name in X-RateLimit-Shadow", w.Code, w.Header())
		}
	})
}

// A limit with a queue holds the answer until the request's turn, and no longer than the route says.
func TestQueue(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a")
		h := newHandler(t, c.Node("a"), `
limits: {all: {limit: 1/s burst 1 queue 9}}
routes: {web: {limits: [all], queue: {wait: 2s}}}
`)
		for i, want := range []string{"200", "200", "200", "200"} {
			began := time.Now()
			if got := brief(t, ask(t, h, "GET", "/v1/auth/web")); got != want || i > 0 && time.Since(began) != time.Second {
				t.Errorf("request %d: %q after %v, want %q in its turn", i, got, time.Since(began), want)
			}
		}
		for range 2 {
			go ask(t, h, "GET", "/v1/auth/web")
		}
		time.Sleep(100 * time.Millisecond)
		if got := brief(t, ask(t, h, "GET", "/v1/auth/web?deny=403")); got != "403  3 queue-full" {
			t.Errorf("the third at once is %q, want 403, for its turn comes after more than 2s", got)
		}
		time.Sleep(5 * time.Second) // for the two
	})
}

// Bad credentials are told as such, with what would do.
func TestCredentials(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a")
		file := filepath.Join(t.TempDir(), "keys.yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, "keys: [{sha256: %s, id: alice}]\n", identity.HashKey("sesame")), 0o600); err != nil {
			t.Fatal(err)
		}
		h := newHandler(t, c.Node("a"), fmt.Sprintf(`
identities: {keys: {file: %q}}
limits: {user: {key: identity.id, limit: quota 1}}
routes: {web: {limits: [user]}}
`, file))
		for i, s := range []struct{ line, want string }{
			{"X-Api-Key: sesame", "200"},
			{"Authorization: Bearer sesame", "429 user 86400 denied user"},
			{"X-Api-Key: simsim", "401   unauthorized"},
			{"Accept: */*", "200"}, // anonymous
		} {
			w := ask(t, h, "GET", "/v1/auth/web", s.line)
			if got := brief(t, w); got != s.want {
				t.Errorf("%d. with %s: %q, want %q", i, s.line, got, s.want)
			}
			if (w.Code == 401) != strings.Contains(w.Header().Get("WWW-Authenticate"), "invalid_token") {
				t.Errorf("%d. with %s: %d has WWW-Authenticate %q", i, s.line, w.Code, w.Header().Get("WWW-Authenticate"))
			}
		}
	})
}

// What a sub-request cannot hold is refused where the route is for nothing else, and told where it is a gateway's.
func TestUnfit(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a")
		const limits = `
limits:
  slots: {unit: concurrency, limit: 5}
`
		_, err := auth.New(auth.Config{Limiter: c.Node("a"), Policy: parse(t, limits+"routes: {web: {limits: [slots]}}\n")})
		if err == nil || !strings.Contains(err.Error(), "routes.web has the limit slots of concurrency") {
			t.Errorf("New is %v, want an error about routes.web and slots", err)
		}
		h := newHandler(t, c.Node("a"), limits+"routes: {web: {upstreams: ['http://127.0.0.1:1'], limits: [slots]}}\n")
		w := ask(t, h, "GET", "/v1/auth/web")
		if got := brief(t, w); got != "404   no-route" || !strings.Contains(w.Body.String(), "slots of concurrency") {
			t.Errorf("a gateway's route with slots: %q, %s", got, w.Body)
		}
	})
}

// A new policy decides from its use on; one that cannot be used changes nothing, and none is none.
func TestChange(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a")
		h, err := auth.New(auth.Config{Limiter: c.Node("a")})
		if err != nil {
			t.Fatal(err)
		}
		step := func(text, want string) {
			t.Helper()
			var p *policy.Policy
			if text != "" {
				p = parse(t, text)
			}
			if use, err := h.Prepare(p); err == nil {
				use()
			}
			if got := brief(t, ask(t, h, "GET", "/v1/auth/web")); got != want {
				t.Errorf("with %q the answer is %q, want %q", text, got, want)
			}
		}
		step("", "404   no-route")
		step("limits: {all: {limit: quota 1}}\nroutes: {web: {limits: [all]}}\n", "200")
		step("identities: {keys: {file: /does/not/exist}}\nroutes: {web: {}}\n", "429 all 86400 denied all")
		step("routes: {web: {}}\n", "200")
		step("", "404   no-route")
	})
}

// While the holder is lost a limit that says deny answers 503, and one that says allow 200.
func TestHolderLost(t *testing.T) {
	for _, rule := range []struct {
		onLost string
		want   int
	}{{"deny", 503}, {"allow", 200}} {
		t.Run(rule.onLost, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				c := clustertest.Start(t, "a", "b", "c")
				h := newHandler(t, c.Node("a"), fmt.Sprintf(`
limits: {user: {key: [header.X-Part], limit: 2/h, on_lost: %s}}
routes: {web: {limits: [user]}}
`, rule.onLost))
				c.Cut("a")
				time.Sleep(10 * time.Second)
				lost := 0
				for i := range 20 {
					w := ask(t, h, "GET", "/v1/auth/web", fmt.Sprintf("X-Part: %d", i))
					if w.Code == rule.want {
						lost++
					}
					if w.Code == 503 && (w.Header().Get("Retry-After") == "" || w.Header().Get("X-RateLimit-Type") != "degraded-user") {
						t.Errorf("503 with %v, want Retry-After and degraded-user in X-RateLimit-Type", w.Header())
					}
				}
				if lost != 20 {
					t.Errorf("%d of 20 requests on the lesser side of a cut were answered with %d, want all", lost, rule.want)
				}
			})
		})
	}
}

// Who forgot trusted_proxies reads it in the log, once.
func TestWarns(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a")
		var text strings.Builder
		h, err := auth.New(auth.Config{
			Limiter: c.Node("a"), Policy: parse(t, "routes: {web: {}}\n"), Logger: slog.New(slog.NewTextHandler(&text, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			ask(t, h, "GET", "/v1/auth/web", "X-Forwarded-For: 192.0.2.1")
		}
		if n := strings.Count(text.String(), "trusted_proxies"); n != 1 {
			t.Errorf("the log has %d lines about trusted_proxies, want 1:\n%s", n, &text)
		}
	})
}
