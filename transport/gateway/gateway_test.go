package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport/gateway"
)

// script is a Limiter that answers what it is told and remembers what it was asked.
type script struct {
	decision bucket.Decision
	err      error

	mu    sync.Mutex
	asked []bucket.Request // guarded by mu
}

// Check implements gateway.Limiter.
func (s *script) Check(_ context.Context, r bucket.Request) (bucket.Decision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r)
	return s.decision, s.err
}

// keys returns the keys of all requests so far.
func (s *script) keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for _, r := range s.asked {
		keys = append(keys, r.Key)
	}
	return keys
}

// admit is the decision that lets a request go ahead.
var admit = bucket.Decision{Allowed: true, Remaining: 7, ResetAfter: 300 * time.Millisecond, Node: "a"}

// A rig is a gateway with its upstream, all in memory.
type rig struct {
	client *http.Client
	log    *strings.Builder // read it after the last answer
}

// newRig returns a gateway in front of upstream, nil for one that is down, whose limiter is l. change may change its Config.
func newRig(t *testing.T, l gateway.Limiter, upstream http.HandlerFunc, change func(*gateway.Config)) *rig {
	t.Helper()
	key, err := gateway.ParseKey("header.X-Api-Key")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{log: new(strings.Builder)}
	c := gateway.Config{
		Upstream: &url.URL{Scheme: "http", Host: "upstream", Path: "/base"}, Limit: bucket.Limit{Tokens: 10, Per: time.Second, Burst: 20},
		Key: key, Limiter: l, Logger: slog.New(slog.NewTextHandler(r.log, nil)),
		Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nobody listens") },
	}
	if upstream != nil {
		c.Dial = serve(t, &http.Server{Handler: upstream})
	}
	if change != nil {
		change(&c)
	}
	h, err := gateway.New(c)
	if err != nil {
		t.Fatalf("New(%+v): %v", c, err)
	}
	transport := &http.Transport{DialContext: serve(t, gateway.NewServer(h, c.Logger)), DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	r.client = &http.Client{Transport: transport}
	return r
}

// serve runs s in memory until the test ends and returns how to reach it.
func serve(t *testing.T, s *http.Server) func(context.Context, string, string) (net.Conn, error) {
	t.Helper()
	l := &pipes{made: make(chan net.Conn), closed: make(chan struct{})}
	go s.Serve(l) // it ends with the test
	t.Cleanup(func() { _ = s.Close() })
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case l.made <- theirs:
			return ours, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// pipes is a net.Listener of connections in memory.
type pipes struct {
	made   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Net: "pipe"} }

// get asks for path with headers, which are names and values in turn.
func (r *rig) get(t *testing.T, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://gateway"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	return res, string(body)
}

// An admitted request reaches the upstream, and the headers of its answer tell of the limit and nothing else of it.
func TestAdmitted(t *testing.T) {
	var got *http.Request
	r := newRig(t, &script{decision: admit}, func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("X-RateLimit-Limit", "upstream's own")
		w.Header().Set("X-Own", "kept")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "hello")
	}, nil)
	res, body := r.get(t, "/path?q=1", "X-Forwarded-For", "6.6.6.6", "Connection", "X-Hop", "X-Hop", "1", "X-Api-Key", "secret")
	if res.StatusCode != http.StatusTeapot || body != "hello" || res.Header.Get("X-Own") != "kept" {
		t.Errorf("answer is %d %q %v, want the upstream's", res.StatusCode, body, res.Header)
	}
	if got.URL.String() != "/base/path?q=1" || got.Host != "upstream" || got.Header.Get("X-Hop") != "" {
		t.Errorf("upstream was asked for %s at %q with %v", got.URL, got.Host, got.Header)
	}
	if f := got.Header.Get("X-Forwarded-For"); strings.Contains(f, "6.6.6.6") {
		t.Errorf("X-Forwarded-For is %q: the client's claim was believed", f)
	}
	want := map[string]string{
		"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "7", "X-RateLimit-Reset": "1",
		"RateLimit": `"header.X-Api-Key";r=7;t=1`, "RateLimit-Policy": `"header.X-Api-Key";q=10;w=1`, "Retry-After": "",
	}
	for name, value := range want {
		if got := res.Header.Get(name); got != value || len(res.Header.Values(name)) > 1 {
			t.Errorf("%s is %q, want %q once", name, res.Header.Values(name), value)
		}
	}
}

