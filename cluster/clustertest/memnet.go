// Package clustertest is a cluster in memory, with Kill, Cut and Heal, for our tests and for those who embed.
package clustertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	pipeBytes   = 64 << 10          // a connection holds so many in each direction; then Write blocks
	backlog     = 128               // connections that wait for Accept; more are refused
	packetQueue = 1024              // packets that wait for a reader; more are dropped
	flyingMost  = 1 << 16           // packets under way because of the latency; more are dropped
	dialMost    = 127 * time.Second // a Dial without a deadline gives up, as Linux does
)

// A Net is a network in memory: hosts with an IP address each, packets and connections between them, and the ways in
// which networks and hosts fail. It works inside a testing/synctest bubble, where it must have been made, and outside.
//
// Where an argument names a host, "host:port" serves too. All methods are safe for concurrent use, and only Dial blocks.
type Net struct {
	mu      sync.Mutex
	rng     *rand.Rand             // guarded by mu, as is all below
	sockets map[string]*socket     // by host:port
	conns   map[*conn]struct{}     // both ends of each connection
	cuts    map[[2]string]struct{} // from host, to host: nothing passes
	frozen  map[string]struct{}    // hosts
	dead    map[string]struct{}    // hosts that were killed and not used since
	changed chan struct{}          // closed and replaced when cuts, frozen or dead change
	latency time.Duration
	loss    float64
	host    int // last one given out
	port    int // last one given out
	flying  int
	stats   NetStats
}

// NetStats counts what a Net was asked to carry.
type NetStats struct {
	Packets int // sent
	Dropped int // of these: lost, cut off, sent to nobody, or to somebody who does not keep up
	Dials   int
}

// NewNet returns a network without hosts, latency or loss. seed decides which packets get lost.
func NewNet(seed uint64) *Net {
	return &Net{
		rng: rand.New(rand.NewPCG(seed, 0)), sockets: map[string]*socket{}, conns: map[*conn]struct{}{},
		cuts: map[[2]string]struct{}{}, frozen: map[string]struct{}{}, dead: map[string]struct{}{},
		changed: make(chan struct{}), port: 49151,
	}
}

// Host returns the address of one more host: 10.0.0.1, 10.0.0.2, and so on.
func (n *Net) Host() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.host++
	return net.IPv4(10, byte(n.host>>16), byte(n.host>>8), byte(n.host)).String()
}

// SetLatency sets the one-way delay of packets and of bytes. The default is none.
func (n *Net) SetLatency(oneWay time.Duration) { n.change(func() { n.latency = oneWay }) }

// SetLoss sets the share of packets that get lost, 0 to 1. Connections lose nothing.
func (n *Net) SetLoss(share float64) { n.change(func() { n.loss = share }) }

// Cut lets nothing pass between the hosts in a and those in b: packets get lost, bytes wait in their connections, dials
// get no answer. Hosts within a, and within b, still reach each other.
func (n *Net) Cut(a, b []string) {
	n.CutOneWay(a, b)
	n.CutOneWay(b, a)
}

// CutOneWay lets nothing pass from the hosts in from to those in to; the other way stays as it is.
func (n *Net) CutOneWay(from, to []string) {
	n.change(func() {
		for _, f := range from {
			for _, t := range to {
				n.cuts[[2]string{hostOf(f), hostOf(t)}] = struct{}{}
			}
		}
	})
}

// Heal undoes all cuts. What waited in connections arrives now.
func (n *Net) Heal() { n.change(func() { clear(n.cuts) }) }

// Freeze makes a host answer nothing, like a process under SIGSTOP: others can connect to it, and hear nothing. What
// runs on the host goes on, and hears nothing either: up to 1,024 packets for it wait, and what it sends gets lost.
func (n *Net) Freeze(host string) { n.change(func() { n.frozen[hostOf(host)] = struct{}{} }) }

// Thaw undoes Freeze: what waited arrives.
func (n *Net) Thaw(host string) {
	n.change(func() {
		host = hostOf(host)
		delete(n.frozen, host)
		for _, s := range n.sockets {
			if s.addr.IP.String() != host {
				continue
			}
			for _, p := range s.held {
				n.arrive(s, p)
			}
			s.held = nil
		}
	})
}

