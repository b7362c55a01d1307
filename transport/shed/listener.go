package shed

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Conns says how many connections a Listener lets in.
type Conns struct {
	// Max is the most connections at a time. Default: 16,384. One costs a file descriptor and some 20 KB; beyond, new ones are
	// closed at once, so that those that are there go on being answered.
	Max int

	// PerClient is the most connections of one address at a time, of one /64 with IPv6. Default: 4,096. Less keeps one client
	// from taking all the room, and more is wanted where all come by one load balancer.
	PerClient int

	// Log is told of connections that are closed, once in ten seconds at most. Default: nowhere.
	Log *slog.Logger

	// Name is that of the port in the log.
	Name string
}

// A Listener accepts a bounded number of connections and closes those beyond it at once: who waits for room in front of a
// port, as with netutil.LimitListener, cannot tell that from a node that is dead. Its methods are safe for concurrent use.
type Listener struct {
	net.Listener
	config Conns

	mu   sync.Mutex
	in   int
	from map[netip.Addr]int // connections by client; guarded by mu

	full, crowded atomic.Uint64
	told          atomic.Int64 // when it last logged, in Unix seconds
}

// NewListener returns a Listener that accepts from l.
func NewListener(l net.Listener, c Conns) *Listener {
	if c.Max <= 0 {
		c.Max = 16_384
	}
	if c.PerClient <= 0 {
		c.PerClient = 4096
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Listener{Listener: l, config: c, from: map[netip.Addr]int{}}
}

// ConnStats is what a Listener counts.
type ConnStats struct {
	Open    int    // connections
	Full    uint64 // refused because there were Conns.Max
	Crowded uint64 // refused because their client had Conns.PerClient
}

// Stats returns what l counts.
func (l *Listener) Stats() ConnStats {
	l.mu.Lock()
	open := l.in
	l.mu.Unlock()
	return ConnStats{Open: open, Full: l.full.Load(), Crowded: l.crowded.Load()}
}

// Accept returns the next connection that is let in.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		client := clientOf(c)
		if why := l.enter(client); why != "" {
			l.refused(why)
			_ = c.Close() // nobody has used it
			continue
		}
		return &guest{Conn: c, leave: sync.OnceFunc(func() { l.leave(client) })}, nil
	}
}

// enter makes room for a connection of client, or says why there is none.
func (l *Listener) enter(client netip.Addr) (why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.in >= l.config.Max:
		l.full.Add(1)
		return "as many connections as there may be"
	case client.IsValid() && l.from[client] >= l.config.PerClient:
		l.crowded.Add(1)
		return "as many connections of one client as there may be"
	}
	l.in++
	if client.IsValid() {
		l.from[client]++
	}
	return ""
}

// leave gives back the room of a connection of client.
func (l *Listener) leave(client netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.in--
	if l.from[client]--; l.from[client] <= 0 {
		delete(l.from, client)
	}
}

// refused logs that a connection was.
func (l *Listener) refused(why string) {
	now := time.Now().Unix()
	if last := l.told.Load(); now-last >= 10 && l.told.CompareAndSwap(last, now) {
		l.config.Log.Warn("connections refused", "port", l.config.Name, "err", why)
	}
}

// clientOf returns the address that counts as one client, which is invalid for connections that have none.
func clientOf(c net.Conn) netip.Addr {
	at, is := c.RemoteAddr().(*net.TCPAddr)
	if !is {
		return netip.Addr{}
	}
	addr := at.AddrPort().Addr().Unmap().WithZone("")
	if addr.Is4() {
		return addr
	}
	network, err := addr.Prefix(64)
	if err != nil {
		return addr
	}
	return network.Addr()
}

// A guest is a connection that was let in.
type guest struct {
	net.Conn
	leave func()
}

// Close closes the connection and makes room for another.
func (g *guest) Close() error {
	g.leave()
	return g.Conn.Close()
}
