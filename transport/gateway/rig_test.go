package gateway_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/transport/gateway"
)

// A rig is a gateway of a real node, its upstreams and a client, all in memory and in a bubble.
type rig struct {
	t       *testing.T
	node    *cluster.Node
	gateway *gateway.Gateway
	dial    func(context.Context, string, string) (net.Conn, error) // the gateway
	client  *http.Client
	log     *logText
	stop    context.CancelFunc // ends Gateway.Run
}

// hosts are upstreams by host name; nil for one where nobody listens.
type hosts map[string]http.Handler

// newRig returns a gateway with the policy in text, in front of up.
func newRig(t *testing.T, text string, up hosts) *rig {
	t.Helper()
	c := clustertest.Start(t, "a")
	return newRigAt(t, c.Node("a"), text, up)
}

// newRigAt returns a gateway of n.
func newRigAt(t *testing.T, n *cluster.Node, text string, up hosts) *rig {
	t.Helper()
	r := &rig{t: t, node: n, log: &logText{}}
	dials := map[string]func(context.Context, string, string) (net.Conn, error){}
	for name, h := range up {
		if h != nil {
			dials[name+":80"] = serve(t, &http.Server{Handler: h})
		}
	}
	config := gateway.Config{
		Policy: parse(t, text), Limiter: r.node, Logger: slog.New(slog.NewTextHandler(r.log, nil)),
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if d := dials[addr]; d != nil {
				return d(ctx, network, addr)
			}
			return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("nobody listens at " + addr)}
		},
	}
	g, err := gateway.New(config)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	r.gateway = g
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	ended := make(chan struct{})
	go func() { defer close(ended); _ = g.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	r.dial = serve(t, gateway.NewServer(g, config.Logger))
	transport := &http.Transport{DialContext: r.dial, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	r.client = &http.Client{Transport: transport}
	return r
}

// parse returns the policy in text.
func parse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("noria.yaml", []byte(text), nil)
	if err != nil {
		t.Fatalf("policy: %v", err)
	}
	return p
}

// logText is a log that several goroutines write.
type logText struct {
	mu sync.Mutex
	b  strings.Builder // guarded by mu
}

// Write implements io.Writer.
func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns what was logged.
func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serve runs s in memory until the test ends and returns how to reach it.
func serve(t *testing.T, s *http.Server) func(context.Context, string, string) (net.Conn, error) {
	t.Helper()
	l := &pipes{made: make(chan net.Conn), closed: make(chan struct{})}
	go s.Serve(l) // it ends with the test
	t.Cleanup(func() { _ = s.Close() })
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case l.made <- addressed{theirs}:
			return ours, nil
		case <-l.closed:
			return nil, net.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// addressed is a connection in memory that seems to come from an address.
type addressed struct{ net.Conn }

// RemoteAddr implements net.Conn.
func (addressed) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4711}
}

// pipes is a net.Listener of connections in memory.
type pipes struct {
	made   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Net: "pipe"} }

// request returns a request to the gateway, with headers that are names and values in turn.
func (r *rig) request(method, path, body string, headers ...string) *http.Request {
	r.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://gateway"+path, in)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return req
}

// do sends a request and returns the answer with its whole body.
func (r *rig) do(method, path, body string, headers ...string) (*http.Response, string) {
	r.t.Helper()
	res, err := r.client.Do(r.request(method, path, body, headers...))
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res, string(got)
}

// settled fails the test unless all that was reserved is settled within some seconds of the bubble's clock.
func (r *rig) settled() {
	r.t.Helper()
	for range 50 {
		if s := r.gateway.Stats(); s.Held == 0 && s.Unsettled == 0 {
			if left := r.node.Status().Reservations; left != 0 {
				r.t.Errorf("%d reservations are outstanding, want none", left)
			}
			return
		}
		time.Sleep(100 * time.Millisecond) // of the bubble's clock
	}
	r.t.Errorf("5s after the last request: %+v", r.gateway.Stats())
}
