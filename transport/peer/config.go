package peer

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport/peerpb"
)

// Config is what a Transport needs. The zero value listens on 127.0.0.1:7947 and speaks plaintext.
type Config struct {
	// Listen is the address that peers connect to, as host:port; port 0 picks a free one. Default: 127.0.0.1:7947.
	Listen string

	// Advertise is how peers reach Listen, as host or host:port; without a port or with port 0 it has that of Listen.
	// Default: Listen. It is needed where Listen is for all interfaces, such as :7947, because that names no host.
	Advertise string

	// Listener takes the place of Listen where it is not nil, for tests in memory. The Transport closes it.
	Listener net.Listener

	// Dialer opens connections to peers. An error that wraps syscall.ECONNREFUSED tells callers that nobody listens.
	// Default: TCP.
	Dialer func(ctx context.Context, addr string) (net.Conn, error)

	// ServerCredentials are for who connects to us. Default: plaintext, for trusted networks.
	ServerCredentials credentials.TransportCredentials

	// ClientCredentials are for whom we connect to. Default: plaintext.
	ClientCredentials credentials.TransportCredentials

	// Identify returns nil if the other end of a connection, which has shown auth, may say that it is the node id; "" is any
	// node of the cluster. Who is refused hears the error. Default: everybody may say anything.
	Identify func(auth credentials.AuthInfo, id ring.Member) error

	// Keys does a step of a run that looks at or changes the keys of this node's gossip, which a peer asks for. Its errors
	// have a gRPC status. Default: peers hear that there are none.
	Keys func(context.Context, *peerpb.KeysRequest) (*peerpb.KeysResponse, error)

	// MaxQueue is the most asks that wait to be sent to one peer; beyond it an ask ends at once with
	// cluster.ErrPeerBusy. Default: 8192. Less answers sooner when a peer is slow and degrades more in a burst.
	MaxQueue int

	// MaxTold is the most bytes of bodies that wait to be sent to one peer; beyond it telling ends at once with
	// cluster.ErrPeerBusy, unless nothing waits. Default: 16 MiB. The bytes are the asks' own until they are sent.
	MaxTold int

	// MaxBatch is the most checks that one message carries, cluster.MaxChecks to 4096. Default: 4096. Less costs more
	// CPU under load and lets an ask wait less for those sent with it.
	MaxBatch int

	// ConnectTimeout is how long opening a connection may take, with TLS and all. Default: 2s.
	ConnectTimeout time.Duration

	// MaxConns is the most connections that are accepted at a time; more are closed at once. Default: 512.
	MaxConns int

	// MaxStreams is the most streams that are served at a time, over all connections; more are refused. Default: 1024.
	MaxStreams int

	// Logger gets what happens to streams: opened, broken, refused. Default: none.
	Logger *slog.Logger
}

// Bounds of what is said. They are part of the protocol: what one node sends another must accept.
const (
	maxMessage = 1 << 20   // bytes of a message; longer ones end the stream
	maxItems   = 4096      // checks, and so asks, in a message
	batchBytes = 768 << 10 // bytes that a writer puts into a message, by measure
	maxReason  = 128       // bytes of an Answer's reason
	maxName    = 128       // bytes of a node's id
	maxZone    = 64        // bytes of a time zone's name
)

func (c Config) withDefaults() Config {
	c.Listen = cmp.Or(c.Listen, "127.0.0.1:7947")
	c.MaxQueue = cmp.Or(c.MaxQueue, 8192)
	c.MaxTold = cmp.Or(c.MaxTold, 16<<20)
	c.MaxBatch = cmp.Or(c.MaxBatch, maxItems)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 2*time.Second)
	c.MaxConns = cmp.Or(c.MaxConns, 512)
	c.MaxStreams = cmp.Or(c.MaxStreams, 1024)
	if c.Dialer == nil {
		c.Dialer = dialTCP
	}
	if c.ServerCredentials == nil {
		c.ServerCredentials = insecure.NewCredentials()
	}
	if c.ClientCredentials == nil {
		c.ClientCredentials = insecure.NewCredentials()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) check() error {
	switch {
	case c.MaxQueue < 1:
		return fmt.Errorf("MaxQueue is %d asks: want at least 1", c.MaxQueue)
	case c.MaxTold < 1:
		return fmt.Errorf("MaxTold is %d bytes: want at least 1", c.MaxTold)
	case c.MaxBatch < cluster.MaxChecks || c.MaxBatch > maxItems:
		return fmt.Errorf("MaxBatch is %d checks: want %d to %d", c.MaxBatch, cluster.MaxChecks, maxItems)
	case c.ConnectTimeout < 0:
		return fmt.Errorf("ConnectTimeout is %v: want more than 0", c.ConnectTimeout)
	case c.MaxConns < 1:
		return fmt.Errorf("MaxConns is %d connections: want at least 1", c.MaxConns)
	case c.MaxStreams < 1:
		return fmt.Errorf("MaxStreams is %d streams: want at least 1", c.MaxStreams)
	}
	if c.Listener == nil {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			return fmt.Errorf("Listen is %q: want host:port, such as 127.0.0.1:7947", c.Listen)
		}
	}
	return nil
}

// advertised returns the address to tell peers where bound is the address that was opened.
func (c Config) advertised(bound string) (string, error) {
	host, port, err := net.SplitHostPort(bound)
	if err != nil {
		return cmp.Or(c.Advertise, bound), nil //nolint:nilerr // not a network's address: a test in memory
	}
	if c.Advertise == "" {
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			return "", fmt.Errorf("listening for peers on %s names no host that they could reach: "+
				"set Advertise, or Listen to the address of one interface", bound)
		}
		return bound, nil
	}
	ahost, aport, err := net.SplitHostPort(c.Advertise)
	if err != nil {
		ahost, aport = strings.Trim(c.Advertise, "[]"), "0"
	}
	if aport == "0" || aport == "" {
		aport = port
	}
	return net.JoinHostPort(ahost, aport), nil
}

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}