// A refused request never reaches the upstream. The answer says when to come back, and by which limit.
func TestDenied(t *testing.T) {
	for _, c := range []struct {
		name       string
		after      time.Duration
		retryAfter string
		ms         float64
	}{
		{"soon", 1500 * time.Millisecond, "2", 1500},
		{"never", bucket.Never, "86400", -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &script{decision: bucket.Decision{RetryAfter: c.after, ResetAfter: c.after}}
			r := newRig(t, l, func(http.ResponseWriter, *http.Request) { t.Error("the upstream was asked") }, nil)
			res, body := r.get(t, "/", "X-Api-Key", "secret")
			if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("answer is %d %s, want 429 and a problem", res.StatusCode, res.Header.Get("Content-Type"))
			}
			if got := res.Header.Get("Retry-After"); got != c.retryAfter {
				t.Errorf("Retry-After is %q, want %q", got, c.retryAfter)
			}
			if got := res.Header.Get("X-RateLimit-Type"); got != "header.X-Api-Key" {
				t.Errorf("X-RateLimit-Type is %q", got)
			}
			got := decode(t, body)
			delete(got, "detail")
			want := map[string]any{
				"type": "urn:noria:problem:denied", "title": "Too many requests", "status": 429.0, "limit": "10/s burst 20",
				"denied_by": "header.X-Api-Key", "retry_after_ms": c.ms,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("problem (-want +got):\n%s", diff)
			}
			if strings.Contains(body, "secret") {
				t.Errorf("the key is in the answer: %s", body)
			}
		})
	}
}

func decode(t *testing.T, body string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	return m
}

// A request in a queue goes ahead when its turn comes, and not before.
func TestDelay(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := admit
		d.Delay = 3 * time.Second
		began := time.Now()
		var reached time.Duration
		r := newRig(t, &script{decision: d}, func(http.ResponseWriter, *http.Request) { reached = time.Since(began) }, nil)
		r.get(t, "/")
		if reached != 3*time.Second {
			t.Errorf("the upstream was reached after %v, want 3s", reached)
		}
	})
}

// A client that goes away while it waits for its turn never reaches the upstream.
func TestDelayCanceled(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := admit
		d.Delay = time.Hour
		r := newRig(t, &script{decision: d}, func(http.ResponseWriter, *http.Request) { t.Error("the upstream was asked") }, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gateway/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := r.client.Do(req); err == nil {
			res.Body.Close()
			t.Errorf("answer is %d, want none", res.StatusCode)
		}
	})
}

// What goes wrong behind the gateway has its status, and no answer tells about the insides.
func TestFailures(t *testing.T) {
	slow := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for _, c := range []struct {
		name       string
		limiter    *script
		upstream   http.HandlerFunc
		status     int
		kind       string
		retryAfter string
	}{
		{name: "down", limiter: &script{decision: admit}, status: 502, kind: "upstream"},
		{name: "slow", limiter: &script{decision: admit}, upstream: slow, status: 504, kind: "upstream-timeout"},
		{name: "broken", limiter: &script{decision: admit}, upstream: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, status: 502, kind: "upstream"},
		{name: "not ready", limiter: &script{err: cluster.ErrNotReady}, status: 503, kind: "not-ready", retryAfter: "1"},
		{name: "fault", limiter: &script{err: errors.New("10.1.2.3 is on fire")}, status: 500, kind: "internal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				r := newRig(t, c.limiter, c.upstream, func(c *gateway.Config) { c.UpstreamWait = 2 * time.Second })
				res, body := r.get(t, "/")
				got := decode(t, body)
				if res.StatusCode != c.status || got["type"] != "urn:noria:problem:"+c.kind {
					t.Errorf("answer is %d %s, want %d and %s", res.StatusCode, body, c.status, c.kind)
				}
				if got := res.Header.Get("Retry-After"); got != c.retryAfter {
					t.Errorf("Retry-After is %q, want %q", got, c.retryAfter)
				}
				if strings.Contains(body, "10.1.2.3") || strings.Contains(body, "nobody listens") {
					t.Errorf("the answer tells too much: %s", body)
				}
			})
		})
	}
}