// Kill ends all that runs at a host, or, with "host:port", at this address only, like kill -9: it refuses connections,
// and open ones break. Of what is killed, close it to end its goroutines: until the host is used again (by Listen or
// Transport) it reaches nobody. A host that shall vanish without a sign is cut off from all first.
func (n *Net) Kill(at string) {
	sockets, conns := n.condemn(at)
	for _, s := range sockets {
		_ = s.Close() // what is killed reads no error
	}
	for _, c := range conns {
		c.end(syscall.ECONNRESET)
	}
}

// condemn returns what there is at a host or an address, and marks a host as dead.
func (n *Net) condemn(at string) (sockets []*socket, conns []*conn) {
	whole := hostOf(at) == at
	match := func(a *net.TCPAddr) bool { return a.String() == at || whole && a.IP.String() == at }
	n.mu.Lock()
	defer n.mu.Unlock()
	if whole {
		n.dead[at] = struct{}{}
		n.wake()
	}
	for _, s := range n.sockets {
		if match(s.addr) {
			sockets = append(sockets, s)
		}
	}
	for c := range n.conns {
		if match(c.local) {
			conns = append(conns, c)
		}
	}
	return sockets, conns
}

// Stats returns what has been carried so far.
func (n *Net) Stats() NetStats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stats
}

// change applies f and tells all who may wait for it.
func (n *Net) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	for c := range n.conns {
		n.route(c)
	}
	n.wake()
}

// wake lets waiting dials try again. n.mu is held.
func (n *Net) wake() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// route tells the pipes of c whether bytes pass. n.mu is held.
func (n *Net) route(c *conn) {
	in, out := n.blocked(c.remote.IP.String(), c.local.IP.String()), n.blocked(c.local.IP.String(), c.remote.IP.String())
	c.in.route(in, out, n.latency)
	c.out.route(out, in, n.latency)
}

// blocked says whether nothing passes from one host to another. n.mu is held.
func (n *Net) blocked(from, to string) bool {
	_, f := n.frozen[from]
	_, t := n.frozen[to]
	return f || t || n.cut(from, to)
}

// mute says whether packets from one host never reach another. n.mu is held.
func (n *Net) mute(from, to string) bool {
	_, frozen := n.frozen[from]
	return frozen || n.cut(from, to)
}

func (n *Net) cut(from, to string) bool {
	_, ok := n.cuts[[2]string{from, to}]
	return ok && from != to
}

// Listen listens for connections at addr, "host:port"; port 0 picks a free one.
func (n *Net) Listen(addr string) (net.Listener, error) {
	s, err := n.open(addr, nil)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Transport opens addr, "host:port", for a memberlist; port 0 picks a free one. It has a method DialContext besides.
func (n *Net) Transport(addr string) (memberlist.NodeAwareTransport, error) {
	s, err := n.open(addr, make(chan *memberlist.Packet, packetQueue))
	if err != nil {
		return nil, err
	}
	return transport{s}, nil
}

func (n *Net) open(addr string, packets chan *memberlist.Packet) (*socket, error) {
	at, err := parse(addr)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if at.Port == 0 {
		n.port++
		at.Port = n.port
	}
	if n.sockets[at.String()] != nil {
		return nil, opError("listen", at, syscall.EADDRINUSE)
	}
	s := &socket{net: n, addr: at, packets: packets, queue: make(chan net.Conn, backlog), done: make(chan struct{})}
	n.sockets[at.String()] = s
	delete(n.dead, at.IP.String())
	return s, nil
}

// Dial connects from a host to addr, "host:port". It fails with syscall.ECONNREFUSED where nobody listens, and waits
// for ctx, two minutes at most, where nobody answers.
func (n *Net) Dial(ctx context.Context, from, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialMost)
	defer cancel()
	to, err := parse(addr)
	if err != nil {
		return nil, err
	}
	if net.ParseIP(hostOf(from)) == nil {
		return nil, fmt.Errorf("dial from %q: want the IP of a host", from)
	}
	if err := n.trip(ctx); err != nil {
		return nil, opError("dial", to, err)
	}
	for {
		c, changed, err := n.connect(hostOf(from), to)
		if err != nil {
			return nil, opError("dial", to, err)
		}
		if c != nil {
			return c, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, opError("dial", to, ctx.Err())
		}
	}
}

