package interop

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/e2e/harness"
	"github.com/noriahq/noria/transport/auth"
	"github.com/noriahq/noria/transport/gateway/identity"
)

// asks is what the nodes go by that proxies ask.
const asks = `
trusted_proxies: [127.0.0.0/8]
identities:
  keys: {file: %q}
limits:
  user: {key: header.X-User, limit: %s, on_lost: allow}
  reports: {key: path, limit: 1/h, on_lost: allow, when: path == "/reports" && method == "PUT" && host == "shop.example"}
routes:
  web: {limits: [user, reports]}
`

// A shop is an app behind a proxy that asks a fleet.
type shop struct {
	t      *testing.T
	fleet  *harness.Fleet
	policy string       // its file
	keys   string       // the file of API keys
	dir    string       // of the proxy
	addr   string       // of the proxy
	seen   atomic.Int64 // requests that came as far as the app
	places *strings.Replacer
}

// newShop starts a fleet and an app, and chooses the proxy's address.
func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, dir: t.TempDir(), addr: harness.FreeAddr(t)}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.seen.Add(1)
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
	}))
	t.Cleanup(app.Close)
	dir := t.TempDir()
	s.policy, s.keys = filepath.Join(dir, "noria.yaml"), filepath.Join(dir, "keys.yaml")
	write(t, s.keys, fmt.Sprintf("keys: [{sha256: %s, id: alice}]\n", identity.HashKey("sesame")))
	write(t, s.policy, fmt.Sprintf(asks, s.keys, "3/h"))
	s.fleet = harness.Start(t, 3, harness.Options{Args: []string{"--config", s.policy}})
	nodes := s.fleet.Alive()
	s.places = strings.NewReplacer(
		"127.0.0.1:8000", s.addr, "http://:8000", "http://"+s.addr[strings.LastIndexByte(s.addr, ':'):], "127.0.0.1:8089", harness.FreeAddr(t), "127.0.0.1:9000", app.Listener.Addr().String(),
		"127.0.0.1:8083", nodes[0].Addr.API, "127.0.0.1:8093", nodes[1].Addr.API, "127.0.0.1:8103", nodes[2].Addr.API,
	)
	return s
}

