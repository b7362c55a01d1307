package clustertest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
)

// Wires are the transports of the nodes on one Net that speak to each other directly, without connections and frames:
// what one asks reaches the other's Handler as it is. Cuts, latency, frozen and killed hosts of the Net hold for them:
// where nobody listens the errors of asks wrap syscall.ECONNREFUSED, unless a cut or frozen host is in the way, which
// gives silence.
type Wires struct {
	net *Net

	mu sync.Mutex
	at map[string]*wire // by address; guarded by mu
}

// NewWires returns an empty set of transports on net.
func NewWires(n *Net) *Wires { return &Wires{net: n, at: make(map[string]*wire)} }

// Transport returns a transport for a node on host.
func (ws *Wires) Transport(host string) cluster.Transport {
	return &wire{wires: ws, host: host, done: make(chan struct{})}
}

// find returns who listens at addr, nil if nobody does.
func (ws *Wires) find(addr string) *wire {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.at[addr]
}

// forget takes w, which was closed, off its address.
func (ws *Wires) forget(addr string, w *wire) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.at[addr] == w {
		delete(ws.at, addr)
	}
}

// A wire is one node's transport.
type wire struct {
	wires *Wires
	host  string
	once  sync.Once
	done  chan struct{} // closed by Close

	mu       sync.Mutex
	listener net.Listener    // guarded by mu
	self     cluster.Hello   // guarded by mu
	handler  cluster.Handler // nil before Serve; guarded by mu
}

// Listen implements cluster.Transport.
func (w *wire) Listen() (string, error) {
	l, err := w.wires.net.Listen(net.JoinHostPort(w.host, "7947"))
	if err != nil {
		return "", err
	}
	w.mu.Lock()
	w.listener = l
	w.mu.Unlock()
	w.wires.mu.Lock()
	defer w.wires.mu.Unlock()
	w.wires.at[l.Addr().String()] = w
	return l.Addr().String(), nil
}

// Serve implements cluster.Transport.
func (w *wire) Serve(ctx context.Context, self cluster.Hello, h cluster.Handler) error {
	w.mu.Lock()
	w.self, w.handler = self, h
	w.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-w.done:
	}
	return w.Close()
}

// serving returns the handler, nil if there is none.
func (w *wire) serving() (cluster.Hello, cluster.Handler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.done:
		return w.self, nil
	default:
		return w.self, w.handler
	}
}

// Peer implements cluster.Transport.
func (w *wire) Peer(id ring.Member, addr string) cluster.Peer {
	return &end{wire: w, to: id, addr: addr, done: make(chan struct{})}
}

// Greet implements cluster.Transport.
func (w *wire) Greet(ctx context.Context, addr string) (cluster.Hello, error) {
	c, err := w.wires.net.Dial(ctx, w.host, addr)
	if err != nil {
		return cluster.Hello{}, err
	}
	defer c.Close()
	to := w.wires.find(addr)
	if to == nil {
		return cluster.Hello{}, cluster.ErrPeerLost
	}
	hello, h := to.serving()
	if h == nil {
		return cluster.Hello{}, cluster.ErrPeerLost
	}
	return hello, nil
}

// Close implements cluster.Transport.
func (w *wire) Close() error {
	w.once.Do(func() {
		close(w.done)
		w.mu.Lock()
		l := w.listener
		w.handler = nil // a net outlives its nodes
		w.mu.Unlock()
		if l != nil {
			l.Close()
			w.wires.forget(l.Addr().String(), w)
		}
	})
	return nil
}

// An end is one node's way to one other.
type end struct {
	wire *wire
	to   ring.Member
	addr string
	once sync.Once
	done chan struct{} // closed by Close
}

// Ask implements cluster.Peer.
func (e *end) Ask(a *cluster.Ask) { go e.carry(a) }

// Back implements cluster.Peer.
func (e *end) Back() {}

// Close implements cluster.Peer.
func (e *end) Close() { e.once.Do(func() { close(e.done) }) }

