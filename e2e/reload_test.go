package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/noriahq/noria/e2e/harness"
)

// A changed file is read while requests pass, without a failed one; SIGHUP reads it too; a variable overrides it; a bad one
// is refused whole. Nodes tell where their policies differ.
func TestReload(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer up.Close()
	text := fmt.Sprintf(`
limits:
  all: {limit: 10000000/s}
  few: {limit: 1000/h, when: 'path == "/few"'}
routes:
  web: {path: /, upstreams: [%q], limits: [all, few]}
`, up.URL)
	path := policyFile(t, text)
	o := patient()
	o.Args = append(o.Args, "--config", path)
	o.Env = append(o.Env, "NORIA_LIMITS_FEW_LIMIT=5/h")
	fleet := harness.Start(t, 2, o)
	a, b := fleet.Node("a"), fleet.Node("b")
	stop := make(chan struct{})
	var asking sync.WaitGroup
	var failed atomic.Pointer[string]
	asking.Go(func() {
		client := &http.Client{Transport: &http.Transport{IdleConnTimeout: 2 * time.Second}}
		defer client.CloseIdleConnections()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if status := get(t, client, a, "/"); status != http.StatusOK {
				why := fmt.Sprintf("a request while the policy changes: %d", status)
				failed.CompareAndSwap(nil, &why)
			}
		}
	})
	if n := admitted(t, a, 12); n != 5 {
		t.Errorf("%d of /few admitted, want the 5 of the variable", n)
	}
	write(t, path, strings.Replace(text, "10000000/s", "20000000/s", 1))
	for _, n := range []*harness.Node{a, b} {
		n.FindLine(1, `"msg":"configuration read"`)
	}
	wantPolicies(t, fleet, 1)
	write(t, path, "limits: {all: {limit: many}}\n")
	a.Signal(syscall.SIGHUP)
	a.FindLine(1, `"msg":"configuration refused`)
	if n := admitted(t, a, 3); n != 0 {
		t.Errorf("%d of /few admitted after a bad file, want 0: the bucket owes what it owed", n)
	}
	close(stop)
	asking.Wait()
	if why := failed.Load(); why != nil {
		t.Error(*why)
	}
	c := harness.Serve(t, "c", fleet.Seeds(), nil, append([]string{"--label", fleet.Label()}, "--upstream", up.URL)...)
	c.WaitReady()
	for end := time.Now().Add(harness.Hang); ; time.Sleep(50 * time.Millisecond) {
		s, err := a.Status(t.Context())
		if err == nil && s.Policies == 2 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("a sees %d policies, %v, want 2", s.Policies, err)
		}
	}
}

// wantPolicies waits until all nodes of fleet see that many policies.
func wantPolicies(t *testing.T, fleet *harness.Fleet, want int) {
	t.Helper()
	for end := time.Now().Add(harness.Hang); ; time.Sleep(50 * time.Millisecond) {
		var seen []int
		for _, n := range fleet.Alive() {
			if s, err := n.Status(t.Context()); err == nil && s.Policies != want {
				seen = append(seen, s.Policies)
			}
		}
		if len(seen) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nodes see %v policies, want %d", seen, want)
		}
	}
}

// get asks n's gateway for path and returns the status.
func get(t *testing.T, client *http.Client, n *harness.Node, path string) int {
	r, err := http.NewRequestWithContext(bounded(t), http.MethodGet, "http://"+n.Addr.HTTP+path, nil)
	if err != nil {
		return 0
	}
	a, err := client.Do(r)
	if err != nil {
		t.Logf("GET %s: %v", path, err)
		return 0
	}
	defer a.Body.Close()
	_, _ = io.Copy(io.Discard, a.Body)
	return a.StatusCode
}

// admitted returns how many of n requests for /few pass.
func admitted(t *testing.T, node *harness.Node, n int) (passed int) {
	t.Helper()
	for range n {
		if get(t, http.DefaultClient, node, "/few") == http.StatusOK {
			passed++
		}
	}
	return passed
}
