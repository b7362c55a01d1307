package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/noriahq/noria/ring"
)

// Never as a Config.RejoinInterval switches that off. A cluster that was cut in two for long stays so then.
const Never time.Duration = -1

// settleMost is how long a member set may wait for the next change.
const settleMost = 500 * time.Millisecond

// Config says who a node is and how it takes part in gossip. ID and PeerAddr have no default.
//
// The defaults of the timings let 3 to 10 nodes know of a dead one after 1.4 to 2.5 s, one time in a hundred after up to
// 3.1 s, and of no death where a node stops, or is cut off, for a second, or a quarter of all packets get lost. 300 ms,
// 120 ms and a SuspicionMult of 4 are as quick, but of three nodes one that was cut off for a second takes another for dead
// one time in four. 500 ms, 200 ms and 3 take 2.1 to 4.1 s.
type Config struct {
	// ID is the node's name: 1 to 128 bytes, printable.
	ID ring.Member

	// Boot tells apart the runs of a node; the newest must have the largest. Default: the clock in nanoseconds. If that was
	// set back between two runs, others go by the old run until they miss it.
	Boot uint64

	// Bind is the IP:port to listen at, with UDP and TCP. Port 0 picks a free one; no IP means all. Default:
	// 127.0.0.1:7946. With a Transport, which listens already, it is not used.
	Bind string

	// Advertise is the IP:port at which others reach Bind, where that differs. Port 0 means the one of Bind. Default: the
	// address of Bind, or the first private IP of the machine if that is all of them.
	Advertise string

	// PeerAddr is the host:port at which others reach this node with checks. The IP that means all, 0.0.0.0 or ::, becomes
	// the one of gossip. New takes port 0 too, Start does not.
	PeerAddr string

	// Gateway says that the node never wants partitions. Others read it in Member.Gateway.
	Gateway bool

	// Label and RingParams are the same on all nodes of a cluster. Nodes with others are not let in, and are told why. Label
	// keeps apart clusters that could meet by mistake, and keeps nobody out.
	Label      string
	RingParams string

	// Protocol is the oldest that the node accepts and Newest, 0 or more than Protocol, the newest that it speaks. Nodes that
	// have none in common are not let in either. Who knows no Newest accepts nodes with its own Protocol alone.
	Protocol, Newest uint32

	// Transport carries packets and streams. If it has a method DialContext, like net.Dialer, that is used to join.
	// Default: UDP and TCP. It belongs to the Gossip, which shuts it down.
	Transport memberlist.NodeAwareTransport

	// Settle is how long the member set must not change before it is told to Updates, up to 500ms, which is also how long
	// it waits at most. Less tells sooner, and more often while many nodes come or go. Default: 75ms.
	Settle time.Duration

	// ProbeInterval is how often a node asks another whether it lives. Default: 350ms.
	ProbeInterval time.Duration

	// ProbeTimeout, less than ProbeInterval, is how long it waits before it asks others to ask. Default: 140ms.
	ProbeTimeout time.Duration

	// GossipInterval is how often news is handed on, to five nodes, if there is any. Default: 50ms.
	GossipInterval time.Duration

	// SuspicionMult, 2 or more, is for how many ProbeIntervals a silent node is suspected before it is dead, times the
	// logarithm of the cluster's size. Less is sooner, and more often wrong. Default: 3.
	SuspicionMult int

	// PushPull is how often two nodes compare all they know. Default: 15s.
	PushPull time.Duration

	// StreamTimeout is how long the answer to a connection, and each step of comparing all, may take. Default: 3s.
	StreamTimeout time.Duration

	// RejoinInterval is how often the node tries to reach one address that is missing: a seed, or a member that went
	// without a farewell. That heals a cluster that was cut in two, which nothing else does after a minute. Default: 10s.
	RejoinInterval time.Duration

	// Find returns gossip addresses of nodes, IP:port, where they are not fixed. Gossip.Find calls it, and the node does each
	// RejoinInterval, to look for those that are missing: what it returned before is forgotten then. An error is logged, and
	// addresses beside it are used. It should come back within some seconds. Default: there is none.
	Find func(ctx context.Context) ([]string, error)

	// SecretKey, 16, 24 or 32 bytes, encrypts all gossip with AES-GCM and keeps out who does not have it. Default: none,
	// everybody who reaches the port can take part.
	SecretKey []byte

	// Keyring takes the place of SecretKey where keys shall change while nodes run. It may be shared. Default: none.
	Keyring *Keyring

	// Logger gets what a person may want to know. Default: slog.Default().
	Logger *slog.Logger
}

// complete returns c with defaults, or what is wrong with it.
func (c Config) complete() (Config, error) {
	c = c.defaults()
	if err := checkID(c.ID); err != nil {
		return c, err
	}
	if err := c.checkAddresses(); err != nil {
		return c, err
	}
	if err := c.meta(false, 0).check(); err != nil {
		return c, err
	}
	if n := len(c.SecretKey); n != 0 && n != 16 && n != 24 && n != 32 {
		return c, fmt.Errorf("secret key of %d bytes: want 16, 24 or 32", n)
	}
	return c, c.checkTimings()
}

