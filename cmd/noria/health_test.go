package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// health tells a node that is ready from one that is not, one that is gone, and something else; by its exit status.
func TestHealth(t *testing.T) {
	r, ready := serveNode(t, "--name", "a")
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "ready: a, one of 1 in noria"},
		{[]string{"--live"}, "ok"},
		{[]string{"--output", "json"}, `{"healthy":true,"says":"ready: a, one of 1 in noria"}`},
	} {
		args := append([]string{"health", "--admin", ready.Admin}, c.args...)
		if status, out, errs := once(t, nil, args...); status != statusFine || strings.TrimSpace(out) != c.want {
			t.Errorf("%q ends with %d, %q, %q, want 0 and %q", args, status, out, errs, c.want)
		}
	}
	if status, _, _ := once(t, []string{"NORIA_CLIENT_ADMIN=" + ready.Admin}, "health"); status != statusFine {
		t.Errorf("health by the environment's address ends with %d, want 0", status)
	}
	if status, _, errs := once(t, nil, "health", "--admin", ready.GRPC); status != statusUnreachable {
		t.Errorf("health of the gRPC port ends with %d, %q, want %d", status, errs, statusUnreachable)
	}
	r.stop()
	r.wait()
	if status, _, errs := once(t, nil, "health", "--admin", ready.Admin); status != statusUnreachable || !strings.Contains(errs, "refused") {
		t.Errorf("health of a node that is gone ends with %d, %q, want %d", status, errs, statusUnreachable)
	}
}

// A port that speaks TLS is asked by TLS; one that says it is not ready is not healthy.
func TestHealthTLS(t *testing.T) {
	notYet := http.NewServeMux()
	notYet.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not ready: a: nobody answers", http.StatusServiceUnavailable)
	})
	plain, secret := httptest.NewServer(notYet), httptest.NewTLSServer(notYet)
	defer plain.Close()
	defer secret.Close()
	for _, s := range []*httptest.Server{plain, secret} {
		addr := s.Listener.Addr().String()
		if status, out, errs := once(t, nil, "health", "--admin", addr); status != statusFailed || out != "not ready: a: nobody answers\n" || errs != "" {
			t.Errorf("health at %s ends with %d, %q, %q, want %d and what the node says", s.URL, status, out, errs, statusFailed)
		}
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	if status, _, errs := once(t, nil, "health", "--admin", other.Listener.Addr().String()); status != statusUnreachable || !strings.Contains(errs, "not a node's admin port") {
		t.Errorf("health of something else ends with %d, %q, want %d", status, errs, statusUnreachable)
	}
}