// A dead upstream is logged, but not once for each request.
func TestDeadUpstreamIsNotAFlood(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRig(t, &script{decision: admit}, nil, nil)
		for range 50 {
			r.get(t, "/")
		}
		time.Sleep(time.Second)
		r.get(t, "/")
		synctest.Wait()
		if got := strings.Count(r.log.String(), "upstream does not answer"); got != 2 {
			t.Errorf("%d lines for 51 requests in a second, want 2:\n%s", got, r.log)
		}
		if !strings.Contains(r.log.String(), "unlogged=49") {
			t.Errorf("the log does not say what it left out:\n%s", r.log)
		}
	})
}

// A stream is passed on as it comes, for longer than any timeout of the gateway, and canceled upstream with the client.
func TestStream(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		r := newRig(t, &script{decision: admit}, func(w http.ResponseWriter, r *http.Request) {
			defer close(ended)
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "data: token\n")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(time.Minute):
				}
			}
		}, func(c *gateway.Config) { c.UpstreamWait = time.Second })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gateway/", nil)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		res, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		lines := bufio.NewScanner(res.Body)
		for i := range 10 {
			if !lines.Scan() || lines.Text() != "data: token" {
				t.Fatalf("line %d is %q, %v", i, lines.Text(), lines.Err())
			}
			if got, want := time.Since(began), time.Duration(i)*time.Minute; got != want {
				t.Fatalf("line %d came after %v, want %v", i, got, want)
			}
		}
		cancel()
		<-ended
	})
}

// Each client has its own key, whatever the port of its connection; the value of a header is in no key.
func TestKeys(t *testing.T) {
	l := &script{decision: admit}
	r := newRig(t, l, func(http.ResponseWriter, *http.Request) {}, nil)
	for _, key := range []string{"alice", "bob", "alice", ""} {
		r.get(t, "/", "X-Api-Key", key)
	}
	r.get(t, "/", "X-Api-Key", "alice", "X-Api-Key", "bob")
	keys := l.keys()
	if len(keys) != 5 || keys[0] != keys[2] || keys[0] == keys[1] || keys[3] == keys[0] || keys[3] != keys[4] {
		t.Errorf("keys are %q, want the first and third to be equal, and the last two", keys)
	}
	for _, k := range keys {
		if strings.Contains(k, "alice") || bucket.CheckKey(k) != nil {
			t.Errorf("key %q has the header's value or is no key", k)
		}
	}
}

// New refuses what cannot work, and says what would.
func TestNewRefuses(t *testing.T) {
	key, err := gateway.ParseKey("client.ip")
	if err != nil {
		t.Fatal(err)
	}
	good := gateway.Config{
		Upstream: &url.URL{Scheme: "https", Host: "h"}, Limit: bucket.Limit{Burst: 1}, Key: key, Limiter: &script{},
	}
	if _, err := gateway.New(good); err != nil {
		t.Errorf("New(%+v): %v", good, err)
	}
	for name, spoil := range map[string]func(*gateway.Config){
		"no upstream":      func(c *gateway.Config) { c.Upstream = nil },
		"upstream scheme":  func(c *gateway.Config) { c.Upstream = &url.URL{Scheme: "ftp", Host: "h"} },
		"upstream no host": func(c *gateway.Config) { c.Upstream = &url.URL{Scheme: "http"} },
		"no limit":         func(c *gateway.Config) { c.Limit = bucket.Limit{} },
		"no key":           func(c *gateway.Config) { c.Key = gateway.Key{} },
		"no limiter":       func(c *gateway.Config) { c.Limiter = nil },
		"negative wait":    func(c *gateway.Config) { c.UpstreamWait = -1 },
	} {
		c := good
		spoil(&c)
		if _, err := gateway.New(c); !errors.Is(err, gateway.ErrConfig) {
			t.Errorf("%s: New: %v, want an error that wraps ErrConfig", name, err)
		}
	}
}