func (c Config) defaults() Config {
	or := func(d *time.Duration, byDefault time.Duration) {
		if *d == 0 {
			*d = byDefault
		}
	}
	or(&c.Settle, 75*time.Millisecond)
	or(&c.ProbeInterval, 350*time.Millisecond)
	or(&c.ProbeTimeout, 140*time.Millisecond)
	or(&c.GossipInterval, 50*time.Millisecond)
	or(&c.PushPull, 15*time.Second)
	or(&c.StreamTimeout, 3*time.Second)
	or(&c.RejoinInterval, 10*time.Second)
	if c.SuspicionMult == 0 {
		c.SuspicionMult = 3
	}
	if c.Bind == "" {
		c.Bind = "127.0.0.1:7946"
	}
	if c.Boot == 0 {
		c.Boot = uint64(time.Now().UnixNano())
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) checkTimings() error {
	for _, d := range []struct {
		name      string
		value, to time.Duration
	}{
		{"settle", c.Settle, settleMost},
		{"probe interval", c.ProbeInterval, time.Hour},
		{"probe timeout", c.ProbeTimeout, c.ProbeInterval - 1},
		{"gossip interval", c.GossipInterval, time.Hour},
		{"push-pull interval", c.PushPull, time.Hour},
		{"stream timeout", c.StreamTimeout, time.Hour},
		{"rejoin interval", c.RejoinInterval, 24 * time.Hour},
	} {
		if d.value == Never && d.name == "rejoin interval" {
			continue
		}
		if d.value < time.Millisecond || d.value > d.to {
			return fmt.Errorf("%s %v: want 1ms to %v", d.name, d.value, d.to)
		}
	}
	if c.SuspicionMult < 2 || c.SuspicionMult > 100 {
		return fmt.Errorf("suspicion multiplier %d: want 2 to 100", c.SuspicionMult)
	}
	return nil
}

func (c Config) checkAddresses() error {
	if host, port, err := splitHostPort(c.PeerAddr); err != nil {
		return fmt.Errorf("peer address %q: %w", c.PeerAddr, err)
	} else if host == "" {
		return fmt.Errorf("peer address %q: want host:port at which others reach this node, port %d on which host?", c.PeerAddr, port)
	}
	if c.Advertise != "" {
		at, err := parseIPPort(c.Advertise)
		if err != nil {
			return fmt.Errorf("advertised address %q: %w", c.Advertise, err)
		}
		if at.Addr().IsUnspecified() {
			return fmt.Errorf("advertised address %q: want the IP at which others reach this node", c.Advertise)
		}
	}
	if c.Transport != nil {
		return nil
	}
	bind, err := parseIPPort(c.Bind)
	if err != nil {
		return fmt.Errorf("gossip address %q: %w", c.Bind, err)
	}
	if bind.Addr().IsUnspecified() && bind.Addr().Is6() && c.Advertise == "" {
		return fmt.Errorf("gossip address %q: want an advertised address too, or an IP instead", c.Bind)
	}
	return nil
}

// meta returns what the node says of itself.
func (c Config) meta(draining bool, policy uint64) meta {
	return meta{draining: draining, policy: policy, gateway: c.Gateway, protocol: c.Protocol, newest: c.Newest, label: c.Label, ring: c.RingParams, peer: c.PeerAddr}
}

// memberlist returns the configuration of memberlist, without delegates.
//
// Compression is off: packets fit as they are, and packing each one costs more than all the rest. RetransmitMult is 8
// because with the usual 4 one change in a hundred, in a cluster of five, misses a node until the next PushPull; with 8
// none in 7,000 did. News goes to five nodes every 50 ms, as a node that was silent for a second has less than half a
// second to tell all others that it lives: of ten nodes one in 80 was taken for dead with three nodes every 100 ms, and
// none of 2,000 now; where there is no news nothing is sent. AwarenessMaxMultiplier is 2 because with the usual 8 a node
// that had a bad minute asks the others eight times less often, and a death right after it shows seconds late.
// GossipToTheDeadTime is 3 s, not 30 s, as for so long the dead count as those who ought to confirm a suspicion: a third
// node that dies after two others was missed after 3.8 to 4.5 s, a fourth after 7.6 to 8.1 s, and now as any other. The
// label is not memberlist's, which would only drop what comes from other clusters: then nobody could say what was wrong.
func (c Config) memberlist() *memberlist.Config {
	m := memberlist.DefaultLANConfig()
	m.Name = nameOf(c.ID, c.Boot)
	m.ProbeInterval, m.ProbeTimeout = c.ProbeInterval, c.ProbeTimeout
	m.GossipInterval, m.PushPullInterval = c.GossipInterval, c.PushPull
	m.SuspicionMult, m.TCPTimeout = c.SuspicionMult, c.StreamTimeout
	m.EnableCompression, m.RetransmitMult, m.AwarenessMaxMultiplier, m.GossipNodes = false, 8, 2, 5
	m.GossipToTheDeadTime = 3 * time.Second
	m.SecretKey = c.SecretKey
	if c.Keyring != nil {
		m.Keyring = c.Keyring.ring
	}
	return m
}

// parseIPPort reads IP:port; no IP means all.
func parseIPPort(s string) (netip.AddrPort, error) {
	host, port, err := splitHostPort(s)
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch host {
	case "":
		host = "0.0.0.0"
	case "localhost":
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not an IP: want IP:port", host)
	}
	return netip.AddrPortFrom(ip.Unmap(), port), nil
}

func splitHostPort(s string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, errors.New("want host:port")
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q: want 0 to 65535", text)
	}
	return host, uint16(number), nil
}
