package certs_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/test/bufconn"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport/certs"
	"github.com/noriahq/noria/transport/watch"
)

// newAuthority returns a CA.
func newAuthority(t *testing.T) *certs.Authority {
	t.Helper()
	a, err := certs.NewAuthority("test", time.Now(), 1000*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A place is where the files of a mesh are.
type place struct{ dir, label, self string }

// put writes what a has signed for names, good for life, to p, and a itself.
func (p place) put(t *testing.T, a *certs.Authority, life time.Duration, names ...string) {
	t.Helper()
	ca, _, err := a.PEM()
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := a.Issue(time.Now(), life, names...)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"ca": ca, "cert": cert, "key": key} {
		if err := os.WriteFile(filepath.Join(p.dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// mesh returns the mesh of p's files.
func (p place) mesh(names ...string) (*certs.Mesh, error) {
	return certs.NewMesh(certs.MeshConfig{
		CAFile: filepath.Join(p.dir, "ca"), CertFile: filepath.Join(p.dir, "cert"), KeyFile: filepath.Join(p.dir, "key"),
		Label: p.label, Self: p.self, Names: names,
	})
}

// newMesh returns the mesh of a node with a certificate of a for names, or for itself.
func newMesh(t *testing.T, a *certs.Authority, self string, names ...string) *certs.Mesh {
	t.Helper()
	p := place{t.TempDir(), "fleet", self}
	p.put(t, a, time.Hour, "spiffe://noria/fleet/node/"+self)
	m, err := p.mesh(names...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// shake has a client and a server shake hands, and returns what each of them got.
func shake(client, server *tls.Config) (c, s *tls.Conn, clientErr, serverErr error) {
	l := bufconn.Listen(1 << 16) // its connections take what nobody has read yet, as sockets do
	accepted := make(chan net.Conn, 1)
	go func() {
		theirs, _ := l.Accept() // nil where Dial fails
		accepted <- theirs
	}()
	ours, err := l.Dial()
	if err != nil {
		return nil, nil, err, err
	}
	theirs := <-accepted
	c, s = tls.Client(ours, client), tls.Server(theirs, server)
	ended := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte("x"))
		}
		ended <- err
		theirs.Close()
	}()
	if clientErr = c.Handshake(); clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1)) // whether the server took the certificate is told after the handshake
	}
	ours.Close()
	return c, s, clientErr, <-ended
}

// Two nodes with certificates of one CA know each other, and by name; whoever has none, one of another CA, one that has ended, or
// only TLS 1.2 is refused.
func TestMesh(t *testing.T) {
	ca, foreign := newAuthority(t), newAuthority(t)
	a, b := newMesh(t, ca, "a"), newMesh(t, ca, "b")
	c, s, err, serverErr := shake(a.Client(), b.Server())
	if err != nil || serverErr != nil {
		t.Fatalf("two nodes of one CA: %v, %v", err, serverErr)
	}
	if v := c.ConnectionState().Version; v != tls.VersionTLS13 {
		t.Errorf("they speak %x", v)
	}
	for node, good := range map[string]bool{"b": true, "": true, "a": false, "bb": false, "b/": false} {
		if err := a.Is(c.ConnectionState(), node); (err == nil) != good || err != nil && !errors.Is(err, certs.ErrName) {
			t.Errorf("the server is %q: %v", node, err)
		}
	}
	if err := b.Is(s.ConnectionState(), "a"); err != nil {
		t.Errorf("the client is a: %v", err)
	}
	if err := b.Is(s.ConnectionState(), "b"); err == nil || !strings.Contains(err.Error(), "it is for spiffe://noria/fleet/node/a, want spiffe://noria/fleet/node/b") {
		t.Errorf("the client is b: %v", err)
	}

	pair := func(a *certs.Authority, life time.Duration, names ...string) *tls.Config {
		cert, key, err := a.Issue(time.Now(), life, names...)
		if err != nil {
			t.Fatal(err)
		}
		p, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		// It shows its certificate whatever the server says that it wants.
		return &tls.Config{
			InsecureSkipVerify: true, Certificates: []tls.Certificate{p},
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &p, nil },
		}
	}
	const own = "spiffe://noria/fleet/node/a"
	old := pair(ca, time.Hour, own)
	old.MaxVersion = tls.VersionTLS12
	for name, c := range map[string]struct {
		client           *tls.Config
		client1, server1 string // what either side says
	}{
		"none":       {&tls.Config{InsecureSkipVerify: true}, "certificate required", "didn't provide a certificate"},
		"foreign CA": {pair(foreign, time.Hour, own), "unknown certificate authority", "unknown authority"},
		"ended":      {pair(ca, -time.Second, own), "expired certificate", "expired"},
		"TLS 1.2":    {old, "protocol version", "unsupported version"},
	} {
		if _, _, err, serverErr := shake(c.client, b.Server()); err == nil || serverErr == nil ||
			!strings.Contains(err.Error(), c.client1) || !strings.Contains(serverErr.Error(), c.server1) {
			t.Errorf("a client with %s: %v, %v; want %q, %q", name, err, serverErr, c.client1, c.server1)
		}
	}
	for name, c := range map[string]struct {
		server *tls.Config
		want   string
	}{
		"foreign CA":    {pair(foreign, time.Hour, own), "unknown authority"},
		"ended":         {pair(ca, -time.Second, own), "expired"},
		"other cluster": {pair(ca, time.Hour, "spiffe://noria/other/node/a"), "want spiffe://noria/fleet/node/{name}"},
		"no node":       {pair(ca, time.Hour, "www.example.com"), "it is for www.example.com"},
		"nobody":        {pair(ca, time.Hour, "127.0.0.1"), "it is for nobody"},
		"longer":        {pair(ca, time.Hour, own+"/admin"), "want spiffe://noria/fleet/node/{name}"},
		"TLS 1.2":       {old, "protocol version"},
	} {
		if _, _, err, _ := shake(a.Client(), c.server); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("a server with %s: %v, want %q", name, err, c.want)
		}
	}
}

