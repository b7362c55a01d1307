package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noriahq/noria/cluster"
)

// get asks h for path.
func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

// A node is alive while it answers, and ready while it serves.
func TestAdmin(t *testing.T) {
	f := newFake(t)
	h := NewAdmin(f)
	check := func(path string, code int, says string) {
		t.Helper()
		if w := get(h, path); w.Code != code || !strings.Contains(w.Body.String(), says) {
			t.Errorf("GET %s: %d %s, want %d with %q", path, w.Code, w.Body, code, says)
		}
	}
	check("/healthz", 200, "ok")
	check("/readyz", 200, "ready: a, one of 1 in noria")
	f.setReady(false)
	check("/healthz", 200, "ok")
	check("/readyz", 503, "leaving")
	f.mu.Lock()
	f.status.Role, f.status.Members = cluster.RoleGateway, []cluster.MemberStatus{{ID: "a", Role: cluster.RoleGateway, Self: true}}
	f.mu.Unlock()
	check("/readyz", 503, "it is a gateway and knows no holder")
	f.mu.Lock()
	f.status.Members = nil
	f.mu.Unlock()
	check("/readyz", 503, cluster.ErrNotReady.Error())
	check("/debug/pprof/", 200, "goroutine")
	check("/debug/pprof/cmdline", 200, "test")
	check("/nothing", 404, "")
	w := get(h, "/status")
	var got cluster.Status
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, f.Status()); diff != "" {
		t.Errorf("GET /status (-got +want):\n%s", diff)
	}
}
