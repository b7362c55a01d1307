package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
)

// tcp starts two nodes on loopback and returns the way from one to the other.
func tcp(t *testing.T, c Config) (*fleet, string) {
	t.Helper()
	f := &fleet{t: t}
	var addrs []string
	for range 2 {
		c.Listen = "127.0.0.1:0"
		tr := mustNew(t, c)
		addr, err := tr.Listen()
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, addr)
		id := helloOf([]ring.Member{"a", "b"}[len(addrs)-1])
		ended := make(chan error, 1)
		go func() { ended <- tr.Serve(context.Background(), id, everyone{}) }()
		t.Cleanup(func() {
			tr.Close()
			if err := <-ended; err != nil {
				t.Errorf("Serve: %v", err)
			}
		})
		f.a, f.b = f.b, tr
	}
	f.peer = f.a.Peer("b", addrs[1])
	return f, addrs[1]
}

// Over real sockets everything gets through, small and large, from many at once.
func TestTCP(t *testing.T) {
	f, _ := tcp(t, Config{})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			a := newAsk(fmt.Sprint(i), 10*time.Second)
			for range 4 * i {
				a.Checks = append(a.Checks, cluster.Check{Request: bucket.Request{Key: strings.Repeat("k", bucket.MaxKey)}})
			}
			for range 20 {
				if _, err := f.ask(a); err != nil {
					t.Errorf("Ask: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if s := f.b.Stats(); s.AsksAnswered != 64*20 {
		t.Errorf("%d asks were answered, want %d", s.AsksAnswered, 64*20)
	}
}

// Close ends all that is under way while many ask.
func TestTCPCloseUnderLoad(t *testing.T) {
	f, _ := tcp(t, Config{})
	var wg sync.WaitGroup
	var once sync.Once
	for i := range 64 {
		wg.Go(func() {
			a := newAsk(fmt.Sprint(i), 10*time.Second)
			for n := 0; ; n++ {
				if _, err := f.ask(a); err != nil {
					if !errors.Is(err, cluster.ErrPeerShutdown) {
						t.Errorf("Ask: %v, want ErrPeerShutdown", err)
					}
					return
				}
				if n == 100 {
					once.Do(func() { go f.a.Close() })
				}
			}
		})
	}
	wg.Wait()
}

// A peer that is gone is told from one that is not heard: its address refuses.
func TestTCPRefused(t *testing.T) {
	f, _ := tcp(t, Config{})
	if _, err := f.ask(newAsk("k", 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	f.b.Close()
	var err error
	for start := time.Now(); time.Since(start) < 10*time.Second && !errors.Is(err, syscall.ECONNREFUSED); {
		_, err = f.ask(newAsk("k", 10*time.Second))
	}
	if !errors.Is(err, cluster.ErrPeerLost) || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Ask of a closed peer: %v, want ErrPeerLost and ECONNREFUSED", err)
	}
}

// A port that is in use is an error that says which, and what to set.
func TestListenInUse(t *testing.T) {
	_, addr := tcp(t, Config{})
	_, err := mustNew(t, Config{Listen: addr}).Listen()
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "--peer") {
		t.Errorf("Listen on %s: %v, want that it is in use and what to set", addr, err)
	}
}

// With credentials the nodes speak TLS, and who has none is not spoken to.
func TestTLS(t *testing.T) {
	server, client := certificates(t)
	f, addr := tcp(t, Config{ServerCredentials: server, ClientCredentials: client})
	if _, err := f.ask(newAsk("k", 10*time.Second)); err != nil {
		t.Errorf("Ask over TLS: %v", err)
	}
	plain := mustNew(t, Config{})
	defer plain.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := plain.Greet(ctx, addr); err == nil {
		t.Error("Greet without TLS: no error")
	}
	if _, err := f.a.Greet(ctx, addr); err != nil {
		t.Errorf("Greet over TLS: %v", err)
	}
}

func certificates(t *testing.T) (server, client credentials.TransportCredentials) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	pair := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}}), credentials.NewTLS(&tls.Config{RootCAs: roots})
}
