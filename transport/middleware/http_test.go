package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/cluster/limiter"
	"github.com/noriahq/noria/transport/middleware"
)

func parse(t testing.TB, text string) bucket.Limit {
	t.Helper()
	l, err := bucket.ParseLimit(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// served is what a service answers whom it serves.
var served = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "served") })

// ask asks a service that stands behind the middleware of each node of c in turn.
func ask(t *testing.T, c *clustertest.Cluster, config middleware.Config, limits middleware.HTTPLimits) func(*http.Request) *httptest.ResponseRecorder {
	t.Helper()
	var services []http.Handler
	for _, name := range c.Names() {
		config.Checker = c.Node(name)
		limit, err := middleware.HTTP(config, limits)
		if err != nil {
			t.Fatal(err)
		}
		services = append(services, limit(served))
	}
	var asked atomic.Int64
	return func(r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		services[int(asked.Add(1)-1)%len(services)].ServeHTTP(w, r)
		return w
	}
}

func get(key string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Header.Set("X-Api-Key", key)
	return r
}

// A told is the body of a refusal.
type told struct {
	Type         string `json:"type"`
	Status       int    `json:"status"`
	Detail       string `json:"detail"`
	Limit        string `json:"limit"`
	DeniedBy     string `json:"denied_by"`
	RetryAfterMS int64  `json:"retry_after_ms"`
}

// wantRefusal checks that w is a problem, and returns it.
func wantRefusal(t *testing.T, w *httptest.ResponseRecorder, status int, kind string) (p told) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Fatalf("answer %d %q, %v: want a problem", w.Code, w.Body, err)
	}
	if w.Code != status || p.Status != status || p.Type != "urn:noria:problem:"+kind {
		t.Errorf("answer %d %+v, want %d and %s", w.Code, p, status, kind)
	}
	return p
}

// Of several limits all allow or none is charged, at whichever node; the caller hears which one denied, and when to come back.
func TestHTTP(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		perKey, all := parse(t, "2/h"), parse(t, "quota 5")
		do := ask(t, clustertest.Start(t, "a", "b", "c"), middleware.Config{}, func(r *http.Request) ([]middleware.Met, error) {
			return []middleware.Met{
				middleware.One("key", perKey, r.Header.Get("X-Api-Key")),
				middleware.One("all", all, ""),
			}, nil
		})
		for i, want := range []struct {
			key      string
			status   int
			deniedBy string
			left     string // of all, where it is served
			retry    string
		}{
			{"k1", 200, "", "4", ""},
			{"k1", 200, "", "3", ""},
			{"k1", 429, "key", "", "1800"},
			{"k1", 429, "key", "", "1800"},
			{"k2", 200, "", "2", ""},
			{"k2", 200, "", "1", ""},
			{"k3", 200, "", "0", ""},
			{"k3", 429, "all", "", "86400"},
			{"", 429, "all", "", "86400"},
		} {
			w := do(get(want.key))
			h := w.Header()
			if w.Code != want.status || h.Get("X-RateLimit-Type") != want.deniedBy || h.Get("Retry-After") != want.retry {
				t.Errorf("request %d: %d with %v, want %+v", i, w.Code, h, want)
			}
			if want.status == 429 {
				p := wantRefusal(t, w, 429, "denied")
				if p.DeniedBy != want.deniedBy || p.Limit == "" || strings.Contains(w.Body.String(), want.key+"\"") && want.key != "" {
					t.Errorf("request %d: refused with %+v", i, p)
				}
			} else if w.Body.String() != "served" || !strings.Contains(h.Get("RateLimit"), `"all";r=`+want.left) {
				t.Errorf("request %d: %q with %v", i, w.Body, h)
			}
		}
	})
}

