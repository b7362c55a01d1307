package check

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// secrets makes the secrets of nodes in a folder, as an operator does.
func secrets(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	dir := filepath.Join(t.TempDir(), "secrets")
	out, err := exec.Command("../secrets.sh", append([]string{dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("secrets.sh: %v\n%s", err, out)
	}
	return dir
}

// secrets.sh makes all that the manifests mention, keeps what is there, and leaves the CA's key where nobody ships it.
func TestSecrets(t *testing.T) {
	dir := secrets(t, "noria-0", "noria-1")
	before, err := os.ReadFile(filepath.Join(dir, "noria-0.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("../secrets.sh", dir, "noria-0", "noria-1", "noria-2").CombinedOutput(); err != nil {
		t.Fatalf("secrets.sh for one more: %v\n%s", err, out)
	}
	after, err := os.ReadFile(filepath.Join(dir, "noria-0.pem"))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the certificate of noria-0 is another one: %v", err)
	}
	for _, name := range []string{"ca.pem", "noria-2.pem", "noria-2.key", "gossip.keys", "api.tokens", "api.token", "admin.tokens", "admin.token"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "private", "ca.key"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s is %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "ca.key")); err == nil {
		t.Error("the CA's key is beside what is shipped")
	}
	for _, args := range [][]string{{}, {dir}, {"-x", dir, "a"}, {dir, "a/b"}} {
		if err := exec.Command("../secrets.sh", args...).Run(); err == nil {
			t.Errorf("secrets.sh %q succeeds", args)
		}
	}
}

// A node runs by the arguments of the chart, with TLS everywhere, and secrets that secrets.sh made: its health can be
// asked, and nothing else without a token.
func TestManifestRuns(t *testing.T) {
	dir := secrets(t, "noria-0")
	files, err := render(t, `{apiTLS: true, adminTLS: true}`)
	if err != nil {
		t.Fatal(err)
	}
	set, err := decode(files)
	if err != nil {
		t.Fatal(err)
	}
	var args []string
	for _, a := range substituted(set.args()) {
		name, value, _ := strings.Cut(a, "=")
		switch {
		case name == "--join", name == "--advertise-gossip":
			continue
		case strings.HasPrefix(value, "0.0.0.0:"):
			a = name + "=127.0.0.1:0"
		}
		args = append(args, strings.ReplaceAll(a, "/etc/noria/secrets", dir))
	}
	n := start(t, args...)
	if out, err := exec.Command(noria, "health", "--admin", n.Admin).CombinedOutput(); err != nil || !strings.Contains(string(out), "ready: noria-0") {
		t.Errorf("noria health: %v: %s", err, out)
	}
	token, err := os.ReadFile(filepath.Join(dir, "api.token"))
	if err != nil {
		t.Fatal(err)
	}
	for bearer, want := range map[string]int{"": http.StatusUnauthorized, string(token): http.StatusOK} {
		if got := get(t, dir, "https://"+n.API+"/v1/status", bearer); got != want {
			t.Errorf("/v1/status with the token %q says %d, want %d", bearer, got, want)
		}
	}
}

// get returns the status of a GET with a token, from a server that has a certificate of this CA.
func get(t *testing.T, dir, url, bearer string) int {
	t.Helper()
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

// A node is a running noria.
type node struct {
	Admin, API, GRPC, Gossip string
}

// lines collects what a process writes, and tells of it line by line.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs noria until the test ends and returns when it is ready.
func start(t *testing.T, args ...string) node {
	t.Helper()
	var log lines
	cmd := exec.Command(noria, args...)
	cmd.Stdout, cmd.Stderr = io.Discard, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			t.Errorf("noria does not stop\n%s", &log)
		}
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("noria %q ends: %v\n%s", args, err, &log)
		case <-tick.C:
		}
		for line := range strings.Lines(log.String()) {
			var n struct {
				Msg string
				node
			}
			if json.Unmarshal([]byte(line), &n) == nil && n.Msg == "ready" {
				return n.node
			}
		}
	}
	t.Fatalf("noria %q is not ready\n%s", args, &log)
	return node{}
}
