package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/e2e/harness"
	"github.com/noriahq/noria/transport/certs"
	"github.com/noriahq/noria/transport/client"
	"github.com/noriahq/noria/transport/peer"
)

// A locked is a fleet whose ports are locked, by the files of config init --tls.
type locked struct {
	t     *testing.T
	dir   string
	seed  string // gossip address of a
	nodes map[string]*harness.Node
	tls   *tls.Config // that knows its nodes
	web   *http.Client
}

// startLocked starts the nodes a, b and c.
func startLocked(t *testing.T) *locked {
	t.Helper()
	f := &locked{t: t, dir: filepath.Join(t.TempDir(), "secure"), seed: harness.FreeAddr(t), nodes: map[string]*harness.Node{}}
	f.noria("config", "init", "--tls", "--dir", f.dir, "--label", "locked", "a", "b", "c")
	ca, err := certs.Pool(f.read("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	f.tls = &tls.Config{RootCAs: ca, MinVersion: tls.VersionTLS12}
	f.web = &http.Client{Transport: &http.Transport{TLSClientConfig: f.tls.Clone(), DisableKeepAlives: true}, Timeout: harness.Hang}
	for _, name := range []string{"a", "b", "c"} {
		f.start(name)
	}
	for _, n := range f.nodes {
		n.WaitReady()
	}
	f.agree(3)
	return f
}

// start starts the node with the name, which is in the folder.
func (f *locked) start(name string) {
	f.t.Helper()
	args := []string{"--config", filepath.Join(f.dir, name+".yaml"), "--peer-wait", "30s"}
	if name == "a" {
		args = append(args, "--gossip", f.seed)
	}
	f.nodes[name] = harness.Serve(f.t, name, []string{f.seed}, nil, args...)
}

// noria runs a command that has to succeed.
func (f *locked) noria(args ...string) harness.Result {
	f.t.Helper()
	r := harness.Run(f.t, nil, args...)
	if r.Status != 0 {
		f.t.Errorf("noria %s: exit status %d\n%s%s", strings.Join(args, " "), r.Status, r.Stdout, r.Stderr)
	}
	return r
}

// read reads a file of the folder.
func (f *locked) read(name string) []byte {
	f.t.Helper()
	b, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

// token returns the token of a file of the folder.
func (f *locked) token(name string) string { return strings.Fields(string(f.read(name)))[1] }

// get asks for a page with a token, "" for none.
func (f *locked) get(method, url, token, body string) (code int, text string, err error) {
	r, err := http.NewRequestWithContext(f.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := f.web.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// eventually waits until f says "".
func (f *locked) eventually(what string, done func() string) {
	f.t.Helper()
	ctx := bounded(f.t)
	for {
		why := done()
		if why == "" {
			return
		}
		select {
		case <-ctx.Done():
			f.t.Fatalf("%s: %s", what, why)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// agree waits until all nodes count so many members, and hold what they should.
func (f *locked) agree(members int) {
	f.t.Helper()
	f.eventually("the nodes do not agree", func() string {
		for name, n := range f.nodes {
			_, text, err := f.get(http.MethodGet, "https://"+n.Addr.Admin+"/status", "", "")
			var s cluster.Status
			if err == nil {
				err = json.Unmarshal([]byte(text), &s)
			}
			if err != nil || !s.Ready || len(s.Members) != members || s.Wanted > 0 {
				return fmt.Sprintf("%s: %v, knows %d members, wants %d partitions", name, err, len(s.Members), s.Wanted)
			}
		}
		return ""
	})
}

// client returns a client of all nodes, which shows a token.
func (f *locked) client(token string, config *tls.Config) *client.Client {
	f.t.Helper()
	var targets []string
	for _, n := range f.nodes {
		targets = append(targets, n.Addr.GRPC)
	}
	c, err := client.New(client.Config{Targets: targets, TLS: config, Token: token})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	return c
}

// meet asks the peer port of a, as somebody with the certificate and key, for who it is.
func (f *locked) meet(cert, key []byte) error {
	config := &tls.Config{InsecureSkipVerify: true}
	if cert != nil {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			f.t.Fatal(err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	tr, err := peer.New(peer.Config{Listen: "127.0.0.1:0", ClientCredentials: credentials.NewTLS(config)})
	if err != nil {
		f.t.Fatal(err)
	}
	defer tr.Close()
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer cancel()
	_, err = tr.Greet(ctx, f.nodes["a"].Addr.Peer)
	return err
}

// issue returns a certificate that the CA in dir has signed.
func issue(t *testing.T, dir string, life time.Duration, names ...string) (cert, key []byte) {
	t.Helper()
	ca, err1 := os.ReadFile(filepath.Join(dir, "ca.crt"))
	private, err2 := os.ReadFile(filepath.Join(dir, "ca.key"))
	authority, err3 := certs.LoadAuthority(ca, private)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	cert, key, err := authority.Issue(time.Now(), life, names...)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// A fleet as config init --tls makes it answers who has a token, and nobody else; without its key nobody joins, without a
// certificate of a node nobody speaks to its nodes. Certificates and keys change under load, and no check notices. No
// secret shows anywhere.
func TestSecureFleet(t *testing.T) {
	f := startLocked(t)
	secrets := f.secrets()

	t.Run("checks", f.checks)
	t.Run("peers", f.peers)
	t.Run("intruders", f.intruders)
	t.Run("changes", f.changes)
	maps.Copy(secrets, f.secrets())
	t.Run("secrets", func(t *testing.T) { f.hides(t, secrets) })
}

// checks looks at who is answered.
func (f *locked) checks(t *testing.T) {
	n := f.nodes["b"]
	app, admin := f.token("api.tokens"), f.token("admin.tokens")
	const body = `{"key":"k","limit":"1000/s"}`
	for _, c := range []struct {
		method, url, token, body string
		want                     int
	}{
		{"POST", n.Addr.API + "/v1/check", app, body, 200},
		{"POST", n.Addr.API + "/v1/check", admin, body, 200},
		{"POST", n.Addr.API + "/v1/check", "", body, 401},
		{"POST", n.Addr.API + "/v1/check", app + "x", body, 401},
		{"GET", n.Addr.API + "/v1/status", "", "", 401},
		{"GET", n.Addr.API + "/v1/auth/limits", "", "", 401},
		{"POST", n.Addr.API + "/v1/GetRateLimits", "", "{}", 401},
		{"GET", n.Addr.API + "/v1/LiveCheck", "", "", 200},
		{"GET", n.Addr.Admin + "/readyz", "", "", 200},
		{"POST", n.Addr.Admin + "/keys", "", `{"action":"list"}`, 401},
		{"POST", n.Addr.Admin + "/keys", app, `{"action":"list"}`, 401},
		{"POST", n.Addr.Admin + "/keys", admin, `{"action":"list"}`, 200},
	} {
		if code, text, err := f.get(c.method, "https://"+c.url, c.token, c.body); err != nil || code != c.want {
			t.Errorf("%s %s with %d bytes of token: %d, %v, want %d: %s", c.method, c.url, len(c.token), code, err, c.want, text)
		}
	}
	request := bucket.Request{Key: "k", Limit: bucket.Limit{Burst: 10, Tokens: 10, Per: time.Second}, Cost: 1}
	ctx, cancel := context.WithTimeout(t.Context(), harness.Hang)
	defer cancel()
	if _, err := f.client(app, f.tls).Check(ctx, request); err != nil {
		t.Errorf("over gRPC with TLS and a token: %v", err)
	}
	if _, err := f.client("", f.tls).Check(ctx, request); status.Code(err) != codes.Unauthenticated {
		t.Errorf("over gRPC without a token: %v", err)
	}
	if r := f.noria("check", "k", "10/s", "--secure", f.dir, "--node", n.Addr.GRPC); !strings.Contains(r.Stdout, "allowed") {
		t.Errorf("noria check says %s", r.Stdout)
	}
	if r := harness.Run(t, nil, "check", "k", "10/s", "--node", n.Addr.GRPC); r.Status != 3 || !strings.Contains(r.Stderr, "--tls-ca") {
		t.Errorf("noria check without TLS: status %d, %s", r.Status, r.Stderr)
	}
}

// peers looks at who may speak to nodes.
func (f *locked) peers(t *testing.T) {
	foreign := filepath.Join(t.TempDir(), "foreign")
	f.noria("config", "init", "--tls", "--dir", foreign, "a")
	const own, other = "spiffe://noria/locked/node/x", "spiffe://noria/other/node/x"
	for name, c := range map[string]struct {
		dir  string
		life time.Duration
		uri  string
		want string // "" for let in
	}{
		"a node":          {f.dir, time.Hour, own, ""},
		"no certificate":  {"", 0, "", "certificate required"},
		"foreign CA":      {foreign, time.Hour, own, "unknown certificate authority"},
		"ended":           {f.dir, -time.Second, own, "expired"},
		"another cluster": {f.dir, time.Hour, other, "it is for " + other},
		"no node":         {f.dir, time.Hour, "www.example.com", "it is for www.example.com"},
	} {
		var cert, key []byte
		if c.dir != "" {
			cert, key = issue(t, c.dir, c.life, c.uri)
		}
		err := f.meet(cert, key)
		for range 20 { // a connection may break before the reason has come over it
			if err == nil || strings.Contains(err.Error(), c.want) {
				break
			}
			err = f.meet(cert, key)
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s asks a node who it is: %v, want %q", name, err, c.want)
		}
	}
}

// intruders are processes that try to join.
func (f *locked) intruders(t *testing.T) {
	foreign := filepath.Join(t.TempDir(), "foreign")
	f.noria("config", "init", "--tls", "--dir", foreign, "--label", "locked", "x")
	config := filepath.Join(foreign, "x.yaml")
	wait := map[string]*harness.Node{
		"gossip is encrypted with a secret key, and this node has none": harness.Serve(t, "plain", []string{f.seed}, nil, "--label", "locked"),
		"gossip is encrypted with another key":                          harness.Serve(t, "x", []string{f.seed}, nil, "--config", config),
	}
	for want, n := range wait {
		n.FindLine(1, "no seed answers", want)
	}
	f.agree(3)
	f.nodes["a"].FindLine(1, "a member's gossip is")
	for _, n := range wait {
		if strings.Contains(n.Log.String(), `"msg":"ready"`) {
			t.Errorf("%s has joined", n.Name)
		}
		n.Kill()
	}
	// Who has a certificate of another node, or one that has ended, does not even start.
	cert, key := issue(t, f.dir, -time.Second, "spiffe://noria/locked/node/x")
	if err := errors.Join(os.WriteFile(filepath.Join(foreign, "x.crt"), cert, 0o600), os.WriteFile(filepath.Join(foreign, "x.key"), key, 0o600)); err != nil {
		t.Fatal(err)
	}
	for want, n := range map[string]*harness.Node{
		"expired":                           harness.Serve(t, "x", nil, nil, "--config", config, "--peer-ca", filepath.Join(f.dir, "ca.crt")),
		"want spiffe://noria/locked/node/y": harness.Serve(t, "y", nil, nil, "--config", filepath.Join(f.dir, "b.yaml")),
	} {
		if code := n.Wait(); code != 2 || !strings.Contains(n.Log.String(), want) {
			t.Errorf("%s ends with %d, want 2 and %q:\n%s", n.Name, code, want, n.Log)
		}
	}
}

// changes replaces certificates and keys while checks go on.
func (f *locked) changes(t *testing.T) {
	var (
		answered atomic.Int64
		stop     = make(chan struct{})
		all      sync.WaitGroup
	)
	ctx, cancel := context.WithTimeout(t.Context(), 2*harness.Hang)
	defer cancel()
	limit := bucket.Limit{Burst: 1_000_000, Tokens: 1_000_000, Per: time.Second}
	for i := range 8 {
		c := f.client(f.token("api.tokens"), f.tls)
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
				d, err := c.Check(ctx, bucket.Request{Key: fmt.Sprintf("k%d/%d", i, n%1000), Limit: limit, Cost: 1})
				if err != nil || !d.Allowed || d.Degraded {
					t.Errorf("a check is answered with %+v, %v", d, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	n := f.nodes["b"]
	before := slices.Clone(strings.Fields(string(f.read("b.gossip"))))
	for range 2 {
		r := f.noria("keys", "rotate", "--secure", f.dir, "--admin", n.Addr.Admin)
		if !strings.Contains(r.Stdout, "All members have the same keys.") {
			t.Errorf("keys rotate says %s", r.Stdout)
		}
	}
	f.noria("config", "init", "--tls", "--dir", f.dir, "--renew")
	for _, n := range f.nodes {
		for _, addr := range []string{n.Addr.Peer, n.Addr.GRPC, n.Addr.Admin} {
			f.eventually("a renewed certificate is not shown", func() string {
				leaf, err := shown(addr)
				pair, keyErr := tls.X509KeyPair(f.read(n.Name+".crt"), f.read(n.Name+".key"))
				if err != nil || keyErr != nil || !bytes.Equal(leaf, pair.Certificate[0]) {
					return fmt.Sprintf("%s of %s: %v, %v", addr, n.Name, err, keyErr)
				}
				return ""
			})
		}
	}
	close(stop)
	all.Wait()
	if answered.Load() == 0 {
		t.Error("nothing was asked meanwhile")
	}
	after := strings.Fields(string(f.read("b.gossip")))
	for _, name := range []string{"a", "c"} {
		if got := strings.Fields(string(f.read(name + ".gossip"))); !slices.Equal(got, after) || len(got) != 1 || slices.Contains(before, got[0]) {
			t.Errorf("after a rotation %s has %d keys in its file, of which old ones: %v; want the new one alone, as b", name, len(got), slices.Contains(before, got[0]))
		}
	}
	// Who starts again finds its new key and its new certificate.
	if code := f.nodes["c"].Stop(); code != 0 {
		t.Errorf("c ends with %d", code)
	}
	f.start("c")
	f.nodes["c"].WaitReady()
	f.agree(3)
}

// shown returns the certificate that a port shows.
func shown(addr string) ([]byte, error) {
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].Raw, nil
}

// secrets returns what must not show, by what it is.
func (f *locked) secrets() map[string]string {
	all := map[string]string{}
	found, err := os.ReadDir(f.dir)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, e := range found {
		for i, line := range strings.Split(string(f.read(e.Name())), "\n") {
			switch filepath.Ext(e.Name()) {
			case ".key", ".gossip":
				if len(line) > 20 && !strings.HasPrefix(line, "-----") {
					all[fmt.Sprintf("line %d of %s: %x", i, e.Name(), line[:2])] = line
				}
			case ".tokens":
				if words := strings.Fields(line); len(words) == 2 {
					all[e.Name()] = words[1]
				}
			}
		}
	}
	return all
}

// hides looks for secrets in all that nodes say, also of what is wrong.
func (f *locked) hides(t *testing.T, secrets map[string]string) {
	if len(secrets) < 10 {
		t.Fatalf("there are %d secrets to look for", len(secrets))
	}
	n := f.nodes["a"]
	admin, app := f.token("admin.tokens"), f.token("api.tokens")
	key := strings.TrimSpace(string(f.read("a.gossip")))
	// What is wrong has a secret in it, and is told without it.
	torn := map[string]string{"api.tokens": "app " + app + " " + admin, "a.gossip": key + "\n" + key + "=\n"}
	for name, text := range torn {
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n.FindLine(1, "changed tokens refused", "line 1")
	n.FindLine(1, "changed gossip keys refused", "line 2")
	var said strings.Builder
	for _, c := range []struct{ method, url, token, body string }{
		{"GET", n.Addr.Admin + "/status", admin, ""},
		{"GET", n.Addr.Admin + "/metrics", admin, ""},
		{"GET", n.Addr.Admin + "/ring?key=k", admin, ""},
		{"GET", n.Addr.Admin + "/debug/pprof/cmdline", admin, ""},
		{"GET", n.Addr.Admin + "/debug/pprof/goroutine?debug=2", admin, ""},
		{"POST", n.Addr.Admin + "/keys", admin, `{"action":"list"}`},
		{"POST", n.Addr.Admin + "/keys", admin, `{"action":"install","key":"` + key + `=="}`},
		{"POST", n.Addr.Admin + "/keys", admin, `{"action":"use","id":"` + key + `"`},
		{"POST", n.Addr.Admin + "/keys", admin + "x", `{"action":"list"}`},
		{"GET", n.Addr.API + "/v1/status", app, ""},
		{"POST", n.Addr.API + "/v1/check", app + "x", `{"key":"k","limit":"1/s"}`},
		{"POST", n.Addr.API + "/v1/check", app, `{"key":"k","limit":"nonsense"}`},
	} {
		code, text, err := f.get(c.method, "https://"+c.url, c.token, c.body)
		if err != nil || text == "" {
			t.Errorf("%s %s: %d, %v, %d bytes", c.method, c.url, code, err, len(text))
		}
		fmt.Fprintf(&said, "%s %s: %s\n", c.method, c.url, text)
	}
	for _, n := range f.nodes {
		said.WriteString(n.Log.String())
	}
	for what, secret := range secrets {
		if i := strings.Index(said.String(), secret); i >= 0 {
			t.Errorf("%s shows: %q", what, said.String()[max(0, i-100):i])
		}
	}
}
