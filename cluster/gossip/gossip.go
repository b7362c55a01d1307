// Package gossip says who is in the cluster: members in, member sets out.
//
// It is hashicorp's memberlist behind one type, with what a cluster needs besides: sets that have settled, nodes of
// another cluster told so, a node's runs told apart, and clusters that were cut in two made one again.
package gossip

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// Errors of a Gossip's methods. What is returned wraps one of them and tells the details.
var (
	ErrClosed   = errors.New("gossip is closed")
	ErrMismatch = errors.New("node does not fit this cluster") // other label, ring parameters or protocol
	ErrNoSeed   = errors.New("no seed could be joined")
)

// The two steps of leaving may take so many gossip intervals: to say that the node drains, so that others can tell the
// next from a death, and to say that it left. A cluster of 30 needs four for each, one of 1,000 seven; the rest is for
// machines that are short of processors.
const (
	drainIntervals = 10
	leaveIntervals = 40
)

// A Gossip is this node's part in the gossip. All methods are safe for concurrent use.
type Gossip struct {
	config   Config
	roster   *roster
	journal  *journal
	seeds    *seeds
	updates  chan []Member
	draining atomic.Bool
	policy   atomic.Uint64
	redraw   chan struct{} // has an element when draining or policy changed
	ready    chan struct{} // closed when list is set
	list     *memberlist.Memberlist
	leave    chan struct{} // closed by Leave
	stop     chan struct{} // closed by Close
	done     chan struct{} // closed at the end of Run
	left     error         // what Leave returns; valid once done is closed

	mu      sync.Mutex
	wire    *wire // nil before Start; guarded by mu
	running bool  // guarded by mu
	leaving bool  // guarded by mu
	closed  bool  // guarded by mu
}

// New checks config, all of it, and starts nothing.
func New(config Config) (*Gossip, error) {
	config, err := config.complete()
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	return &Gossip{
		config:  config,
		roster:  newRoster(nameOf(config.ID, config.Boot)),
		journal: newJournal(config.Logger),
		seeds:   &seeds{},
		updates: make(chan []Member, 1),
		redraw:  make(chan struct{}, 1),
		ready:   make(chan struct{}),
		leave:   make(chan struct{}),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
	}, nil
}

// Start opens Config.Bind, so that Addr is valid from here on. Run does it where nobody did; with Start errors come
// before anything runs. Who started and does not Run closes.
func (g *Gossip) Start() error {
	_, err := g.open()
	return err
}

// open returns the wire, and makes it the first time.
func (g *Gossip) open() (*wire, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, ErrClosed
	}
	if g.wire != nil {
		return g.wire, nil
	}
	host, port, err := net.SplitHostPort(g.config.PeerAddr)
	if err != nil || port == "0" {
		return nil, fmt.Errorf("gossip: peer address %q: want a port that others can reach", g.config.PeerAddr)
	}
	w, err := g.config.open(log.New(g.journal, "", 0))
	if err != nil {
		return nil, err
	}
	g.wire = w
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		g.config.PeerAddr = net.JoinHostPort(w.ip.String(), port)
	}
	g.roster.put(g.roster.self, Member{
		ID: g.config.ID, Boot: g.config.Boot, Peer: g.config.PeerAddr, Gossip: w.addr(), Draining: g.draining.Load(),
		Gateway: g.config.Gateway, Policy: g.policy.Load(),
	})
	return w, nil
}

// Addr returns the IP:port at which others reach this node with gossip, "" before Start or Run opened it.
func (g *Gossip) Addr() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wire == nil {
		return ""
	}
	return g.wire.addr()
}

