// Package cluster is a node among nodes: it finds the others, knows which of them holds a key, and gets every check
// decided there.
//
// A Node decides on the keys whose partition it holds, in its own memory, and asks the holder for all others, at most
// three nodes one after the other. Where the holder does not answer within Config.PeerWait the request's OnLost rule does.
// What a holder denied is denied elsewhere too until its time has come, and of a key that is asked for often a holder lends tokens, so
// that a hot key costs it nothing.
// Nodes with RoleGateway hold nothing and ask for all.
// Partitions move between nodes with all that their buckets owe when nodes join and leave; package core has the rules.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
)

// A Node is one member of a cluster. Its methods are safe for concurrent use. Checks are answered once Ready is closed.
type Node struct {
	config   Config
	name     ring.Member
	boot     uint64
	log      *slog.Logger
	base     time.Time // Instant 0
	store    *bucket.Store
	replicas *bucket.Store // of what others hold
	rings    rings
	holding
	suspects chan *member  // who hung up, or refuses connections
	gone     chan core.Run // runs of members whose processes have ended
	shares   shares
	taken    taken
	denials  denials
	leases   leases
	unheld   unheld
	saving   saving
	deniedTo deniedTo
	decided  decidedChecks
	hot      hot
	watches  watches
	events   events
	asks     sync.Pool // of *Ask
	heres    sync.Pool // of *allHere

	view     atomic.Pointer[view] // nil until the node is ready
	lastHold atomic.Uint64        // the last Ask.Hold

	degraded atomic.Uint64 // checks answered without their holder
	policy   atomic.Uint64 // what SetPolicy said
	given    atomic.Uint64 // counts what gave tokens other than by refill
	leaving  atomic.Bool
	ended    atomic.Bool // Run is over

	opened chan struct{} // closed when the ports are open
	ready  chan struct{} // closed when the node serves and the others know
	joined chan struct{} // closed when a seed has answered, or none has to
	found  sync.Once     // closes joined

	mu      sync.Mutex
	gossip  *gossip.Gossip     // nil before Run opened it; guarded by mu
	peer    string             // address of the transport; guarded by mu
	stop    context.CancelFunc // of Run; guarded by mu
	started time.Time          // when Run was called; guarded by mu
	closed  bool               // guarded by mu
}

// New returns a node that is made as c says. It opens nothing yet; Run does. Errors wrap ErrConfig.
func New(c Config) (*Node, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	name := ring.Member(c.Name)
	if err := name.Validate(); err != nil {
		return nil, fmt.Errorf("%w: Name: %w", ErrConfig, err)
	}
	builder, err := ring.NewBuilder(c.Ring)
	if err != nil {
		return nil, fmt.Errorf("%w: Ring: %w", ErrConfig, err)
	}
	base := time.Now()
	n := &Node{
		config: c, name: name, boot: uint64(base.UnixNano()), log: c.Logger.With("node", c.Name), base: base,
		gone: make(chan core.Run, 64), suspects: make(chan *member, 64), opened: make(chan struct{}), ready: make(chan struct{}), joined: make(chan struct{}),
	}
	empty, err := builder.Table(nil)
	if err != nil {
		return nil, fmt.Errorf("%w: Ring: %w", ErrConfig, err)
	}
	partitions := empty.Params().Partitions
	if err := n.initState(partitions); err != nil {
		return nil, err
	}
	n.lastHold.Store(n.boot) // those of an earlier run may still be remembered elsewhere
	if err := n.newHolding(partitions); err != nil {
		return nil, err
	}
	n.rings.builder = builder
	n.asks.New = func() any { return NewAsk() }
	n.shares.init()
	n.taken.init()
	n.denials.init()
	n.leases.init()
	n.hot.init()
	n.events.init(name)
	n.unheld.init(partitions)
	if _, err := gossip.New(n.gossipConfig("127.0.0.1:0")); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return n, nil
}

