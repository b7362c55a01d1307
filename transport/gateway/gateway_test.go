package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport/gateway"
	"github.com/noriahq/noria/transport/gateway/identity"
)

// threeLayers is a policy with a limit for each address, each user and all.
const threeLayers = `
identities:
  header: {id: X-User, tier: X-Tier}
trusted_proxies: [192.0.2.0/24]
limits:
  ip: {key: [client.ip], limit: 100/h}
  user: {key: [identity.id], tiers: {free: 3/h, pro: 50/h}}
  global: {key: [], limit: 60/h}
routes:
  all: {path: /, upstreams: ["http://up/base"], limits: [ip, user, global]}
`

// hello answers all requests alike.
func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

// An admitted request reaches the upstream, and its answer tells of all limits and nothing that the upstream says of its own.
func TestAdmitted(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var got *http.Request
		r := newRig(t, threeLayers, hosts{"up": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r
			w.Header().Set("X-RateLimit-Limit", "upstream's own")
			w.Header().Set("X-Own", "kept")
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "hello")
		})})
		res, body := r.do("GET", "/path?q=1", "", "X-User", "ann", "X-Tier", "free", "Connection", "X-Hop", "X-Hop", "1")
		if res.StatusCode != http.StatusTeapot || body != "hello" || res.Header.Get("X-Own") != "kept" {
			t.Errorf("answer is %d %q %v, want the upstream's", res.StatusCode, body, res.Header)
		}
		if got.URL.String() != "/base/path?q=1" || got.Host != "up" || got.Header.Get("X-Hop") != "" {
			t.Errorf("upstream was asked for %s at %q with %v", got.URL, got.Host, got.Header)
		}
		if f := got.Header.Get("X-Forwarded-For"); f != "192.0.2.7" {
			t.Errorf("X-Forwarded-For is %q, want 192.0.2.7", f)
		}
		for name, want := range map[string]string{
			"RateLimit-Policy": `"ip";q=100;w=3600, "user";q=3;w=3600, "global";q=60;w=3600`, "X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "2", "Retry-After": "",
		} {
			if got := res.Header.Get(name); got != want || len(res.Header.Values(name)) > 1 {
				t.Errorf("%s is %q, want %q once", name, res.Header.Values(name), want)
			}
		}
	})
}

// A request that one limit denies costs nothing at the others, and its answer names the limit.
func TestThreeLayers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRig(t, threeLayers, hosts{"up": http.HandlerFunc(hello)})
		for range 20 {
			r.do("GET", "/", "", "X-User", "ann", "X-Tier", "free")
		}
		res, body := r.do("GET", "/", "", "X-User", "ann", "X-Tier", "free")
		if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("X-RateLimit-Type") != "user" || res.Header.Get("Retry-After") == "" {
			t.Errorf("the 21st of 3 requests: %d %v %s", res.StatusCode, res.Header, body)
		}
		var p struct {
			Type     string `json:"type"`
			DeniedBy string `json:"denied_by"`
			Limit    string `json:"limit"`
		}
		if err := json.Unmarshal([]byte(body), &p); err != nil || p.Type != "urn:noria:problem:denied" || p.DeniedBy != "user" || p.Limit != "3/h" {
			t.Errorf("body is %s (%v)", body, err)
		}
		admitted := 0
		for range 80 {
			if res, _ := r.do("GET", "/", "", "X-User", "bob", "X-Tier", "pro"); res.StatusCode == http.StatusOK {
				admitted++
			}
		}
		if admitted != 50 { // of ip 97 are left, of global 57
			t.Errorf("bob got %d of 50: what ann was denied was charged somewhere", admitted)
		}
		admitted, denied := 0, ""
		for range 80 {
			res, _ := r.do("GET", "/", "", "X-User", "cyd", "X-Tier", "pro")
			if res.StatusCode == http.StatusOK {
				admitted++
			}
			denied = res.Header.Get("X-RateLimit-Type")
		}
		if admitted != 7 || denied != "global" {
			t.Errorf("cyd got %d and was denied by %q, want the 7 that global had left", admitted, denied)
		}
	})
}

// What no route takes is not found, and a route is found by host, method and path.
func TestNoRoute(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRig(t, `
routes:
  one: {path: /one, methods: [GET], upstreams: ["http://up"]}
`, hosts{"up": http.HandlerFunc(hello)})
		for _, c := range []struct {
			method, path string
			want         int
		}{{"GET", "/one", 200}, {"GET", "/one/more", 200}, {"GET", "/oneself", 404}, {"POST", "/one", 404}, {"GET", "/", 404}} {
			if res, body := r.do(c.method, c.path, ""); res.StatusCode != c.want {
				t.Errorf("%s %s: %d %s, want %d", c.method, c.path, res.StatusCode, body, c.want)
			}
		}
	})
}