// Run takes part in the gossip until ctx ends, Close is called, or Leave is done, and returns nil then. To others the
// first two look like a crash. It is called once. Some goroutines of memberlist that wait for an answer outlive it, for
// ten seconds at most.
func (g *Gossip) Run(ctx context.Context) error {
	w, err := g.begin()
	if err != nil {
		return err
	}
	defer close(g.done)
	config := g.config.memberlist()
	d := delegate{g, w}
	config.Transport, config.Logger = w, log.New(g.journal, "", 0)
	config.Delegate, config.Events, config.Conflict, config.Merge, config.Alive = d, d, d, d, d
	config.BindPort = w.port
	list, err := memberlist.Create(config)
	if err != nil {
		return errors.Join(fmt.Errorf("gossip at %s: %w", w.addr(), err), w.Shutdown())
	}
	g.list = list
	close(g.ready)

	ctx, cancel := context.WithCancel(ctx)
	var children sync.WaitGroup
	children.Go(func() { g.journal.run(ctx) })
	children.Go(func() { g.settle(ctx) })
	children.Go(func() { g.rejoin(ctx) })
	g.left = g.serve(ctx, list)
	cancel()
	_ = list.Shutdown() // fails only where the transport's does, when all is over anyway
	children.Wait()
	return nil
}

// begin opens the wire for the only Run.
func (g *Gossip) begin() (*wire, error) {
	w, err := g.open()
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return nil, ErrClosed
	case g.running:
		return nil, errors.New("gossip: Run was called before")
	}
	g.running = true
	return w, nil
}

// serve does what methods ask for until the end, and returns the error of leaving.
func (g *Gossip) serve(ctx context.Context, list *memberlist.Memberlist) error {
	for {
		select {
		case <-ctx.Done():
			return ErrClosed
		case <-g.stop:
			return ErrClosed
		case <-g.redraw:
			_ = list.UpdateNode(time.Nanosecond) // hands it to memberlist; the error says that it was not yet sent
		case <-g.leave:
			if !g.draining.Swap(true) {
				_ = list.UpdateNode(drainIntervals * g.config.GossipInterval) // it leaves either way
			}
			return list.Leave(leaveIntervals * g.config.GossipInterval)
		}
	}
}

// SetDraining says to all whether this node is about to leave. It returns at once; the others know some gossip intervals
// later.
func (g *Gossip) SetDraining(draining bool) {
	if g.draining.Swap(draining) != draining {
		g.tell()
	}
}

// SetPolicy says to all which policy this node goes by, as Member.Policy. It returns at once, as SetDraining does.
func (g *Gossip) SetPolicy(hash uint64) {
	if g.policy.Swap(hash) != hash {
		g.tell()
	}
}

// tell has Run tell what is new of this node.
func (g *Gossip) tell() {
	select {
	case g.redraw <- struct{}{}:
	default:
	}
}

// Leave tells the others that this node leaves, which takes 3 to 25 gossip intervals, fewer after SetDraining, and ends
// Run. The error says that the others may not have heard; it is ErrClosed if Run ended otherwise before. When ctx ends
// before, Leave returns its error and the leaving goes on. Without a Run, Leave is Close.
func (g *Gossip) Leave(ctx context.Context) error {
	g.mu.Lock()
	running, first := g.running, !g.leaving
	g.leaving = true
	g.mu.Unlock()
	if !running {
		return g.Close()
	}
	if first {
		close(g.leave)
	}
	select {
	case <-g.done:
		return g.left
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends Run as a crash would, and waits for its end: the others find out by themselves. Close again does nothing.
func (g *Gossip) Close() error {
	g.mu.Lock()
	running, first, w := g.running, !g.closed, g.wire
	g.closed = true
	g.mu.Unlock()
	if first {
		close(g.stop)
	}
	switch {
	case running:
		<-g.done
		return nil
	case w != nil:
		return w.Shutdown()
	}
	return nil
}

// View returns what the node knows right now, settled or not. It belongs to the caller. There are no members before Start.
func (g *Gossip) View() View { return g.roster.view(time.Now()) }

// Members returns the members of View.
func (g *Gossip) Members() []Member { return g.View().Members }
