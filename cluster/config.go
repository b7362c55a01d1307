package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/cluster/snapshot"
	"github.com/noriahq/noria/ring"
)

// Config is what a Node is made of. Name and Transport are required.
type Config struct {
	// Name is the node's id: 1 to 128 bytes, unique among the living nodes of the cluster, and the same after a restart.
	Name string

	// Transport carries checks to the other nodes; transport/peer has the one over gRPC.
	Transport Transport

	// Role says whether the node holds keys, or only asks. Default: RoleHolder. A cluster of many nodes costs less with a few
	// holders, as each of them speaks to every node, and gateways speak to holders alone.
	Role Role

	// Version is what the node says of its program to whoever asks for the members' reports. Default: none.
	Version string

	// Label names the cluster, up to 64 bytes. Nodes with another label are not let in. Default: "noria".
	Label string

	// Gossip is the host:port on which nodes find each other, over UDP and TCP. Default: "127.0.0.1:7946"; port 0 picks a
	// free one.
	Gossip string

	// GossipAdvertise is the host:port that others are told, where it differs from Gossip (address translation).
	GossipAdvertise string

	// GossipKeyring has the keys that encrypt gossip, and keep out who has none of them. They may be changed while the node
	// runs. Default: none, whoever reaches the port can take part and listen.
	GossipKeyring *gossip.Keyring

	// GossipTransport, where not nil, replaces real sockets. Tests use it.
	GossipTransport memberlist.NodeAwareTransport

	// Seeds are gossip addresses that Run joins, trying again until one answers. A node with seeds is not ready before
	// that, unless Alone is set. Its own address among them does no harm. Default: none, the node is the first.
	Seeds []string

	// FindSeeds returns further gossip addresses, IP:port, where they are not fixed; package discover has one for DNS and files.
	// It is called each time that the node tries to join, and every 10 s afterwards, to look for members that are missing. What
	// it returned before is forgotten then, unless it returned nothing but an error. Addresses beside an error are used. A node
	// that finds no address but its own, for 3 s, is the first. Default: none, Seeds are all.
	FindSeeds func(ctx context.Context) ([]string, error)

	// Alone makes a node ready although none of its Seeds answers. Two halves of a cluster that start apart so limit each
	// for itself until they meet.
	Alone bool

	// Ring is the shape of the ring. All nodes must have the same. Default: see ring.Params.
	Ring ring.Params

	// MaxKeys is the most buckets this node keeps. Default: 10,000,000, some 64 bytes each beyond the key.
	MaxKeys int

	// LimitKeys is the most buckets of one limit that this node keeps, of the keys that it holds; beyond, new keys of the limit
	// share one bucket. Limits that are equal are one. Default: 0, as many as MaxKeys. Less bounds what somebody gets by making up keys,
	// and is too little where a limit has more honest ones.
	LimitKeys int

	// MaxReservations is the most living reservations this node keeps, of the keys that it holds. Default: 100,000, some 300 bytes
	// each. Those beyond are refused with bucket.ErrFull.
	MaxReservations int

	// PeerWait is how long a check waits for another node that is silent. Default: 50ms. Less answers sooner and degrades more
	// often. For one that is slow but heard of, and for a partition on its way, a check waits half a second.
	PeerWait time.Duration

	// Fence is how long a node decides without hearing from more than half of the members. Default: 1250ms. It has to be
	// less than what gossip takes to miss a node (1.35s with the default settings). Less makes a node that is cut off stop
	// sooner, and one that stood still for a moment too.
	Fence time.Duration

	// ForgetAfter is how long a node that died without a word counts as a member when a side of a cut asks whether it is
	// the larger one, and as one that may answer while a holder is missing. Default: 10m. Less lets a small rest of a cluster go
	// on sooner, and two sides of a long cut both.
	ForgetAfter time.Duration

	// MoveRate is how many bytes a second this node sends at most to nodes that join, and of whole replicas; at least 1 MiB.
	// Default: 4 MiB, some 36,000 buckets, each counted as 100 bytes and its key. More ends a move sooner, less leaves more time
	// for checks on a small machine. A node that leaves hands over as fast as it can, up to 16,384 partitions a second.
	MoveRate int

	// Settle is how long the membership has to stand still before the ring follows it. Default: 75ms. Less follows
	// sooner and moves partitions more often while several nodes start.
	Settle time.Duration

	// State, where not nil, is where the node saves what it holds, and from where it starts: so that a stop of the whole cluster
	// resets no quota. It saves every StateEvery, and when it leaves. What others hold meanwhile counts; what was saved is
	// merged into it by the larger debt. The time that passed counts as refill as far as the wall clock tells: one that is set
	// back gives nothing, one that is set ahead at most what it is ahead. snapshot.Open opens it, for the node's Name and
	// Label; it belongs to the caller, who closes it after Run. Not for gateways, which hold nothing. Default: nothing is saved.
	//
	// Checks do not wait for it: partitions are copied one by one. While a million keys are saved again and again one check in a
	// thousand takes 34 µs, and 17 µs without (BenchmarkCheckBesideSave, 2 cores).
	State *snapshot.Dir

	// StateEvery is how often the node saves. Default: 10s, at least 100ms. It is how much a crash of the whole cluster may give once
	// more; less writes as much more often: some 60 bytes for each key that is not full.
	StateEvery time.Duration

	// Trace, where not nil, is told of each ask of another node for the sake of a request, just before it is sent, and what it
	// returns, which may be nil, of how that ended: of an answer with err nil. ctx is the request's. It must not block, and is called
	// by many goroutines at once. Default: nil, which costs nothing.
	Trace func(ctx context.Context, h Hop) func(s AnswerStatus, err error)

	// Logger gets what the node has to say. Default: nothing is logged.
	Logger *slog.Logger
}

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	if c.Label == "" {
		c.Label = "noria"
	}
	if c.Role == "" {
		c.Role = RoleHolder
	}
	if c.Gossip == "" {
		c.Gossip = "127.0.0.1:7946"
	}
	if c.PeerWait == 0 {
		c.PeerWait = 50 * time.Millisecond
	}
	if c.Settle == 0 {
		c.Settle = 75 * time.Millisecond
	}
	if c.StateEvery == 0 {
		c.StateEvery = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// check returns an error that wraps ErrConfig if c cannot work. Packages below check what is theirs.
func (c Config) check() error {
	switch {
	case c.Name == "":
		return fmt.Errorf("%w: Name is empty, want 1 to 128 bytes", ErrConfig)
	case c.Transport == nil:
		return fmt.Errorf("%w: Transport is nil, want one such as peer.New returns", ErrConfig)
	case c.PeerWait < 0:
		return fmt.Errorf("%w: PeerWait is %v, want more than 0", ErrConfig, c.PeerWait)
	case c.Fence < 0:
		return fmt.Errorf("%w: Fence is %v, want more than 0", ErrConfig, c.Fence)
	case c.MoveRate != 0 && c.MoveRate < 1<<20:
		return fmt.Errorf("%w: MoveRate is %d bytes a second, want at least 1 MiB, 1048576", ErrConfig, c.MoveRate)
	case c.ForgetAfter < 0:
		return fmt.Errorf("%w: ForgetAfter is %v, want more than 0", ErrConfig, c.ForgetAfter)
	case c.Settle < 0:
		return fmt.Errorf("%w: Settle is %v, want more than 0", ErrConfig, c.Settle)
	case c.StateEvery < 100*time.Millisecond:
		return fmt.Errorf("%w: StateEvery is %v, want 100ms or more", ErrConfig, c.StateEvery)
	case c.MaxReservations < 0:
		return fmt.Errorf("%w: MaxReservations is %d, want 1 or more", ErrConfig, c.MaxReservations)
	case c.LimitKeys < 0:
		return fmt.Errorf("%w: LimitKeys is %d, want 1 or more, or 0 for no bound", ErrConfig, c.LimitKeys)
	case c.MaxKeys < 0:
		return fmt.Errorf("%w: MaxKeys is %d, want 1 or more", ErrConfig, c.MaxKeys)
	}
	return c.Role.check()
}
