package rules_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport/gateway/identity"
	"github.com/noriahq/noria/transport/middleware"
	"github.com/noriahq/noria/transport/middleware/rules"
)

func parse(t *testing.T, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("test.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// text is a policy with the file of keys at %q, in which "password" is the key of u1.
const text = `
identities:
  keys: {file: %q, header: X-Api-Key}
limits:
  user: {key: identity.id, tiers: {pro: quota 3, anonymous: quota 1}, on_lost: deny}
  counted: {key: identity.id, limit: quota 1, shadow: true}
routes:
  api: {path: /api, limits: [user, counted]}
`

// keyed returns the policy text.
func keyed(t *testing.T) *policy.Policy {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys.yaml")
	entry := fmt.Sprintf("keys:\n  - {sha256: %s, id: u1, tier: pro}\n", identity.HashKey("password"))
	if err := os.WriteFile(file, []byte(entry), 0o600); err != nil {
		t.Fatal(err)
	}
	return parse(t, fmt.Sprintf(text, file))
}

// Requests meet the limits of their routes under their callers' keys, until the policy is replaced by one that is better.
func TestLimits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r, err := rules.New(keyed(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		limit, err := middleware.HTTP(middleware.Config{Checker: clustertest.Start(t, "a").Node("a")}, r.Limits)
		if err != nil {
			t.Fatal(err)
		}
		service := limit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		do := func(path, key string) *httptest.ResponseRecorder {
			q := httptest.NewRequest(http.MethodGet, path, http.NoBody)
			if key != "" {
				q.Header.Set("X-Api-Key", key)
			}
			w := httptest.NewRecorder()
			service.ServeHTTP(w, q)
			return w
		}
		for i, want := range []struct {
			path, key string
			status    int
		}{
			{"/api", "", 200},
			{"/api", "", 429},
			{"/api/x", "password", 200},
			{"/api/y", "password", 200},
			{"/api", "password", 200},
			{"/api", "password", 429},
			{"/api", "wrong", 401},
			{"/other", "wrong", 200},
		} {
			w := do(want.path, want.key)
			if w.Code != want.status || w.Code == 429 && w.Header().Get("X-RateLimit-Type") != "user" {
				t.Errorf("request %d, %s with %q: %d with %v; want %d", i, want.path, want.key, w.Code, w.Header(), want.status)
			}
		}
		if err := r.Replace(parse(t, "limits: {slots: {unit: concurrency, limit: 5}}\nroutes: {all: {path: /, limits: [slots]}}")); !errors.Is(err, middleware.ErrConfig) {
			t.Errorf("Replace by a policy that counts what is under way = %v, want ErrConfig", err)
		}
		if w := do("/other", "wrong"); w.Code != 200 {
			t.Errorf("after a policy that was refused: %d", w.Code)
		}
		if err := r.Replace(parse(t, "limits: {ip: {key: client.ip, limit: 1/h}}\nroutes: {other: {path: /other, limits: [ip]}}")); err != nil {
			t.Fatal(err)
		}
		if first, second := do("/other", ""), do("/other", ""); first.Code != 200 || second.Code != 429 {
			t.Errorf("after Replace: %d, %d; want 200, 429", first.Code, second.Code)
		}
	})
}

// The limit's rules come along.
func TestRequest(t *testing.T) {
	r, err := rules.New(keyed(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	met, err := r.Limits(httptest.NewRequest(http.MethodGet, "/api", http.NoBody))
	if err != nil || len(met) != 2 || met[0].Request.OnLost != bucket.Deny || met[0].Request.Cost != 1 || !met[1].Shadow {
		t.Errorf("Limits = %+v, %v", met, err)
	}
	if _, err := rules.New(nil, nil); !errors.Is(err, middleware.ErrConfig) {
		t.Errorf("New of no policy = %v, want ErrConfig", err)
	}
}