// carry brings a to the handler and its answer back, or says what was in the way.
func (e *end) carry(a *cluster.Ask) {
	if err := checkBody(a); err != nil {
		a.Done(err)
		return
	}
	answer := make(chan *cluster.Ask, 1)
	lost := make(chan error, 1)
	sent := copied(a)
	go e.fetch(sent, answer, lost)
	a.Done(e.await(a, answer, lost))
}

// await waits for the answer to a and takes it over, or returns why there is none. A host that is not heard of costs
// Wait, one that only takes its time Most.
func (e *end) await(a *cluster.Ask, answer <-chan *cluster.Ask, lost <-chan error) error {
	last := time.Now().Add(a.Most)
	late := time.NewTimer(a.Wait)
	defer late.Stop()
	for {
		select {
		case b := <-answer:
			a.Answer = b.Answer
			for i := range b.Checks {
				a.Checks[i].Decision, a.Checks[i].Settled = b.Checks[i].Decision, b.Checks[i].Settled
			}
			return nil
		case err := <-lost:
			return err
		case <-late.C:
			left := time.Until(last)
			if left <= 0 || !e.wire.wires.net.hears(e.wire.host, e.addr) {
				return cluster.ErrPeerSilent
			}
			late.Reset(min(left, a.Wait))
		case <-e.done:
			return cluster.ErrPeerLost
		case <-e.wire.done:
			return cluster.ErrPeerShutdown
		}
	}
}

// copied returns a as it arrives: it shares nothing with a.
func copied(a *cluster.Ask) *cluster.Ask {
	b := *a
	b.Wait, b.Most = max(a.Wait, a.Most), 0
	b.Checks = append([]cluster.Check(nil), a.Checks...)
	b.Body = bytes.Clone(a.Body)
	return &b
}

// checkBody returns what is wrong with the body of a or with having none.
func checkBody(a *cluster.Ask) error {
	n, tells := len(a.Body), a.Op.Tells()
	if n > cluster.MaxBody || (n > 0) != tells || tells && len(a.Checks) > 0 {
		return fmt.Errorf("%w: %d bytes of body and %d checks: want 1 to %d bytes and no checks to tell, no bytes to ask",
			cluster.ErrAskInvalid, n, len(a.Checks), cluster.MaxBody)
	}
	return nil
}

// fetch gets the answer to a, which it may use for it. It sends nothing where nothing arrives.
func (e *end) fetch(a *cluster.Ask, answer chan<- *cluster.Ask, lost chan<- error) {
	n := e.wire.wires.net
	if !n.pass(e.wire.host, e.addr) {
		return
	}
	to := e.wire.wires.find(e.addr)
	if to == nil || !n.listens(e.addr) {
		lost <- fmt.Errorf("%w: %w", cluster.ErrPeerLost, syscall.ECONNREFUSED)
		return
	}
	hello, h := to.serving()
	if h == nil || hello.ID != e.to {
		lost <- cluster.ErrPeerLost
		return
	}
	mine, _ := e.wire.serving()
	asks := []cluster.Ask{*a}
	h.Answer(mine.ID, asks)
	asks[0].Answer.Body = bytes.Clone(asks[0].Answer.Body) // what is answered with is the handler's
	if n.pass(e.addr, e.wire.host) {
		answer <- &asks[0]
	}
}

// listens says whether somebody listens at addr.
func (n *Net) listens(addr string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sockets[addr] != nil
}

// hears says whether host would hear of who listens at addr: neither is frozen or cut off, and somebody does listen.
func (n *Net) hears(host, addr string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	to := hostOf(addr)
	return n.sockets[addr] != nil && !n.blocked(hostOf(host), to) && !n.blocked(to, hostOf(host))
}

// pass waits for as long as the way from one host to another takes, and says whether anything arrives.
func (n *Net) pass(from, to string) bool {
	from, to = hostOf(from), hostOf(to)
	n.mu.Lock()
	latency := n.latency
	n.mu.Unlock()
	if latency > 0 {
		time.Sleep(latency)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	_, dead := n.dead[from]
	return !dead && !n.blocked(from, to)
}