func (n *Node) gossipConfig(peer string) gossip.Config {
	c := n.config
	return gossip.Config{
		ID: n.name, Boot: n.boot, Gateway: n.isGateway(), Bind: c.Gossip, Advertise: c.GossipAdvertise, PeerAddr: peer, Label: c.Label,
		RingParams: n.hello().Ring, Protocol: OldestProtocol, Newest: Protocol, Transport: c.GossipTransport, Settle: c.Settle,
		Find: c.FindSeeds, Keyring: c.GossipKeyring, Logger: n.log,
	}
}

// hello is what the node says of itself to peers.
func (n *Node) hello() Hello {
	return Hello{Protocol: OldestProtocol, Newest: Protocol, Label: n.config.Label, Ring: n.config.Ring.String(), ID: n.name, Boot: n.boot}
}

// now reads the node's clock.
func (n *Node) now() bucket.Instant { return bucket.Instant(time.Since(n.base)) }

// Run opens the node's ports, joins Config.Seeds and what Config.FindSeeds finds, trying again until one answers, and serves until ctx ends, Close is
// called, or something breaks. It returns nil in the first two cases, an error that wraps ErrNameTaken or ErrMismatch if
// the cluster has no place for this node, and any other error as it came. It is called once.
func (n *Node) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.load(ctx)
	g, err := n.open(cancel)
	if err != nil {
		return err
	}
	n.log.Info("opened", "gossip", g.Addr(), "peer", n.peerAddr())
	close(n.opened)
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return g.Run(ctx) })
	tasks.Go(func() error { return n.config.Transport.Serve(ctx, n.hello(), n) })
	tasks.Go(func() error { return n.watch(ctx, g) })
	tasks.Go(func() error { return n.suspect(ctx) })
	tasks.Go(func() error { return n.seek(ctx, g) })
	tasks.Go(func() error { return n.announce(ctx) })
	tasks.Go(func() error { return n.sweep(ctx) })
	tasks.Go(func() error { return n.beat(ctx) })
	tasks.Go(func() error { return n.settle(ctx) })
	tasks.Go(func() error { return n.saveOften(ctx) })
	tasks.Go(func() error { return n.borrow(ctx) })
	tasks.Go(func() error {
		<-ctx.Done()
		return n.config.Transport.Close()
	})
	err = tasks.Wait()
	n.ended.Store(true)
	n.view.Store(nil)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// open opens transport and gossip.
func (n *Node) open(stop context.CancelFunc) (*gossip.Gossip, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		return nil, ErrClosed
	case !n.started.IsZero():
		return nil, fmt.Errorf("%w: Run was called before", ErrClosed)
	}
	n.started, n.stop = time.Now(), stop
	peer, err := n.config.Transport.Listen()
	if err != nil {
		return nil, err
	}
	g, err := gossip.New(n.gossipConfig(peer))
	if err == nil {
		err = g.Start()
	}
	if err != nil {
		return nil, errors.Join(err, n.config.Transport.Close())
	}
	n.gossip, n.peer = g, peer
	g.SetPolicy(n.policy.Load())
	return g, nil
}

func (n *Node) peerAddr() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.peer
}

// Addrs returns the addresses of gossip and of the transport, with the ports that were chosen: empty before Run has
// opened them.
func (n *Node) Addrs() (gossip, peer string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gossip == nil {
		return "", ""
	}
	return n.gossip.Addr(), n.peer
}

// SetPolicy tells all members by gossip which policy this node goes by, so that Status shows where they differ. hash is 0 for
// none. It does not block and may be called at any time.
func (n *Node) SetPolicy(hash uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.policy.Store(hash)
	if n.gossip != nil {
		n.gossip.SetPolicy(hash)
	}
}

// Opened returns a channel that is closed when the node's ports are open.
func (n *Node) Opened() <-chan struct{} { return n.opened }

// Ready returns a channel that is closed when the node has joined, or has nobody to join, and all members that answer go
// by the same ring; a gateway knows a holder then. The node answers checks from then on, and from a little earlier.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Close ends Run as a crash would: the others find out by themselves. It does not wait. Leave first for a better one.
func (n *Node) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	if n.stop != nil {
		n.stop()
	}
	return nil
}
