package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// free are flags that have a node listen on free ports of this machine.
func free(args ...string) []string {
	return append([]string{"--http", ":0", "--api", ":0", "--grpc", ":0", "--admin", ":0", "--peer", ":0", "--gossip", ":0"}, args...)
}

// readyLine is the line of the log that tells where a node is.
type readyLine struct {
	Level, Node                          string
	HTTP, API, GRPC, Admin, Peer, Gossip string
}

// serveNode runs serve until it is ready.
func serveNode(t *testing.T, args ...string) (*running, readyLine) {
	t.Helper()
	r := start(t, nil, append([]string{"serve"}, free(args...)...)...)
	var ready readyLine
	line := r.line(r.err, `"msg":"ready"`)
	if err := json.Unmarshal([]byte(line), &ready); err != nil {
		t.Fatalf("ready line %s: %v", line, err)
	}
	return r, ready
}

// fetch returns status and body of a GET.
func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// A node says where it is when it is ready, in JSON, and all of its ports answer; a signal ends it with status 0.
func TestServe(t *testing.T) {
	r, ready := serveNode(t, "--name", "a")
	if ready.Node != "a" || ready.Level != "INFO" || ready.HTTP != "" || ready.Peer == "" || ready.Gossip == "" {
		t.Errorf("ready line is %+v, want the node's name, no gateway and all other addresses", ready)
	}
	if status, body := fetch(t, "http://"+ready.Admin+"/readyz"); status != http.StatusOK {
		t.Errorf("/readyz says %d %s", status, body)
	}
	if status, body := fetch(t, "http://"+ready.API+"/v1/status"); status != http.StatusOK || !strings.Contains(body, `"node":"a"`) {
		t.Errorf("/v1/status says %d %s", status, body)
	}
	for i, want := range []int{statusFine, statusFine, statusFailed} {
		if got, out, errs := once(t, nil, "check", "k", "quota 2", "--node", ready.GRPC); got != want || errs != "" {
			t.Errorf("check %d ends with %d, %q, %q, want %d", i, got, out, errs, want)
		}
	}
	if status, out, errs := once(t, []string{"NORIA_CLIENT_NODE=" + ready.GRPC}, "check", "k", "quota 2", "--cost", "0"); status != statusFine || !strings.Contains(out, "remaining    0") {
		t.Errorf("peeking ends with %d, %q, %q, want 0 and that nothing is left", status, out, errs)
	}
	for line := range strings.Lines(r.err.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("log line is not JSON: %s", line)
		}
	}
	r.stop()
	if got := r.wait(); got != statusFine {
		t.Errorf("serve ends with %d, want %d", got, statusFine)
	}
	if _, err := net.Dial("tcp", ready.API); err == nil {
		t.Error("the API is still open")
	}
}

// A node that stops is not ready any more, answers what is under way, and ends.
func TestGracefulStop(t *testing.T) {
	reached, release := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(reached)
		<-release
		_, _ = io.WriteString(w, "done")
	}))
	defer upstream.Close()
	r, ready := serveNode(t, "--upstream", upstream.URL, "--limit", "1/h", "--name", "a")
	answer := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + ready.HTTP + "/slow")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		answer <- res.Status + " " + string(body)
	}()
	<-reached
	if status, body := fetch(t, "http://"+ready.HTTP+"/"); status != http.StatusTooManyRequests {
		t.Errorf("a second request is answered %d %s, want 429", status, body)
	}
	r.stop()
	waitFor(t, func() bool {
		status, _ := fetch(t, "http://"+ready.Admin+"/readyz")
		return status == http.StatusServiceUnavailable
	})
	close(release)
	if got := <-answer; got != "200 OK done" {
		t.Errorf("the request under way got %q, want 200 OK done", got)
	}
	if got := r.wait(); got != statusFine {
		t.Errorf("serve ends with %d, want %d", got, statusFine)
	}
}