// trip waits for as long as it takes there and back.
func (n *Net) trip(ctx context.Context) error {
	n.mu.Lock()
	n.stats.Dials++
	latency := n.latency
	n.mu.Unlock()
	if latency == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(2 * latency):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// connect makes a connection. Where no answer would come it returns a channel that tells when to try again.
func (n *Net) connect(from string, to *net.TCPAddr) (*conn, <-chan struct{}, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	host := to.IP.String()
	if _, ok := n.dead[from]; ok {
		return nil, nil, net.ErrClosed
	}
	if _, ok := n.frozen[from]; ok || n.cut(from, host) || n.cut(host, from) {
		return nil, n.changed, nil
	}
	s := n.sockets[to.String()]
	if s == nil || len(s.queue) == cap(s.queue) {
		return nil, nil, syscall.ECONNREFUSED
	}
	n.port++
	a, b := newPipe(), newPipe()
	near := &net.TCPAddr{IP: net.ParseIP(from), Port: n.port}
	client := &conn{net: n, local: near, remote: to, in: a, out: b}
	server := &conn{net: n, local: to, remote: near, in: b, out: a}
	n.conns[client], n.conns[server] = struct{}{}, struct{}{}
	n.route(client)
	s.queue <- server // there is room, and only this function fills it, under n.mu
	return client, nil, nil
}

// A socket is an address in use.
type socket struct {
	net     *Net
	addr    *net.TCPAddr
	queue   chan net.Conn
	packets chan *memberlist.Packet // nil if only connections are welcome
	held    []*memberlist.Packet    // for a frozen host; guarded by net.mu
	once    sync.Once
	done    chan struct{}
}

func (s *socket) Addr() net.Addr { return s.addr }

func (s *socket) Accept() (net.Conn, error) {
	select {
	case <-s.done:
	case c := <-s.queue:
		return c, nil
	}
	return nil, opError("accept", s.addr, net.ErrClosed)
}

// Close frees the address. Connections that nobody accepted break, others stay.
func (s *socket) Close() error {
	s.once.Do(func() {
		s.net.mu.Lock()
		delete(s.net.sockets, s.addr.String()) // from here on queue gets no more
		s.net.mu.Unlock()
		close(s.done)
		for len(s.queue) > 0 {
			select {
			case c := <-s.queue:
				c.(*conn).end(syscall.ECONNRESET)
			default:
			}
		}
	})
	return nil
}

// A transport is a socket as memberlist wants it.
type transport struct{ *socket }

func (t transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.addr.IP, t.addr.Port, nil
}
func (t transport) PacketCh() <-chan *memberlist.Packet { return t.packets }
func (t transport) StreamCh() <-chan net.Conn           { return t.queue }
func (t transport) Shutdown() error                     { return t.Close() }

func (t transport) WriteTo(b []byte, addr string) (time.Time, error) {
	t.net.send(t.socket, addr, b)
	return time.Now(), nil
}

func (t transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, a.Addr)
}

func (t transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return t.DialContext(ctx, "tcp", addr)
}

func (t transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}

// DialContext is like net.Dialer's.
func (t transport) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	select {
	case <-t.done:
		return nil, opError("dial", t.addr, net.ErrClosed)
	default:
		return t.net.Dial(ctx, t.addr.String(), addr)
	}
}

// send carries a packet, or drops it.
func (n *Net) send(from *socket, addr string, b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stats.Packets++
	to := n.sockets[addr]
	if to == nil || n.sockets[from.addr.String()] != from || n.mute(from.addr.IP.String(), to.addr.IP.String()) ||
		n.loss > 0 && n.rng.Float64() < n.loss || n.flying >= flyingMost {
		n.stats.Dropped++
		return
	}
	p := &memberlist.Packet{Buf: append([]byte(nil), b...), From: &net.UDPAddr{IP: from.addr.IP, Port: from.addr.Port}}
	if n.latency == 0 {
		n.arrive(to, p)
		return
	}
	n.flying++
	time.AfterFunc(n.latency, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.flying--
		n.arrive(to, p)
	})
}

// arrive hands a packet to its reader, or keeps it for one who is frozen. n.mu is held.
func (n *Net) arrive(to *socket, p *memberlist.Packet) {
	if _, frozen := n.frozen[to.addr.IP.String()]; frozen {
		if len(to.held) < packetQueue {
			to.held = append(to.held, p)
		} else {
			n.stats.Dropped++
		}
		return
	}
	p.Timestamp = time.Now()
	select {
	case to.packets <- p:
	default: // full, or for connections only
		n.stats.Dropped++
	}
}

func parse(addr string) (*net.TCPAddr, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address %q: want IP:port", addr)
	}
	return net.TCPAddrFromAddrPort(at), nil
}

func hostOf(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}

func opError(op string, addr net.Addr, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: addr, Err: err}
}
