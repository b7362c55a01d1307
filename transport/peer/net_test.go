package peer

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/test/bufconn"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
)

// network is a network in memory whose hosts can be frozen, cut off and killed.
type network struct {
	mu    sync.Mutex
	hosts map[string]*host // guarded by mu
}

// host is what listens at an address.
type host struct {
	*bufconn.Listener

	mu    sync.Mutex
	ice   chan struct{} // guarded by mu; closed by thaw, nil while not frozen
	deaf  bool          // guarded by mu; connecting takes for ever
	conns []net.Conn    // guarded by mu; accepted ones
}

func newNetwork() *network { return &network{hosts: map[string]*host{}} }

// listen opens addr, or nothing happens there.
func (n *network) listen(addr string, buffer int) *host {
	h := &host{Listener: bufconn.Listen(buffer)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[addr] = h
	return h
}

func (n *network) dial(ctx context.Context, addr string) (net.Conn, error) {
	n.mu.Lock()
	h := n.hosts[addr]
	n.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: "mem", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	if h == nil {
		return nil, refused
	}
	h.mu.Lock()
	deaf := h.deaf
	h.mu.Unlock()
	if deaf {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	conn, err := h.DialContext(ctx)
	if err != nil && ctx.Err() == nil {
		return nil, refused
	}
	return conn, err
}

// Accept makes the conn subject to freeze and cut.
func (h *host) Accept() (net.Conn, error) {
	conn, err := h.Listener.Accept()
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns = append(h.conns, conn)
	return &icy{Conn: conn, h: h}, nil
}

// freeze stops the host as SIGSTOP does: connections stay, nothing is read or written.
func (h *host) freeze() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ice == nil {
		h.ice = make(chan struct{})
	}
}

func (h *host) thaw() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ice != nil {
		close(h.ice)
		h.ice = nil
	}
}

// cut breaks all connections.
func (h *host) cut() {
	h.mu.Lock()
	conns := h.conns
	h.conns = nil
	h.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}

func (h *host) setDeaf(deaf bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaf = deaf
}

func (h *host) wait() {
	h.mu.Lock()
	ice := h.ice
	h.mu.Unlock()
	if ice != nil {
		<-ice
	}
}

// icy is a connection of a host that may freeze.
type icy struct {
	net.Conn
	h *host
}

func (c *icy) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.h.wait()
	return n, err
}

func (c *icy) Write(b []byte) (int, error) {
	c.h.wait()
	return c.Conn.Write(b)
}

// fleet is two nodes: a, which asks, and b, which answers at address "b".
type fleet struct {
	t    *testing.T
	net  *network
	a    *Transport
	b    *Transport
	host *host
	peer cluster.Peer
}

// newFleet starts a and b, whose answers are h's.
func newFleet(t *testing.T, c Config, h cluster.Handler) *fleet {
	t.Helper()
	f := &fleet{t: t, net: newNetwork()}
	c.Listener, c.Dialer = f.net.listen("a", 1<<16), f.net.dial
	f.a = mustNew(t, c)
	serve(t, f.a, "a", everyone{})
	f.start(h)
	f.peer = f.a.Peer("b", "b")
	t.Cleanup(func() { f.a.Close() })
	return f
}

// start starts b, again if it was killed.
func (f *fleet) start(h cluster.Handler) {
	f.t.Helper()
	f.host = f.net.listen("b", 1<<16)
	f.b = mustNew(f.t, Config{Listener: f.host, Dialer: f.net.dial})
	serve(f.t, f.b, "b", h)
	b, host := f.b, f.host
	f.t.Cleanup(func() { host.thaw(); b.Close() })
}

// kill ends b at once.
func (f *fleet) kill() {
	f.host.thaw()
	f.b.Close()
}

func mustNew(t testing.TB, c Config) *Transport {
	t.Helper()
	tr, err := New(c)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return tr
}

func serve(t *testing.T, tr *Transport, id ring.Member, h cluster.Handler) {
	t.Helper()
	serveAs(t, tr, helloOf(id), h)
}

func serveAs(t *testing.T, tr *Transport, me cluster.Hello, h cluster.Handler) {
	t.Helper()
	if _, err := tr.Listen(); err != nil {
		t.Fatalf("Listen of %s: %v", me.ID, err)
	}
	go func() {
		if err := tr.Serve(context.Background(), me, h); err != nil {
			t.Errorf("Serve of %s: %v", me.ID, err)
		}
	}()
}

func helloOf(id ring.Member) cluster.Hello {
	return cluster.Hello{Protocol: cluster.OldestProtocol, Label: "test", Ring: "16384/512", ID: id, Boot: 1}
}

// everyone speaks to everyone and allows everything.
type everyone struct{}

func (everyone) Hello(cluster.Hello) error { return nil }

func (everyone) Answer(_ ring.Member, asks []cluster.Ask) {
	for i := range asks {
		asks[i].Answer = cluster.Answer{Holder: "b", Term: 1}
		for j := range asks[i].Checks {
			asks[i].Checks[j].Decision = bucket.Decision{Allowed: true, Remaining: 1}
		}
	}
}

// handler is everyone with a say.
type handler struct {
	everyone
	hello  func(cluster.Hello) error
	answer func(from ring.Member, asks []cluster.Ask)
}

func (h handler) Hello(x cluster.Hello) error {
	if h.hello == nil {
		return nil
	}
	return h.hello(x)
}

func (h handler) Answer(from ring.Member, asks []cluster.Ask) {
	h.everyone.Answer(from, asks)
	if h.answer != nil {
		h.answer(from, asks)
	}
}

func newAsk(key string, wait time.Duration) *cluster.Ask {
	a := cluster.NewAsk()
	a.Wait = wait
	a.Checks = []cluster.Check{{Partition: 7, Request: bucket.Request{
		Key: key, Cost: 1, Limit: bucket.Limit{Tokens: 10, Per: time.Second, Burst: 20},
	}}}
	return a
}

// ask asks and returns how long it took and how it ended.
func (f *fleet) ask(a *cluster.Ask) (time.Duration, error) {
	start := time.Now()
	f.peer.Ask(a)
	<-a.Finished()
	return time.Since(start), a.Err
}