// A stream that goes on forever does not keep a node from leaving in its time, and a second signal does not wait for it.
func TestStopWait(t *testing.T) {
	reached := make(chan struct{}, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		reached <- struct{}{}
		<-r.Context().Done()
	}))
	defer upstream.Close()
	for name, c := range map[string]struct {
		wait    string
		signals int
		want    int
	}{
		"in time":       {"300ms", 1, statusFine},
		"second signal": {"1h", 2, statusFailed},
	} {
		t.Run(name, func(t *testing.T) {
			r, ready := serveNode(t, "--upstream", upstream.URL, "--drain-timeout", c.wait)
			res, err := http.Get("http://" + ready.HTTP + "/")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			<-reached
			for range c.signals {
				r.stop()
			}
			if got := r.wait(); got != c.want {
				t.Errorf("serve ends with %d, want %d", got, c.want)
			}
		})
	}
}

// A node that cannot save what it has when it stops ends with an error that says so.
func TestStopUnsaved(t *testing.T) {
	dir := t.TempDir()
	r, ready := serveNode(t, "--name", "a", "--state", dir)
	if got, _, errs := once(t, nil, "check", "k", "quota 2", "--node", ready.GRPC); got != statusFine {
		t.Fatalf("check ends with %d, %s", got, errs)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if got, want := r.wait(), "node a: buckets could not be saved: open "+dir; got != statusFailed || !strings.Contains(r.err.String(), want) {
		t.Errorf("serve ends with %d, want %d and %q", got, statusFailed, want)
	}
}

// waitFor blocks until ok says true.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("it never comes")
		}
	}
}

// A port in use is named, and the flag that changes it; all of them at once.
func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, flag := range []string{"api", "grpc", "admin", "http", "peer", "gossip"} {
		status, _, errs := once(t, nil, append([]string{"serve"}, free("--upstream", "http://127.0.0.1:1", "--"+flag, l.Addr().String())...)...)
		if status != statusUsage || !strings.Contains(errs, "port "+port+" is in use: --"+flag+" is ") || strings.Count(errs, "\n") != 1 {
			t.Errorf("--%s: serve ends with %d and %q, want %d, the port and the flag", flag, status, errs, statusUsage)
		}
	}
	status, _, errs := once(t, nil, append([]string{"serve"}, free("--api", l.Addr().String(), "--gossip", l.Addr().String())...)...)
	if status != statusUsage || !strings.Contains(errs, "--api is") || !strings.Contains(errs, "--gossip is") {
		t.Errorf("serve ends with %d and %q, want both flags", status, errs)
	}
}

// Whoever opens a node to others is told that there is no TLS, and a slip in a variable is told too.
func TestWarnings(t *testing.T) {
	env := []string{"NORIA_LISTEN_APY=:1", "NORIA_SERVICE_HOST=10.0.0.1", "NORIA_PORT=tcp://10.0.0.1:80"}
	r := start(t, env, append([]string{"serve"}, free("--api", "0.0.0.0:0", "--insecure")...)...)
	r.line(r.err, `"msg":"ready"`)
	if line := r.line(r.err, "without TLS"); !strings.Contains(line, `"api":"`) || strings.Contains(line, `"grpc":"`) {
		t.Errorf("warning is %s, want one about the API alone", line)
	}
	r.line(r.err, "NORIA_LISTEN_APY is not known, did you mean NORIA_LISTEN_API?")
	if log := r.err.String(); strings.Contains(log, "NORIA_SERVICE") || strings.Contains(log, "NORIA_PORT") {
		t.Errorf("the log complains of variables that are not ours:\n%s", log)
	}
}

// A node of another cluster is not let in, which is a wrong configuration.
func TestOtherLabel(t *testing.T) {
	_, first := serveNode(t, "--name", "a")
	second := start(t, nil, append([]string{"serve", "--name", "b", "--label", "other", "--join", first.Gossip}, free()...)...)
	if got := second.wait(); got != statusUsage {
		t.Errorf("a node with another label ends with %d, want %d:\n%s", got, statusUsage, second.err)
	}
}