// What limits cannot say, what they only count and what costs too much.
func TestHTTPLimits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		one := parse(t, "quota 1")
		var met []middleware.Met
		var err error
		do := ask(t, clustertest.Start(t, "a", "b"), middleware.Config{}, func(*http.Request) ([]middleware.Met, error) { return met, err })
		if w := do(get("")); w.Code != 200 || w.Header().Get("RateLimit") != "" {
			t.Errorf("without limits: %d with %v", w.Code, w.Header())
		}
		err = fmt.Errorf("%w: no such key", middleware.ErrCaller)
		wantRefusal(t, do(get("")), 401, "unauthorized")
		err = status.Error(codes.Unavailable, "not yet")
		wantRefusal(t, do(get("")), 503, "undecided")
		err = errors.New("a secret")
		if p := wantRefusal(t, do(get("")), 500, "internal"); strings.Contains(p.Detail, "secret") {
			t.Errorf("a fault is told: %+v", p)
		}
		err = nil

		shadow := middleware.One("shadow", one, "k")
		shadow.Shadow = true
		for i := range 3 {
			met = []middleware.Met{shadow, middleware.One("firm", parse(t, "quota 2"), "k")}
			if w := do(get("")); (w.Code == 200) != (i < 2) || strings.Contains(w.Header().Get("RateLimit"), "shadow") {
				t.Errorf("request %d with a limit that only counts: %d with %v", i, w.Code, w.Header())
			}
		}
		shadow.Shadow = false
		met = []middleware.Met{shadow}
		wantRefusal(t, do(get("")), 429, "denied") // it has counted

		large := middleware.One("large", one, "large")
		large.Request.Cost = 2
		met = []middleware.Met{large, middleware.One("other", one, "other")}
		if p := wantRefusal(t, do(get("")), 429, "denied"); p.DeniedBy != "large" || p.RetryAfterMS != -1 {
			t.Errorf("more than there ever is: %+v", p)
		}
		met = met[1:]
		if w := do(get("")); w.Code != 200 {
			t.Errorf("what was denied elsewhere was charged here: %d", w.Code)
		}

		met = []middleware.Met{{Request: bucket.Request{Key: "", Limit: one, Cost: 1}}}
		wantRefusal(t, do(get("")), 500, "internal")
	})
}

// A limit with a queue holds requests until their turn, and refuses those whose turn is too far.
func TestHTTPQueue(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		queue := parse(t, "1/s burst 1 queue 100")
		c := clustertest.Start(t, "a")
		do := ask(t, c, middleware.Config{MaxHold: 2500 * time.Millisecond}, func(*http.Request) ([]middleware.Met, error) {
			return []middleware.Met{middleware.One("queue", queue, "")}, nil
		})
		began := time.Now()
		var all sync.WaitGroup
		for i := range 3 {
			r := get("")
			all.Go(func() {
				if w := do(r); w.Code != 200 || time.Since(began).Round(time.Millisecond) != time.Duration(i)*time.Second {
					t.Errorf("request %d: %d after %v", i, w.Code, time.Since(began))
				}
			})
			synctest.Wait()
		}
		wantRefusal(t, do(get("")), 429, "queue-full")
		all.Wait()
	})
}

// With nobody to decide requests are refused, or pass where that is wanted; a node whose holder is lost goes by the limit's rule.
func TestHTTPLost(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		key := middleware.Key("all", "x")
		for i := 0; c.Holder(key) != "c"; i++ {
			key = middleware.Key("all", fmt.Sprint(i))
		}
		met := middleware.Met{Name: "all", Request: bucket.Request{Key: key, Limit: parse(t, "quota 5"), Cost: 1, OnLost: bucket.Deny}}
		limits := func(*http.Request) ([]middleware.Met, error) { return []middleware.Met{met}, nil }
		a := c.Node("a")
		handler := func(config middleware.Config) *httptest.ResponseRecorder {
			config.Checker = a
			limit, err := middleware.HTTP(config, limits)
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			limit(served).ServeHTTP(w, get(""))
			return w
		}
		c.Freeze("c")
		w := handler(middleware.Config{})
		if got := w.Header().Get("X-RateLimit-Type"); got != "degraded-all" || !strings.Contains(w.Body.String(), `"denied_by":"degraded-all"`) {
			t.Errorf("a limit that denies while its holder is lost is named %q in %s, want degraded-all", got, w.Body)
		}
		wantRefusal(t, w, 503, "undecided")
		met.Request.OnLost = bucket.Allow
		if w := handler(middleware.Config{}); w.Code != 200 {
			t.Errorf("a limit that allows while its holder is lost: %d", w.Code)
		}
		c.Thaw("c")
		c.Kill("a")
		wantRefusal(t, handler(middleware.Config{}), 503, "undecided")
		if w := handler(middleware.Config{FailOpen: true}); w.Code != 200 {
			t.Errorf("without a node that decides, and FailOpen: %d", w.Code)
		}
	})
}