// A limit that only tries marks what it would have refused, and refuses nothing.
func TestShadow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRig(t, `
limits:
  new: {key: [client.ip], limit: 2/h, shadow: true}
routes:
  all: {path: /, upstreams: ["http://up"], limits: [new]}
`, hosts{"up": http.HandlerFunc(hello)})
		for i := range 4 {
			res, _ := r.do("GET", "/", "")
			want := ""
			if i >= 2 {
				want = "new"
			}
			if res.StatusCode != http.StatusOK || res.Header.Get("X-RateLimit-Shadow") != want {
				t.Errorf("request %d: %d, shadow %q, want 200 and %q", i, res.StatusCode, res.Header.Get("X-RateLimit-Shadow"), want)
			}
		}
	})
}

// Events reach the client as they are written, not when a buffer is full.
func TestStreaming(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		next := make(chan struct{})
		r := newRig(t, threeLayers, hosts{"up": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Trailer", "X-After")
			for range 3 {
				_, _ = io.WriteString(w, "data: one\n\n")
				_ = http.NewResponseController(w).Flush()
				<-next
			}
			w.Header().Set("X-After", "it")
		})})
		res, err := r.client.Do(r.request("GET", "/", "", "X-User", "ann", "X-Tier", "pro"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		lines := bufio.NewReader(res.Body)
		for range 3 {
			if line, err := lines.ReadString('\n'); line != "data: one\n" {
				t.Fatalf("read %q, %v before the next event is written", line, err)
			}
			if _, err := lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			next <- struct{}{}
		}
		if _, err := io.ReadAll(lines); err != nil || res.Trailer.Get("X-After") != "it" {
			t.Errorf("trailer is %v, %v", res.Trailer, err)
		}
	})
}

// What the client cancels is canceled upstream.
func TestCancel(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		gone := make(chan struct{})
		r := newRig(t, threeLayers, hosts{"up": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			close(gone)
		})})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.client.Do(r.request("GET", "/", "", "X-User", "ann", "X-Tier", "pro").WithContext(ctx))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("request ended with %v", err)
		}
		<-gone
	})
}

// A connection that is upgraded passes both ways, without time limits.
func TestUpgrade(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRig(t, threeLayers, hosts{"up": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
			w.WriteHeader(http.StatusSwitchingProtocols)
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for {
				line, err := rw.ReadString('\n')
				if err != nil {
					return
				}
				time.Sleep(10 * time.Minute)
				_, _ = io.WriteString(c, strings.ToUpper(line))
			}
		})})
		c, err := r.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		raw, err := httputil.DumpRequest(r.request("GET", "/ws", "", "Host", "gateway", "X-User", "ann", "X-Tier", "pro", "Connection", "Upgrade", "Upgrade", "echo"), false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(raw); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(c)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("X-RateLimit-Limit") == "" {
			t.Fatalf("upgrade: %v, %v", res, err)
		}
		for range 2 {
			if _, err := io.WriteString(c, "hello\n"); err != nil {
				t.Fatal(err)
			}
			if line, err := in.ReadString('\n'); line != "HELLO\n" {
				t.Fatalf("read %q, %v", line, err)
			}
		}
	})
}

// Another policy takes over between two requests; a raised limit keeps what the bucket owes.
func TestUse(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		text := `
limits:
  ip: {key: [client.ip], limit: 5/h}
routes:
  all: {path: /, upstreams: ["http://up"], limits: [ip]}
`
		r := newRig(t, text, hosts{"up": http.HandlerFunc(hello)})
		spend := func() (n int) {
			for range 20 {
				if res, _ := r.do("GET", "/", ""); res.StatusCode == http.StatusOK {
					n++
				}
			}
			return n
		}
		if n := spend(); n != 5 {
			t.Errorf("%d of 5 admitted", n)
		}
		if err := r.gateway.Use(parse(t, strings.Replace(text, "5/h", "8/h", 1))); err != nil {
			t.Fatal(err)
		}
		if n := spend(); n != 3 {
			t.Errorf("%d admitted after 5 of 8, want 3", n)
		}
		if err := r.gateway.Use(parse(t, "limits: {}\n")); !errors.Is(err, gateway.ErrConfig) {
			t.Errorf("a policy without routes: %v, want ErrConfig", err)
		}
		if n := spend(); n != 0 {
			t.Errorf("%d admitted after a policy that was refused, want 0: the old one goes on", n)
		}
	})
}