// recipe copies a file of the recipe into the proxy's folder, with the addresses of this test, and returns its path.
func (s *shop) recipe(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.dir, filepath.Base(name))
	if err := os.WriteFile(path, []byte(s.places.Replace(string(text))), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// A reply is what the end client gets.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request through the proxy, with lines of name: value as header.
func (s *shop) do(method, path, body string, lines ...string) reply {
	s.t.Helper()
	return s.send("http://"+s.addr, method, path, body, lines...)
}

// send sends a request to a server.
func (s *shop) send(server, method, path, body string, lines ...string) reply {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, server+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Host = "shop.example"
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	client := &http.Client{Timeout: hang, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{res.StatusCode, res.Header, string(b)}
}

// denied checks that r is a denial by the limit, as the end client is to see it.
func (s *shop) denied(what string, r reply, limit string) {
	s.t.Helper()
	after, err := strconv.Atoi(r.header.Get("Retry-After"))
	if r.status != 429 || r.header.Get("X-RateLimit-Type") != limit || err != nil || after < 1 || after > 3600 || r.header.Get("RateLimit") == "" || !strings.Contains(r.body, `"denied_by":"`+limit+`"`) {
		s.t.Errorf("%s: %d %v %s, want 429 by %s with Retry-After, RateLimit and a body that says so", what, r.status, r.header, r.body, limit)
	}
}

// run checks all that a recipe promises.
func (s *shop) run() {
	s.t.Run("limits", s.testLimits)
	s.t.Run("claims", s.testClaims)
	s.t.Run("credentials", s.testCredentials)
	s.t.Run("kill", s.testKill)
	s.t.Run("reload", s.testReload)
}

// testLimits checks that what may go ahead reaches the app as it is, and what may not does not.
func (s *shop) testLimits(t *testing.T) {
	for i := range 3 {
		r := s.do("POST", "/a?b=c", "hello", "X-User: alice")
		if r.status != 200 || r.body != "POST /a?b=c hello" {
			t.Errorf("request %d: %d %s, want 200 of the app", i, r.status, r.body)
		}
		if got, want := r.header.Get("X-RateLimit-Remaining"), strconv.Itoa(2-i); got != want || !strings.HasPrefix(r.header.Get("RateLimit"), `"user";r=`+want) {
			t.Errorf("request %d: X-RateLimit-Remaining %q, RateLimit %q, want %s left of user", i, got, r.header.Get("RateLimit"), want)
		}
	}
	before := s.seen.Load()
	s.denied("the fourth of alice", s.do("GET", "/a", "", "X-User: alice"), "user")
	if got := s.seen.Load() - before; got != 0 {
		t.Errorf("%d denied requests came to the app, want none", got)
	}
}

// testClaims checks that a client does not choose what the limits look at.
func (s *shop) testClaims(t *testing.T) {
	claims := []string{
		"X-Forwarded-Uri: /free", "X-Original-URI: /free", "X-Forwarded-Method: GET", "X-Original-Method: GET",
		"X-Forwarded-For: 203.0.113.9", "X-Real-IP: 203.0.113.9", "X-Forwarded-Host: free.example",
	}
	if r := s.do("PUT", "/reports?x=1", "", append(claims, "X-User: bob")...); r.status != 200 {
		t.Errorf("the first report: %d %s, want 200", r.status, r.body)
	}
	s.denied("the second report", s.do("PUT", "/reports?x=2", "", append(claims, "X-User: bob")...), "reports")
	if r := s.do("GET", "/reports", "", "X-User: bob"); r.status != 200 {
		t.Errorf("a report that is read: %d %s, want 200", r.status, r.body)
	}
}

// testCredentials checks that who sends a wrong key is told so.
func (s *shop) testCredentials(t *testing.T) {
	if r := s.do("GET", "/a", "", "X-User: carol", "X-Api-Key: simsim"); r.status != 401 || r.header.Get("WWW-Authenticate") == "" {
		t.Errorf("with a wrong key: %d %v, want 401 with WWW-Authenticate", r.status, r.header)
	}
	if r := s.do("GET", "/a", "", "X-User: carol", "X-Api-Key: sesame"); r.status != 200 {
		t.Errorf("with a key: %d %s, want 200", r.status, r.body)
	}
}

// testKill checks that no request fails when a node dies, and that the others know what was spent.
func (s *shop) testKill(t *testing.T) {
	victim := s.fleet.Node("b")
	for i := range 90 {
		if i == 30 {
			victim.Signal(syscall.SIGKILL) // it dies while the next ones are sent
		}
		if r := s.do("GET", "/a", "", "X-User: "+strconv.Itoa(i)); r.status != 200 {
			t.Errorf("request %d while a node dies: %d %v %s, want 200", i, r.status, r.header, r.body)
		}
	}
	victim.Wait()
	s.fleet.WaitAgreed()
	s.denied("alice after a node died", s.do("GET", "/a", "", "X-User: alice"), "user")
}

// testReload checks that a changed policy is what proxies hear, without a restart of anything.
func (s *shop) testReload(t *testing.T) {
	write(t, s.policy, fmt.Sprintf(asks, s.keys, "300/h"))
	for _, n := range s.fleet.Alive() {
		s.await(n, "300")
	}
	if r := s.do("GET", "/a", "", "X-User: alice"); r.status != 200 || r.header.Get("X-RateLimit-Limit") != "300" {
		t.Errorf("alice after the policy changed: %d %v, want 200 with a limit of 300", r.status, r.header)
	}
}

// await blocks until a node goes by a policy with that limit of user.
func (s *shop) await(n *harness.Node, limit string) {
	s.t.Helper()
	for deadline := time.Now().Add(hang); ; time.Sleep(20 * time.Millisecond) {
		r := s.send("http://"+n.Addr.API, "GET", auth.Path+"web", "", "X-User: someone")
		if r.header.Get("X-RateLimit-Limit") == limit {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s still says %d %v after %v, want a limit of %s", n.Name, r.status, r.header, hang, limit)
		}
	}
}

// nginx asks by auth_request.
func TestNginx(t *testing.T) {
	path := find(t, "nginx")
	s := newShop(t)
	s.recipe("nginx/noria.conf")
	launch(t, s.dir, nil, s.addr, path, "-p", s.dir, "-e", "stderr", "-c", s.recipe("nginx/nginx.conf"))
	s.run()
}

// Caddy asks by what forward_auth is made of.
func TestCaddy(t *testing.T) {
	path := find(t, "caddy")
	s := newShop(t)
	env := []string{"HOME=" + s.dir, "XDG_CONFIG_HOME=" + s.dir, "XDG_DATA_HOME=" + s.dir}
	launch(t, s.dir, env, s.addr, path, "run", "--adapter", "caddyfile", "--config", s.recipe("caddy/Caddyfile"))
	s.run()
}

// HAProxy asks by its Lua HTTP client.
func TestHAProxy(t *testing.T) {
	path := find(t, "haproxy")
	s := newShop(t)
	s.recipe("haproxy/noria.lua")
	launch(t, s.dir, nil, s.addr, path, "-db", "-f", s.recipe("haproxy/haproxy.cfg"))
	s.run()
}

// The policy that the recipes are tried with is one that sub-requests can ask by.
func TestRecipePolicy(t *testing.T) {
	text, err := os.ReadFile("noria.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse("noria.yaml", text, nil)
	if err != nil || len(p.Routes) != 1 || p.Routes[0].Name != "web" || len(p.Routes[0].Limits) != 1 {
		t.Errorf("noria.yaml: %v, want a policy with the route web that has a limit", err)
	}
}
