package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/noriahq/noria/transport/gateway/demo"
)

// selfSigned writes a certificate of this machine and its key, and returns their paths and who trusts them.
func selfSigned(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	return cert, key, pool
}

// With a certificate the gateway speaks TLS, HTTP/2 too.
func TestServeTLS(t *testing.T) {
	up := httptest.NewServer(demo.New(demo.Config{}))
	defer up.Close()
	cert, key, pool := selfSigned(t)
	_, ready := serveNode(t, "--name", "a", "--upstream", up.URL, "--tls-cert", cert, "--tls-key", key)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}
	res, err := client.Get("https://" + ready.HTTP + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 || res.Header.Get("X-RateLimit-Limit") != "200" {
		t.Errorf("answer is %s %s %v, want 200 over HTTP/2 with the limit's headers", res.Proto, res.Status, res.Header)
	}
}

// What cannot work together is told with what would be right.
func TestBadGateways(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "noria.yaml")
	if err := os.WriteFile(file, sample, 0o600); err != nil {
		t.Fatal(err)
	}
	mixed := filepath.Join(dir, "mixed.yaml")
	if err := os.WriteFile(mixed, append([]byte("node: {name: a}\n"), sample...), 0o600); err != nil {
		t.Fatal(err)
	}
	unfit := filepath.Join(dir, "unfit.yaml")
	if err := os.WriteFile(unfit, []byte("limits: {slots: {unit: concurrency, limit: 5}}\nroutes: {web: {limits: [slots]}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		line, want string
	}{
		{"config|check|" + unfit, "routes.web has the limit slots of concurrency, which a sub-request cannot hold"},
		{"serve|--config|" + unfit, "routes.web has the limit slots of concurrency, which a sub-request cannot hold"},
		{"serve|--tls-cert|a.pem", "both --tls-cert and --tls-key"},
		{"serve|--upstream|http://127.0.0.1:1|--tls-cert|a.pem|--tls-key|b.pem", "a.pem"},
		{"serve|--upstream|http://127.0.0.1:1|--config|" + file, "want one of them"},
		{"fleet|--demo|--upstream|http://127.0.0.1:1", "want one of --demo, --config and --upstream"},
		{"fleet|--config|" + mixed, "a fleet takes a policy and nothing else"},
	} {
		words := strings.Split(c.line, "|")
		if words[0] == "serve" {
			words = append(words, free()...)
		}
		status, _, errs := once(t, nil, words...)
		if status != statusUsage || !strings.Contains(errs, c.want) {
			t.Errorf("noria %s ends with %d, %s, want %d with %q", strings.Join(words, " "), status, errs, statusUsage, c.want)
		}
	}
}

// Prometheus can read the metrics, finds nothing wrong with their names, and they tell of policies.
func TestMetrics(t *testing.T) {
	_, d := startFleet(t, "--nodes", "1", "--demo")
	res, err := http.Get("http://" + d.Nodes[0].Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(strings.NewReader(string(page))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("problems with /metrics: %v, %v", problems, err)
	}
	for _, want := range []string{"noria_ready 1\n", `noria_members{role="holder"} 1`, "noria_policies 1\n", `noria_policy_info{hash="`, "noria_reservations 0\n", "noria_keys 0\n", "go_goroutines "} {
		if !strings.Contains(string(page), want) {
			t.Errorf("/metrics has no %q:\n%s", want, page)
		}
	}
}
