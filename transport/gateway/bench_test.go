package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/gateway"
	"github.com/noriahq/noria/transport/peer"
)

// What three limits cost a request on its way through a proxy, in processor time: the same ReverseProxy with and without,
// between the same client and upstream on loopback, in turns. What these two take by themselves is taken off both.
func BenchmarkProxy(b *testing.B) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "hello")
	}))
	defer up.Close()
	to, err := url.Parse(up.URL)
	if err != nil {
		b.Fatal(err)
	}
	text := strings.NewReplacer("http://up/base", up.URL, "192.0.2.0/24", "127.0.0.0/8", "100/h", "1000000/s", "50/h", "1000000/s", "60/h", "1000000/s").Replace(threeLayers)
	g, err := gateway.New(gateway.Config{Policy: parse(b, text), Limiter: aloneNode(b)})
	if err != nil {
		b.Fatal(err)
	}
	limited := httptest.NewServer(g)
	defer limited.Close()
	plain := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.SetXForwarded() },
		Transport: &http.Transport{
			ForceAttemptHTTP2: true, MaxIdleConns: 1024, MaxIdleConnsPerHost: 512, DisableCompression: true, ResponseHeaderTimeout: time.Minute,
		},
		FlushInterval: -1,
		BufferPool:    &memory{},
	})
	defer plain.Close()

	const batch = 256
	var spent [3]time.Duration
	targets := [3][]*caller{dial(b, up.URL, 8), dial(b, plain.URL, 8), dial(b, limited.URL, 8)}
	for _, t := range targets {
		ask(b, t, batch) // connections are open, and what is lent is
	}
	b.ResetTimer()
	for b.Loop() {
		for i, t := range targets {
			before := processor(b)
			ask(b, t, batch)
			spent[i] += processor(b) - before
		}
	}
	n := float64(b.N * batch)
	b.ReportMetric(float64(spent[1]-spent[0])/n, "cpu-ns/plain")
	b.ReportMetric(float64(spent[2]-spent[0])/n, "cpu-ns/limited")
	b.ReportMetric(float64(spent[2]-spent[0])/float64(spent[1]-spent[0]), "limited/plain")
}

// memory lends buffers to the proxy without limits, as the gateway does to its own.
type memory struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (m *memory) Get() []byte {
	if p, ok := m.pool.Get().(*[32 << 10]byte); ok {
		return p[:]
	}
	return make([]byte, 32<<10)
}

// Put implements httputil.BufferPool.
func (m *memory) Put(p []byte) { m.pool.Put((*[32 << 10]byte)(p)) }

// A caller is a connection to a proxy on which requests are asked one after the other. It is no http.Client, because what that takes
// to read headers would count as the proxy's.
type caller struct {
	conn net.Conn
	in   *bufio.Reader
}

// dial returns callers of the server at url.
func dial(b *testing.B, url string, n int) []*caller {
	b.Helper()
	all := make([]*caller, n)
	for i := range all {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() })
		all[i] = &caller{c, bufio.NewReader(c)}
	}
	return all
}

// ask asks once and reads the answer.
func (c *caller) ask() error {
	if _, err := io.WriteString(c.conn, "GET /path HTTP/1.1\r\nHost: gateway\r\nX-User: ann\r\nX-Tier: pro\r\n\r\n"); err != nil {
		return err
	}
	size, first := 0, true
	for {
		line, err := c.in.ReadSlice('\n')
		switch {
		case err != nil:
			return err
		case first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")):
			return fmt.Errorf("answer is %q", line)
		case len(line) == 2:
			_, err := c.in.Discard(size)
			return err
		}
		first = false
		if n, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if size, err = strconv.Atoi(string(bytes.TrimSpace(n))); err != nil {
				return err
			}
		}
	}
}

// ask has callers ask n times in all, at once.
func ask(b *testing.B, callers []*caller, n int) {
	b.Helper()
	ended := make(chan error, len(callers))
	for _, c := range callers {
		go func() {
			for range n / len(callers) {
				if err := c.ask(); err != nil {
					ended <- err
					return
				}
			}
			ended <- nil
		}()
	}
	for range callers {
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	}
}

// processor returns the processor time that the process has used.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// aloneNode returns a node without others.
func aloneNode(b *testing.B) *cluster.Node {
	b.Helper()
	tr, err := peer.New(peer.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	n, err := cluster.New(cluster.Config{Name: "a", Transport: tr, Gossip: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	b.Cleanup(func() { stop(); <-ended })
	<-n.Ready()
	return n
}

// What a refusal costs: that is what has to bear a flood.
func BenchmarkDenied(b *testing.B) {
	n := aloneNode(b)
	text := strings.Replace(threeLayers, "192.0.2.0/24", "127.0.0.0/8", 1)
	g, err := gateway.New(gateway.Config{Policy: parse(b, text), Limiter: n})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	r.RemoteAddr = "127.0.0.1:4711"
	r.Header.Set("X-User", "ann")
	r.Header.Set("X-Tier", "free")
	if _, err := n.Check(context.Background(), bucket.Request{Key: "warm", Limit: bucket.Limit{Burst: 1}, Cost: 1}); err != nil {
		b.Fatal(err)
	}
	w := discard{http.Header{}}
	for range 3 {
		g.ServeHTTP(w, r) // the free ones: nobody listens upstream
	}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		g.ServeHTTP(w, r)
	}
}

// discard is an http.ResponseWriter that keeps only headers.
type discard struct{ h http.Header }

// Header implements http.ResponseWriter.
func (d discard) Header() http.Header { return d.h }

// Write implements http.ResponseWriter.
func (d discard) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements http.ResponseWriter.
func (d discard) WriteHeader(int) {}
