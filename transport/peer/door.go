package peer

import (
	"net"
	"sync"
	"sync/atomic"
)

// door is a listener that lets in a bounded number of connections at a time. Those beyond it are closed at once, so
// that who has connected can not keep others waiting in front of it for good.
type door struct {
	net.Listener
	t  *Transport
	in atomic.Int64
}

func newDoor(l net.Listener, t *Transport) *door { return &door{Listener: l, t: t} }

// Accept returns the next connection that may come in.
func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if d.in.Add(1) <= int64(d.t.cfg.MaxConns) {
			return &guest{Conn: direct(conn), leave: sync.OnceFunc(func() { d.in.Add(-1) })}, nil
		}
		d.in.Add(-1)
		d.t.count.refused.Add(1)
		d.t.complain("connection of a peer refused", conn.RemoteAddr().String(), errConns)
		conn.Close()
	}
}

// guest is a connection that was let in.
type guest struct {
	net.Conn
	leave func()
}

// Close closes the connection and makes room for another.
func (g *guest) Close() error {
	g.leave()
	return g.Conn.Close()
}
