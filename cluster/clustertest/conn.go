package clustertest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A conn is one end of a connection.
type conn struct {
	net           *Net
	local, remote *net.TCPAddr
	in, out       *pipe
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) Read(b []byte) (int, error) {
	k, err := c.in.read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = opError("read", c.remote, err)
	}
	return k, err
}

func (c *conn) Write(b []byte) (int, error) {
	k, err := c.out.write(b)
	if err != nil {
		err = opError("write", c.remote, err)
	}
	return k, err
}

func (c *conn) Close() error {
	c.end(io.EOF)
	return nil
}

// end closes this end. The other end reads what is under way, then err.
func (c *conn) end(err error) {
	c.out.finish(err)
	c.in.abandon()
	c.net.mu.Lock()
	delete(c.net.conns, c)
	c.net.mu.Unlock()
}

func (c *conn) SetReadDeadline(t time.Time) error  { return c.in.setDeadline(&c.in.readBy, t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.out.setDeadline(&c.out.writeBy, t) }
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// A pipe is one direction of a connection: a bounded queue of bytes.
type pipe struct {
	mu      sync.Mutex
	moved   sync.Cond // something below changed
	queue   []chunk   // guarded by mu, as is all below
	size    int       // bytes in queue
	end     error     // what the reader gets once queue is empty; nil while the writer may write
	endAt   time.Time // when it arrives
	gone    bool      // the reader reads no more
	stalled bool      // nothing comes out at the reader's end
	mute    bool      // the writer does not hear of gone
	latency time.Duration
	readBy  deadline
	writeBy deadline
}

type chunk struct {
	bytes []byte
	at    time.Time // when it arrives
}

type deadline struct {
	at    time.Time // zero: none
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newPipe() *pipe {
	p := &pipe{}
	p.moved.L = &p.mu
	return p
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		here := func(at time.Time) bool { return !p.stalled && !time.Now().Before(at) }
		switch {
		case p.gone:
			return 0, net.ErrClosed
		case p.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case len(p.queue) > 0 && here(p.queue[0].at):
			return p.take(b), nil
		case len(p.queue) == 0 && p.end != nil && here(p.endAt):
			return 0, p.end
		}
		p.moved.Wait()
	}
}

// take moves bytes of the first chunk to b. p.mu is held.
func (p *pipe) take(b []byte) int {
	k := copy(b, p.queue[0].bytes)
	p.size -= k
	if p.queue[0].bytes = p.queue[0].bytes[k:]; len(p.queue[0].bytes) == 0 {
		p.queue = p.queue[1:]
	}
	p.moved.Broadcast()
	return k
}

func (p *pipe) write(b []byte) (done int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		room := min(pipeBytes-p.size, len(b)-done)
		switch {
		case p.end != nil:
			return done, net.ErrClosed
		case p.writeBy.passed():
			return done, os.ErrDeadlineExceeded
		case p.gone && !p.mute:
			return done, syscall.ECONNRESET
		case done == len(b):
			return done, nil
		case room > 0:
			p.queue = append(p.queue, chunk{append([]byte(nil), b[done:done+room]...), p.arrival()})
			p.size += room
			done += room
		default:
			p.moved.Wait()
		}
	}
}

// arrival returns when that arrives which is sent now, and sees to it that the reader wakes up then. p.mu is held.
func (p *pipe) arrival() time.Time {
	at := time.Now().Add(p.latency)
	if p.latency > 0 {
		time.AfterFunc(time.Until(at), p.wake)
	}
	p.moved.Broadcast()
	return at
}

// wake takes the lock so that nobody misses it between his look at the pipe and his wait.
func (p *pipe) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moved.Broadcast()
}

func (p *pipe) finish(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end == nil {
		p.end, p.endAt = err, p.arrival()
	}
	p.writeBy.stop()
}

func (p *pipe) abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone, p.queue, p.size = true, nil, 0
	p.readBy.stop()
	p.moved.Broadcast()
}

func (p *pipe) route(stalled, mute bool, latency time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled, p.mute, p.latency = stalled, mute, latency
	p.moved.Broadcast()
}

func (p *pipe) setDeadline(d *deadline, t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.stop()
	if d.at = t; !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), p.wake)
	}
	p.moved.Broadcast()
	return nil
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

// parse wants an IP and a port: there are no names in this network.