// Names are patterns, of URIs and of DNS names, in which whole parts may be anything.
func TestNames(t *testing.T) {
	ca := newAuthority(t)
	for _, c := range []struct {
		pattern, name, self string
		good                bool
	}{
		{"{name}.noria.svc", "a.noria.svc", "a", true},
		{"{name}.noria.svc", "A.Noria.svc", "a", true},
		{"{name}.noria.svc", "b.noria.svc", "a", false},
		{"{name}.noria.svc", "a.noria.svc.evil.com", "a", false},
		{"{name}.noria.svc", "axnoria.svc", "a", false},
		{"*.noria.svc", "x.noria.svc", "a", true},
		{"*.noria.svc", "x.y.noria.svc", "a", false},
		{"{name}", "a.b.c", "a.b.c", true},
		{"{label}.{name}.svc", "fleet.a.svc", "a", true},
		{"spiffe://td/ns/*/sa/noria", "spiffe://td/ns/prod/sa/noria", "a", true},
		{"spiffe://td/ns/*/sa/noria", "spiffe://td/ns/a/b/sa/noria", "a", false},
		{"spiffe://td/{name}", "td", "a", false},
		{certs.DefaultNames, "spiffe://noria/fleet/node/a%20b", "a b", true},
		{certs.DefaultNames, "spiffe://other/fleet/node/a", "a", false},
	} {
		p := place{t.TempDir(), "fleet", c.self}
		p.put(t, ca, time.Hour, c.name)
		if _, err := p.mesh(c.pattern); (err == nil) != c.good || err != nil && !errors.Is(err, certs.ErrName) {
			t.Errorf("%s with %s is node %q: %v, want %v", c.pattern, c.name, c.self, err, c.good)
		}
	}
	for _, bad := range []string{"", "{nam}", "a b", "spiffe://", "://x", "{name}.{name}", "a/b", "user@host", strings.Repeat("x", 2000)} {
		if got, err := certs.CheckName(bad); err == nil {
			t.Errorf("CheckName(%.20q) = %q", bad, got)
		}
	}
}

// Files that changed are taken up between two handshakes; those with which others would refuse this node are not.
func TestMeshReload(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ca, next := newAuthority(t), newAuthority(t)
		p := place{t.TempDir(), "fleet", "a"}
		p.put(t, ca, time.Hour, "spiffe://noria/fleet/node/a")
		m, err := p.mesh()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		time.Sleep(watch.Every / 2)
		expect := func(when string, life time.Duration) {
			t.Helper()
			time.Sleep(5 * watch.Every)
			if left := time.Until(m.Ends()); left > life || left < life-time.Minute {
				t.Errorf("%s: the certificate in use ends in %v, want %v", when, left, life)
			}
			if _, _, err, serverErr := shake(m.Client(), m.Server()); err != nil || serverErr != nil {
				t.Errorf("%s: %v, %v", when, err, serverErr)
			}
		}
		expect("at first", time.Hour)
		p.put(t, ca, 2*time.Hour, "spiffe://noria/fleet/node/a")
		expect("renewed", 2*time.Hour)
		p.put(t, ca, 3*time.Hour, "spiffe://noria/fleet/node/b")
		expect("another's", 2*time.Hour)
		p.put(t, ca, -time.Second, "spiffe://noria/fleet/node/a")
		expect("ended", 2*time.Hour)
		p.put(t, next, 4*time.Hour, "spiffe://noria/fleet/node/a")
		expect("another CA, with its certificate", 4*time.Hour)
	})
}