// An upstream does not see what opens the gateway, nor who the caller is said to be by somebody whom nobody trusts; it gets a
// key of its own.
func TestConcealed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		keys := filepath.Join(t.TempDir(), "keys.yaml")
		if err := os.WriteFile(keys, []byte("keys:\n  - {sha256: "+identity.HashKey("sk-ann")+", id: ann}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		seen := make(chan http.Header, 1)
		up := hosts{"up": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })}
		r := newRig(t, fmt.Sprintf(`
identities:
  keys: {file: %q}
  header: {id: X-User}
trusted_proxies: [10.0.0.0/8]
routes:
  all: {path: /, upstreams: ["http://up"], headers: {Authorization: Bearer sk-upstream}}
`, keys), up)
		r.do("GET", "/", "", "X-Api-Key", "sk-ann", "X-User", "root", "X-Forwarded-For", "6.6.6.6")
		h := <-seen
		if h.Get("X-Api-Key") != "" || h.Get("X-User") != "" || h.Get("Authorization") != "Bearer sk-upstream" || h.Get("X-Forwarded-For") != "192.0.2.7" {
			t.Errorf("upstream sees %v", h)
		}
	})
}

// Behind a trusted proxy the addresses that it names go on to the upstream.
func TestForwardedOn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		seen := make(chan http.Header, 1)
		r := newRig(t, threeLayers, hosts{"up": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })})
		r.do("GET", "/", "", "X-User", "ann", "X-Forwarded-For", "203.0.113.5")
		if h := <-seen; h.Get("X-Forwarded-For") != "203.0.113.5, 192.0.2.7" || h.Get("X-User") != "ann" {
			t.Errorf("upstream sees %v", h)
		}
	})
}

// While the holder is lost a limit that says deny answers 503, and one that says share 429; both say that they are degraded.
func TestHolderLost(t *testing.T) {
	for _, c := range []struct {
		rule   string
		status int
	}{{"deny", http.StatusServiceUnavailable}, {"share", http.StatusTooManyRequests}} {
		bubble.Test(t, func(t *testing.T) {
			cl := clustertest.Start(t, "a", "b", "c")
			r := newRigAt(t, cl.Node("a"), fmt.Sprintf(`
limits:
  user: {key: [header.X-Part], limit: 2/h, on_lost: %s}
routes:
  all: {path: /, upstreams: ["http://up"], limits: [user]}
`, c.rule), hosts{"up": http.HandlerFunc(hello)})
			cl.Cut("a")
			time.Sleep(3 * time.Second)
			lost := 0
			for i := range 20 {
				res, body := r.do("GET", "/", "", "X-Part", strconv.Itoa(i))
				if res.StatusCode == http.StatusOK {
					continue
				}
				lost++
				if res.StatusCode != c.status || res.Header.Get("X-RateLimit-Type") != "degraded-user" || res.Header.Get("Retry-After") == "" {
					t.Errorf("%s: %d %v %s, want %d of degraded-user", c.rule, res.StatusCode, res.Header, body, c.status)
				}
			}
			if lost == 0 {
				t.Errorf("%s: no request was refused in a cut", c.rule)
			}
		})
	}
}

// An answer that does not go on is ended after the route's idle_timeout, and one that does goes on for as long as it likes.
func TestStall(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var stop atomic.Bool
		r := newRig(t, `
routes:
  all: {path: /, upstreams: ["http://up"], idle_timeout: 10s}
`, hosts{"up": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for !stop.Load() {
				_, _ = io.WriteString(w, "tick\n")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(9 * time.Second)
			}
			<-r.Context().Done()
		})})
		res, err := r.client.Do(r.request("GET", "/", ""))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		lines := bufio.NewReader(res.Body)
		for range 10 {
			if line, err := lines.ReadString('\n'); line != "tick\n" {
				t.Fatalf("read %q, %v of an answer that goes on", line, err)
			}
		}
		stop.Store(true)
		began := time.Now()
		if _, err := io.ReadAll(lines); err == nil {
			t.Error("an answer that stalled ended well")
		}
		if took := time.Since(began); took < 9*time.Second || took > 21*time.Second {
			t.Errorf("an answer that stalled was ended after %v, want 10s after its last piece", took)
		}
	})
}
