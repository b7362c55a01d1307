package gossip

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// A wire is memberlist's transport: Config.Transport, or UDP and TCP. To what that does it adds the advertised address,
// and for each attempt to join a dial of its own, which a context ends and which keeps the error: memberlist's own
// knows no context, and turns errors into text.
type wire struct {
	memberlist.NodeAwareTransport
	ip   net.IP // advertised
	port int

	mu     sync.Mutex
	closed bool                // guarded by mu
	tries  map[string]*attempt // by their tokens; guarded by mu
	tokens int                 // given out; guarded by mu
	dial   func(context.Context, string) (net.Conn, error)
}

// An attempt is one try to join by one address.
type attempt struct {
	addr   string
	dial   func(timeout time.Duration) (net.Conn, error)
	cancel context.CancelFunc
	mu     sync.Mutex
	err    error // the first that came from the network; guarded by mu
}

// bindTries is how often port 0 is tried: the free TCP port that the system finds may be in use with UDP.
const bindTries = 10

func (c Config) open(lines *log.Logger) (*wire, error) {
	inner := c.Transport
	if inner == nil {
		at, err := parseIPPort(c.Bind)
		if err != nil {
			return nil, err
		}
		if inner, err = listen(at, lines); err != nil {
			return nil, fmt.Errorf("gossip at %s: %w", c.Bind, err)
		}
	}
	w := &wire{NodeAwareTransport: inner, tries: map[string]*attempt{}, dial: dialerOf(inner)}
	if err := w.advertise(c.Advertise); err != nil {
		return nil, errors.Join(fmt.Errorf("address of gossip for others: %w", err), inner.Shutdown())
	}
	return w, nil
}

func listen(at netip.AddrPort, lines *log.Logger) (*memberlist.NetTransport, error) {
	config := &memberlist.NetTransportConfig{BindAddrs: []string{at.Addr().String()}, BindPort: int(at.Port()), Logger: lines}
	for try := 1; ; try++ {
		inner, err := memberlist.NewNetTransport(config)
		used := err != nil && strings.Contains(err.Error(), syscall.EADDRINUSE.Error())
		if used && at.Port() == 0 && try < bindTries {
			continue
		}
		if used {
			err = syscall.EADDRINUSE // memberlist made it a text
		}
		return inner, err
	}
}

// dialerOf returns how to connect through a transport under a context.
func dialerOf(inner memberlist.NodeAwareTransport) func(context.Context, string) (net.Conn, error) {
	type dialer interface {
		DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	}
	var d dialer = &net.Dialer{}
	if _, ok := inner.(*memberlist.NetTransport); !ok {
		if d, ok = inner.(dialer); !ok {
			return func(ctx context.Context, addr string) (net.Conn, error) {
				by, _ := ctx.Deadline() // each dial has one
				return inner.DialTimeout(addr, time.Until(by))
			}
		}
	}
	return func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
}

// advertise finds the address for others.
func (w *wire) advertise(wish string) (err error) {
	if w.ip, w.port, err = w.NodeAwareTransport.FinalAdvertiseAddr("", 0); wish == "" {
		return err
	}
	bound := w.port // 0 if there was an error, as where all addresses are bound and none is private
	if inner, ok := w.NodeAwareTransport.(*memberlist.NetTransport); ok {
		bound = inner.GetAutoBindPort()
	}
	at, err := parseIPPort(wish)
	if err != nil {
		return err
	}
	w.ip, w.port = at.Addr().AsSlice(), int(at.Port())
	if w.port == 0 {
		w.port = bound
	}
	if w.port == 0 {
		return fmt.Errorf("%q: want a port", wish)
	}
	return nil
}

// FinalAdvertiseAddr returns the address for others.
func (w *wire) FinalAdvertiseAddr(string, int) (net.IP, int, error) { return w.ip, w.port, nil }

func (w *wire) addr() string { return net.JoinHostPort(w.ip.String(), strconv.Itoa(w.port)) }

// attempt starts an attempt to join. Its token, as the name of the node that memberlist shall join, makes memberlist dial
// through it. The attempt ends with ctx and with the wire.
func (w *wire) attempt(ctx context.Context, addr string) (token string, a *attempt, err error) {
	ctx, cancel := context.WithCancel(ctx)
	a = &attempt{addr: addr, cancel: cancel}
	a.dial = func(timeout time.Duration) (net.Conn, error) {
		dialing, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		c, err := w.dial(dialing, addr)
		if err != nil {
			return nil, a.note(err)
		}
		return &joinConn{Conn: c, attempt: a, stop: context.AfterFunc(ctx, func() { c.Close() })}, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		cancel()
		return "", nil, ErrClosed
	}
	w.tokens++
	token = "join-" + strconv.Itoa(w.tokens)
	w.tries[token] = a
	return token, a, nil
}

func (w *wire) endAttempt(token string) {
	w.mu.Lock()
	a := w.tries[token]
	delete(w.tries, token)
	w.mu.Unlock()
	a.cancel()
}

// trying says whether there is an attempt to join by addr.
func (w *wire) trying(addr string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.tries {
		if a.addr == addr {
			return true
		}
	}
	return false
}

// DialAddressTimeout connects through the attempt that a.Name names, or as the transport does.
func (w *wire) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	w.mu.Lock()
	try := w.tries[a.Name]
	w.mu.Unlock()
	if try != nil {
		return try.dial(timeout)
	}
	return w.NodeAwareTransport.DialAddressTimeout(a, timeout)
}

// Shutdown ends attempts and the transport.
func (w *wire) Shutdown() error {
	w.mu.Lock()
	first := !w.closed
	w.closed = true
	for _, a := range w.tries {
		a.cancel()
	}
	w.mu.Unlock()
	if !first {
		return nil
	}
	return w.NodeAwareTransport.Shutdown()
}

// note keeps err if it is the first, and returns it.
func (a *attempt) note(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil && a.err == nil {
		a.err = err
	}
	return err
}

// failed returns the first error that came from the network.
func (a *attempt) failed() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// A joinConn keeps the errors of a connection for its attempt.
type joinConn struct {
	net.Conn
	attempt *attempt
	stop    func() bool
}

func (c *joinConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, c.attempt.note(err)
}

func (c *joinConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.attempt.note(err)
}

func (c *joinConn) Close() error {
	c.stop()
	return c.Conn.Close()
}
