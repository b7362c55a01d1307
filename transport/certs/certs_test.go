package certs_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport/certs"
	"github.com/noriahq/noria/transport/watch"
)

// A made is a certificate that a test made for the server "gateway".
type made struct{ cert, key []byte }

// newCert returns a certificate with the number n, good from begins to ends.
func newCert(t *testing.T, n int64, begins, ends time.Time) made {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: "gateway"}, DNSNames: []string{"gateway"},
		NotBefore: begins, NotAfter: ends, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return made{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}
}

// A rig is a Pair and its files.
type rig struct {
	cert, key string
	pair      *certs.Pair
	written   int

	mu  sync.Mutex
	log strings.Builder // guarded by mu
}

// Write implements io.Writer for the log.
func (r *rig) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

// logged returns how often text was logged.
func (r *rig) logged(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.log.String(), text)
}

// newRig returns a rig with m in its files, which runs until the test ends.
func newRig(t *testing.T, m made) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key")}
	r.write(t, r.cert, m.cert)
	r.write(t, r.key, m.key)
	var err error
	r.pair, err = certs.New(certs.Config{CertFile: r.cert, KeyFile: r.key, Logger: slog.New(slog.NewTextHandler(r, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.pair.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returns %v", err)
		}
	})
	return r
}

// write writes b to path, with a time of its own.
func (r *rig) write(t *testing.T, path string, b []byte) {
	t.Helper()
	r.written++
	at := time.Now().Add(time.Duration(r.written) * time.Minute)
	if err := errors.Join(os.WriteFile(path, b, 0o600), os.Chtimes(path, at, at)); err != nil {
		t.Fatal(err)
	}
}

// shown returns the number of the certificate that a client gets to see, and the protocol that both agree on.
func (r *rig) shown(t *testing.T, version uint16) (n int64, protocol string, err error) {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	server := tls.Server(theirs, r.pair.Config())
	go func() { _ = server.Handshake() }()
	client := tls.Client(ours, &tls.Config{
		InsecureSkipVerify: true, // it looks at the certificate itself
		ServerName:         "gateway", NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS10, MaxVersion: version,
	})
	if err := client.Handshake(); err != nil {
		return 0, "", err
	}
	state := client.ConnectionState()
	return state.PeerCertificates[0].SerialNumber.Int64(), state.NegotiatedProtocol, nil
}

// expect checks that clients see the certificate n.
func (r *rig) expect(t *testing.T, when string, n int64) {
	t.Helper()
	got, protocol, err := r.shown(t, tls.VersionTLS13)
	if err != nil || got != n || protocol != "h2" {
		t.Errorf("%s: clients see certificate %d by %q, %v; want %d by h2", when, got, protocol, err, n)
	}
}

// A changed certificate is shown some seconds later, and a bad one never.
func TestReload(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		begins, ends := time.Now().Add(-time.Hour), time.Now().Add(1000*time.Hour)
		r := newRig(t, newCert(t, 1, begins, ends))
		r.expect(t, "at first", 1)
		time.Sleep(watch.Every / 2) // what is written from now on falls between two looks

		second := newCert(t, 2, begins, ends)
		r.write(t, r.cert, second.cert)
		time.Sleep(3 * time.Second)
		r.expect(t, "without its key", 1)
		if r.logged("refused") != 1 {
			t.Error("the log does not say that a certificate is without its key")
		}
		r.write(t, r.key, second.key)
		time.Sleep(3 * time.Second)
		r.expect(t, "with its key", 2)
		if !r.pair.Ends().Equal(ends.Truncate(time.Second)) || r.logged("changed certificate read") != 1 {
			t.Errorf("it ends %v, want %v, and the log says so", r.pair.Ends(), ends)
		}

		ended, early := newCert(t, 3, begins, time.Now().Add(-time.Minute)), newCert(t, 4, time.Now().Add(time.Hour), ends)
		for when, bad := range map[string]made{
			"one that has ended": ended, "one that has not begun": early, "nonsense": {[]byte("x"), []byte("y")}, "nothing": {nil, nil},
			"too much": {append(second.cert, make([]byte, 1<<20)...), second.key}, "key and certificate": {second.key, second.cert},
		} {
			before := r.logged("refused")
			r.write(t, r.cert, bad.cert)
			r.write(t, r.key, bad.key)
			time.Sleep(time.Minute)
			r.expect(t, when, 2)
			if got := r.logged("refused") - before; got != 1 {
				t.Errorf("%s: the log says so %d times", when, got)
			}
		}
		if err := os.Remove(r.key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		r.expect(t, "with a file gone", 2)

		fifth := newCert(t, 5, begins, ends)
		r.write(t, r.cert, fifth.cert)
		r.write(t, r.key, fifth.key)
		time.Sleep(3 * time.Second)
		r.expect(t, "a good one after bad ones", 5)
		if r.logged("PRIVATE") != 0 {
			t.Error("the log has a key in it")
		}
	})
}

// Clients that can do no better than TLS 1.1 are refused.
func TestOldClients(t *testing.T) {
	r := newRig(t, newCert(t, 1, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)))
	if _, _, err := r.shown(t, tls.VersionTLS12); err != nil {
		t.Errorf("TLS 1.2: %v", err)
	}
	if n, _, err := r.shown(t, tls.VersionTLS11); err == nil {
		t.Errorf("a client with TLS 1.1 gets certificate %d", n)
	}
}

// Bad files are told at the start. A certificate that has ended is shown all the same, and the log says so.
func TestNew(t *testing.T) {
	m := newCert(t, 1, time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
	r := newRig(t, m)
	r.expect(t, "one that has ended", 1)
	if r.logged("has ended") != 1 {
		t.Error("the log does not say that the certificate has ended")
	}
	for name, c := range map[string]certs.Config{
		"nothing": {}, "no key": {CertFile: r.cert}, "no certificate": {KeyFile: r.key}, "the same file": {CertFile: r.cert, KeyFile: r.cert},
		"not there": {CertFile: r.cert, KeyFile: r.key + "x"},
	} {
		if p, err := certs.New(c); !errors.Is(err, certs.ErrConfig) {
			t.Errorf("%s: New returns %v, %v", name, p, err)
		}
	}
}