// upstream is a server that counts.
type upstream struct {
	mu sync.Mutex
	at []time.Duration
	of time.Time
}

func (u *upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.at = append(u.at, time.Since(u.of).Round(10*time.Millisecond))
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
}

// A client's requests wait for their turn under all limits at once, and fail at once where their deadline comes first.
func TestRoundTripper(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b")
		up := &upstream{of: time.Now()}
		one, half := parse(t, "1/s"), parse(t, "1/2s")
		tr, err := middleware.RoundTripper(middleware.Config{Checker: c.Node("b"), MaxWaiting: 3}, up, func(r *http.Request) ([]middleware.Met, error) {
			return []middleware.Met{middleware.One("one", one, r.Host), middleware.One("half", half, "")}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: tr}
		do := func(patience time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://x/", strings.NewReader("body"))
			if err != nil {
				return err
			}
			answer, err := client.Do(r)
			if err == nil {
				answer.Body.Close()
			}
			return err
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if err := do(time.Minute); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		if err := do(time.Minute); !errors.Is(err, limiter.ErrCrowded) {
			t.Errorf("one too many waits: %v, want ErrCrowded", err)
		}
		all.Wait()
		if got, want := fmt.Sprint(up.at[1]-up.at[0], up.at[2]-up.at[1], up.at[3]-up.at[2]), "2s 2s 2s"; got != want {
			t.Errorf("requests went %s after each other, want %s", got, want)
		}
		began := time.Now()
		if err := do(time.Second); !errors.Is(err, cluster.ErrTooLate) || time.Since(began) > 100*time.Millisecond {
			t.Errorf("a request with too little time: %v after %v, want ErrTooLate at once", err, time.Since(began))
		}
	})
}

// What constructors cannot use they refuse.
func TestConfig(t *testing.T) {
	node := new(cluster.Node)
	limits := func(*http.Request) ([]middleware.Met, error) { return nil, nil }
	for name, c := range map[string]middleware.Config{
		"no checker":    {},
		"bad hold":      {Checker: node, MaxHold: -2},
		"nobody waits":  {Checker: node, MaxWaiting: -1},
		"limits is nil": {Checker: node},
	} {
		use := limits
		if name == "limits is nil" {
			use = nil
		}
		if _, err := middleware.HTTP(c, use); !errors.Is(err, middleware.ErrConfig) {
			t.Errorf("HTTP with %s = %v, want ErrConfig", name, err)
		}
		if _, err := middleware.RoundTripper(c, nil, use); !errors.Is(err, middleware.ErrConfig) {
			t.Errorf("RoundTripper with %s = %v, want ErrConfig", name, err)
		}
	}
}

// Different parts never make equal keys, and all keys are ones that a node takes.
func TestKey(t *testing.T) {
	seen := map[string][]string{}
	for _, parts := range [][]string{
		{},
		{""},
		{"a"},
		{"a", ""},
		{"", "a"},
		{"a", "b"},
		{"ab"},
		{"1:a"},
		{"a1:b"},
		{strings.Repeat("x", 96)},
		{strings.Repeat("x", 97)},
		{strings.Repeat("x", 9000)},
		{"\xff"},
		{"\xfe"},
		{strings.Repeat("x", 96), strings.Repeat("x", 96), strings.Repeat("x", 96), strings.Repeat("x", 96), strings.Repeat("x", 96)},
	} {
		key := middleware.Key(parts...)
		if seen[key] != nil {
			t.Errorf("%q and %q are both %q", parts, seen[key], key)
		}
		seen[key] = append(parts, "")
		if err := bucket.CheckKey(key); err != nil && len(parts) > 0 {
			t.Errorf("Key(%.20q): %v", parts, err)
		}
	}
}
