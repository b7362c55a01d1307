package shed

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/transport"
)

// pressed returns a gate that has too much to do.
func pressed() *Gate {
	g := NewGate(Config{Delay: time.Millisecond})
	g.over.Store(true)
	return g
}

// Over HTTP those who are refused are told so before their body is read: 503, a problem, and when to come back.
func TestHandler(t *testing.T) {
	kind := func(r *http.Request) Kind {
		if r.Method == http.MethodDelete {
			return Kind{API, Give}
		}
		return Kind{API, Read}
	}
	h := Handler(pressed(), kind, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	seen := map[string]bool{}
	for range 50 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/check", nil))
		var problem struct {
			Type   string `json:"type"`
			Status int    `json:"status"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
			t.Fatal(err)
		}
		if w.Code != 503 || problem.Status != 503 || problem.Type != "urn:noria:problem:overloaded" || w.Header().Get("RateLimit") != "" {
			t.Fatalf("refused: %d, %v, %s; want 503 and a problem", w.Code, w.Header(), w.Body)
		}
		seen[w.Header().Get("Retry-After")] = true
	}
	if len(seen) != 2 || !seen["1"] || !seen["2"] {
		t.Errorf("Retry-After was %v, want 1 and 2", seen)
	}
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, httptest.NewRequest(http.MethodDelete, "/", nil)); w.Code != http.StatusNoContent {
		t.Errorf("what gives back is answered %d, want 204", w.Code)
	}
}

// Over gRPC those who are refused get RESOURCE_EXHAUSTED with the reason, and others are answered.
func TestOptions(t *testing.T) {
	for _, p := range []Priority{Vital, Give, Check, Read} {
		g := pressed()
		client := grpc_health_v1.NewHealthClient(dial(t, Options(g, func(string) Kind { return Kind{GRPC, p} })))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		go func() { // whoever runs the gate refuses those who wait for long
			for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
				g.held.release(0, time.Now())
			}
		}()
		_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		cancel()
		if refused := p >= Check; (err != nil) != refused || refused && (!transport.IsOverloaded(err) || count(g, GRPC, p) == 0) {
			t.Errorf("a %v: %v, want it refused: %v", p, err, refused)
		}
		if got := g.Stats().Calls; got != 0 {
			t.Errorf("%d calls under way after a %v, want none", got, p)
		}
	}
}

// There is no more room than for MaxCalls calls, whatever is called.
func TestOptionsFull(t *testing.T) {
	g := NewGate(Config{MaxCalls: 3})
	client := grpc_health_v1.NewHealthClient(dial(t, Options(g, func(string) Kind { return Kind{GRPC, Check} })))
	ctx, cancel := context.WithCancel(t.Context())
	for range 3 {
		s, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if !transport.IsOverloaded(err) {
		t.Errorf("a call where three are under way: %v, want it refused", err)
	}
	cancel()
	for {
		if _, err = client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err == nil {
			return
		}
		if status.Code(err) != codes.ResourceExhausted {
			t.Fatal(err)
		}
	}
}

// dial returns a connection to a server with options that serves health.
func dial(t *testing.T, options []grpc.ServerOption) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(options...)
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// A Listener lets in as many connections as there may be, closes more at once, and has room again when some have ended.
func TestListener(t *testing.T) {
	for _, c := range []struct {
		config Conns
		want   ConnStats
	}{
		{Conns{Max: 3}, ConnStats{Open: 3, Full: 5}},
		{Conns{Max: 10, PerClient: 2}, ConnStats{Open: 2, Crowded: 6}},
	} {
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l := NewListener(inner, c.config)
		guests := make(chan net.Conn, 100)
		go func() {
			defer close(guests)
			for {
				g, err := l.Accept()
				if err != nil {
					return
				}
				guests <- g
			}
		}()
		for i := range 8 {
			conn, err := net.Dial("tcp", inner.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if i < c.want.Open {
				continue
			}
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := conn.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
				t.Errorf("connection %d: %v, want it closed", i, err)
			}
		}
		if got := l.Stats(); got != c.want {
			t.Errorf("%+v: Stats = %+v, want %+v", c.config, got, c.want)
		}
		for range c.want.Open {
			g := <-guests
			_ = g.Close()
			_ = g.Close() // a second time counts for nothing
		}
		if got := l.Stats().Open; got != 0 || len(l.from) != 0 {
			t.Errorf("%d connections of %d clients after all were closed, want none", got, len(l.from))
		}
		_ = l.Close()
	}
}

// A client is one address, or one /64.
func TestClientOf(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:5": "192.0.2.1", "[::ffff:192.0.2.1]:5": "192.0.2.1", "[2001:db8:1:2:3:4:5:6]:7": "2001:db8:1:2::", "[fe80::1%eth0]:7": "fe80::",
	} {
		if got := clientOf(remote{addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))}); got.String() != want {
			t.Errorf("clientOf(%s) = %v, want %s", addr, got, want)
		}
	}
	if got := clientOf(remote{addr: &net.UnixAddr{Name: "x"}}); got.IsValid() {
		t.Errorf("clientOf(a socket of this machine) = %v, want none", got)
	}
}

// remote is a connection from somewhere.
type remote struct {
	net.Conn
	addr net.Addr
}

func (r remote) RemoteAddr() net.Addr { return r.addr }
