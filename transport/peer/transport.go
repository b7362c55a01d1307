package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport/peerpb"
)

// Transport carries asks to peers over gRPC and answers theirs. It implements cluster.Transport and is safe for
// concurrent use.
type Transport struct {
	cfg        Config
	codec      codec
	base       time.Time
	alarm      *alarm
	count      counters
	complaints complaints
	me         atomic.Pointer[identity]
	known      chan struct{}           // closed when me is there
	done       chan struct{}           // closed by Close
	links      atomic.Pointer[[]*link] // replaced under mu

	mu       sync.Mutex
	running  sync.WaitGroup // Add under mu, and not once closed
	started  bool           // guarded by mu; the alarm runs
	closed   bool           // guarded by mu
	listener net.Listener   // guarded by mu
	server   *grpc.Server   // guarded by mu
}

// identity is who this node is and who answers for it.
type identity struct {
	self    cluster.Hello
	handler cluster.Handler
}

var _ cluster.Transport = (*Transport)(nil)

// New returns a Transport as c describes it. It starts nothing and opens nothing.
func New(c Config) (*Transport, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("peer.Config: %w", err)
	}
	t := &Transport{
		cfg:   c,
		codec: codec{pool: newBuffers()},
		base:  time.Now(),
		known: make(chan struct{}),
		done:  make(chan struct{}),
	}
	t.alarm = newAlarm(func() instant { return time.Since(t.base) })
	t.links.Store(new([]*link))
	return t, nil
}

// now reads the clock of links.
func (t *Transport) now() instant { return t.alarm.clock() }

// Listen implements cluster.Transport.
func (t *Transport) Listen() (addr string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return "", cluster.ErrPeerShutdown
	}
	if t.listener != nil {
		return "", errors.New("listening for peers already")
	}
	listener := t.cfg.Listener
	if listener == nil {
		if listener, err = net.Listen("tcp", t.cfg.Listen); err != nil {
			return "", listenError(t.cfg.Listen, err)
		}
	}
	if addr, err = t.cfg.advertised(listener.Addr().String()); err != nil {
		listener.Close()
		return "", err
	}
	t.listener = newDoor(listener, t)
	return addr, nil
}

func listenError(addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen for peers: %s is in use by another process: "+
			"set Listen (--peer) to another address, or to port 0 for any: %w", addr, err)
	}
	return fmt.Errorf("listen for peers on %s, which Listen (--peer) sets: %w", addr, err)
}

// Serve implements cluster.Transport. Its error is that of the listener, nil after ctx or Close ended it.
// A Transport serves once.
func (t *Transport) Serve(ctx context.Context, self cluster.Hello, h cluster.Handler) error {
	server, listener, err := t.serve(self, h) //nolint:contextcheck // each stream has its own
	if err != nil || server == nil {
		return err
	}
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) && ctx.Err() == nil {
		return fmt.Errorf("serve peers: %w", err)
	}
	return nil
}

// serve returns what is to serve, nil once closed.
func (t *Transport) serve(self cluster.Hello, h cluster.Handler) (*grpc.Server, net.Listener, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return nil, nil, nil
	case t.listener == nil:
		return nil, nil, errors.New("serve peers: Listen was not called")
	case t.server != nil:
		return nil, nil, errors.New("serve peers: already served")
	}
	me := &identity{self: self, handler: h}
	t.server = grpc.NewServer(t.serverOptions()...)
	peerpb.RegisterPeerServer(t.server, &service{t: t, me: me})
	t.me.Store(me)
	close(t.known)
	return t.server, t.listener, nil
}

// identity returns who this node is, once it serves.
func (t *Transport) identity(ctx context.Context) (*identity, error) {
	select {
	case <-t.known:
		return t.me.Load(), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Peer implements cluster.Transport. Each call returns a way of its own, also to a member that has one. Its asks wait
// until Serve is called, because before that this node cannot say who it is.
//
// Where nobody listens at addr, the errors with which its asks end wrap syscall.ECONNREFUSED besides cluster.ErrPeerLost.
// An ask that no peer would accept ends with cluster.ErrAskInvalid and is not sent; one that the peer calls invalid ends
// without an error and has an Answer that says so.
func (t *Transport) Peer(id ring.Member, addr string) cluster.Peer {
	p := newPair(t, id, addr)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		for _, l := range p.links() {
			l.state, l.err = closed, cluster.ErrPeerShutdown
		}
		return p
	}
	links := slices.Concat(*t.links.Load(), p.links())
	t.links.Store(&links)
	return p
}

// forget drops p from the links that the alarm looks at.
func (t *Transport) forget(p *pair) {
	t.mu.Lock()
	defer t.mu.Unlock()
	links := slices.DeleteFunc(slices.Clone(*t.links.Load()), func(l *link) bool { return l == p.checks || l == p.tells })
	t.links.Store(&links)
}

// start runs f, and before the first time the alarm, until they end by themselves after Close. It is false once closed.
func (t *Transport) start(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	if !t.started {
		t.started = true
		t.running.Go(func() { t.alarm.run(t.done, func() []*link { return *t.links.Load() }) })
	}
	t.running.Go(f)
	return true
}

// Greet implements cluster.Transport.
func (t *Transport) Greet(ctx context.Context, addr string) (cluster.Hello, error) {
	var hello cluster.Hello
	err := t.once(ctx, addr, func(ctx context.Context, c peerpb.PeerClient) error {
		var p peer.Peer
		answer, err := c.Greet(ctx, &peerpb.GreetRequest{}, grpc.Peer(&p))
		if err != nil {
			return err
		}
		hello = fromProto(answer.GetHello())
		return t.identify(&p, hello.ID)
	})
	if err != nil {
		return cluster.Hello{}, fmt.Errorf("greet %s: %w", addr, err)
	}
	return hello, nil
}

// Close implements cluster.Transport. It blocks until all goroutines of t have ended.
func (t *Transport) Close() error {
	t.mu.Lock()
	again := t.closed
	t.closed = true
	listener, server := t.listener, t.server
	t.mu.Unlock()
	if !again {
		close(t.done)
	}
	for _, l := range *t.links.Load() {
		l.shut(cluster.ErrPeerShutdown)
	}
	if server != nil {
		server.Stop()
	}
	t.running.Wait()
	if listener == nil || server != nil || again {
		return nil
	}
	return listener.Close()
}
