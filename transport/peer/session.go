package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"google.golang.org/grpc"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/peerpb"
)

// session is one open stream to a peer. Its writer takes asks from the link's queue into batches, its reader matches
// the answers.
type session struct {
	l      *link
	conn   *grpc.ClientConn
	stream grpc.BidiStreamingClient[peerpb.Frame, peerpb.Frame]
	cancel context.CancelCauseFunc // ends the stream
	done   chan struct{}           // closed when the reader has ended
	slots  chan struct{}           // has a value for each batch that is not answered, and one more if the peer is near
	near   bool                    // of the reader
}

// talk asks and reads answers until the stream ends, and returns why it did.
func (s *session) talk() error {
	written := make(chan struct{})
	go func() {
		defer close(written)
		if err := s.write(); err != nil && !errors.Is(err, io.EOF) { // with EOF the reader gets the reason
			s.cancel(err)
		}
	}()
	err := s.read()
	close(s.done)
	s.cancel(err)
	<-written
	return err
}

// write sends what is queued, until the stream ends. A send may block for as long as the peer does not read.
func (s *session) write() error {
	l, pool := s.l, s.l.t.codec.pool
	for s.ready() {
		l.gather()
		buf := pool.Get(0)
		n := l.launch(buf)
		if n == 0 {
			pool.Put(buf)
			<-s.slots
			continue
		}
		l.t.count.batches.Add(1) // before they go, so that whoever has an answer finds its ask counted
		l.t.count.asks.Add(uint64(n))
		l.batches.add(int64(n))
		if err := s.stream.SendMsg(&outgoing{buf}); err != nil {
			return err
		}
	}
	return nil
}

// turns is how often others get a turn before a batch goes out. Each takes less than a microsecond when there is nobody.
const turns = 4

// gather gives those who are about to ask their turn: without it the batches are of one. Those whose asks were in the
// last batch are the ones to expect, and the other processors need a moment to wake them all.
func (l *link) gather() {
	last := int(l.answered.Load())
	for i, n := 0, 0; i < turns && n < max(last, 1) || i == 0; i++ {
		runtime.Gosched()
		l.mu.Lock()
		n = l.queue.n
		l.mu.Unlock()
	}
}

// ready waits until a batch may be sent and something is queued. It is false when the stream has ended.
func (s *session) ready() bool {
	select {
	case <-s.done:
		return false
	case s.slots <- struct{}{}:
	}
	select {
	case <-s.done:
		return false
	case <-s.l.wake:
		return true
	}
}

// launch moves what is queued into a batch, encodes that into buf and returns how many asks it has.
func (l *link) launch(buf *[]byte) int {
	m := l.t.alarm.read()
	l.flightMu.Lock()
	b := l.flight.free()
	l.mu.Lock()
	b.entries = l.queue.pop(b.entries, l.t.cfg.MaxBatch, batchBytes)
	more := l.queue.n > 0
	l.mu.Unlock()
	dead := b.drop(m, l.lastHeard())
	if len(b.entries) > 0 {
		*buf = b.encode(*buf, m)
		l.flight.send(b, m)
	}
	n := len(b.entries)
	l.flightMu.Unlock()
	if more {
		signal(l.wake)
	}
	l.t.count.expired.Add(uint64(len(dead)))
	finish(dead, cluster.ErrPeerSilent)
	return n
}

// read takes answers until the stream ends, and returns why it did.
func (s *session) read() error {
	var in incoming
	var f frame
	var asks []*cluster.Ask
	for {
		if err := s.stream.RecvMsg(&in); err != nil {
			return err
		}
		err := f.split(in.bytes)
		if err == nil {
			asks, err = s.answers(&f, asks[:0])
		}
		in.release()
		if err != nil {
			return fmt.Errorf("%w: its answer: %w", errProtocol, err)
		}
	}
}

// errProtocol says that a peer does not keep to the protocol.
var errProtocol = errors.New("peer breaks the protocol")

// answers ends the asks that f answers. It returns asks to be used again.
func (s *session) answers(f *frame, asks []*cluster.Ask) ([]*cluster.Ask, error) {
	if f.hasHello || len(f.asks) > 0 {
		return asks, errors.New("more than answers")
	}
	if len(f.answers) == 0 {
		return asks, nil
	}
	l, m := s.l, s.l.t.alarm.read()
	var sent moment
	l.flightMu.Lock()
	asks, of, err := l.flight.claim(f.seq, len(f.answers), asks)
	free := err == nil && of.owed == 0
	if err == nil {
		sent = of.sent
	}
	if free {
		l.answered.Store(int64(len(of.entries)))
	}
	l.flightMu.Unlock()
	if err != nil {
		finish(living(asks), cluster.ErrPeerLost)
		return asks, err
	}
	l.heard(m.now, m.now-sent.now)
	if free {
		l.trips.add(int64(max(m.now-sent.now, 0)))
	}
	switch {
	case free && m.wall-sent.wall < near && !s.near: // by what really passed: a stall does not bring a peer nearer
		s.near = true // the slot is never given back
	case free:
		<-s.slots
	}
	return asks, l.end(f.answers, asks)
}

// end ends asks by their answers. Those that are nil are done already.
func (l *link) end(answers [][]byte, asks []*cluster.Ask) (bad error) {
	late := 0
	for i, a := range asks {
		if a == nil {
			late++
			continue
		}
		asks[i] = nil
		err := decodeAnswer(answers[i], a, l.id)
		if err != nil {
			bad = err
			err = fmt.Errorf("%w: %w: %w", cluster.ErrPeerLost, errProtocol, err)
		}
		a.Done(err)
	}
	l.t.count.late.Add(uint64(late))
	return bad
}

func living(asks []*cluster.Ask) []*cluster.Ask {
	n := 0
	for _, a := range asks {
		if a != nil {
			asks[n] = a
			n++
		}
	}
	return asks[:n]
}
