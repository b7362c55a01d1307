package main

import (
	"context"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/noriahq/noria/transport/noriapb"
)

// A streamCaller sends all requests on one stream, and opens another when it breaks.
type streamCaller struct {
	bench *bench
	conn  *grpc.ClientConn
	node  noriapb.NoriaClient
	slots []slot // of the callers by their numbers

	mu   sync.Mutex
	open *pipe // nil for none; guarded by mu
}

// A slot is where one caller waits for its answer.
type slot struct {
	want   atomic.Uint64 // sequence it waits for, 0 for none; who sets it to 0 delivers
	count  uint64        // of the caller's requests; its own
	answer chan outcome  // has room for one
}

// A pipe is one stream.
type pipe struct {
	stream grpc.BidiStreamingClient[noriapb.StreamChecksRequest, noriapb.StreamChecksResponse]
	cancel context.CancelFunc
	broken chan struct{} // closed when no more answers come
	send   sync.Mutex    // a stream takes one message at a time
}

// newStreamCaller returns the caller on conn, which it closes.
func newStreamCaller(b *bench, conn *grpc.ClientConn) *streamCaller {
	c := &streamCaller{bench: b, conn: conn, node: noriapb.NewNoriaClient(conn), slots: make([]slot, b.concurrency)}
	for i := range c.slots {
		c.slots[i].answer = make(chan outcome, 1)
	}
	return c
}

// opened returns the open stream, or opens one.
func (c *streamCaller) opened() (*pipe, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open != nil {
		select {
		case <-c.open.broken:
		default:
			return c.open, nil
		}
	}
	ctx, cancel := context.WithCancel(context.Background()) // it outlives the request that opens it
	stream, err := c.node.StreamChecks(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	c.open = &pipe{stream: stream, cancel: cancel, broken: make(chan struct{})}
	go c.receive(c.open)
	return c.open, nil
}

// receive hands the answers of s to those who wait for them, until s breaks.
func (c *streamCaller) receive(s *pipe) {
	defer close(s.broken)
	defer s.cancel()
	for {
		m, err := s.stream.Recv()
		if err != nil {
			return
		}
		number := m.GetSequence() >> 32
		if number >= uint64(len(c.slots)) {
			continue
		}
		w := &c.slots[number]
		if !w.want.CompareAndSwap(m.GetSequence(), 0) {
			continue // it was waited for in vain, and no longer is
		}
		o := outcomeOf(m.GetDecision())
		if e := m.GetError(); e != nil {
			o = outcome{err: codes.Code(uint32(e.GetCode())).String()}
		}
		w.answer <- o
	}
}

// ask implements caller.
func (c *streamCaller) ask(ctx context.Context, number int, keys []string) outcome {
	s, err := c.opened() //nolint:contextcheck // the stream outlives the request that opens it
	if err != nil {
		return outcome{err: codes.Unavailable.String()}
	}
	w := &c.slots[number]
	w.count++
	sequence := uint64(number)<<32 | w.count&(1<<32-1)
	w.want.Store(sequence)
	s.send.Lock()
	err = s.stream.Send(&noriapb.StreamChecksRequest{Sequence: sequence, Checks: c.bench.checks(keys)})
	s.send.Unlock()
	failed := codes.Unavailable
	if err == nil {
		select {
		case o := <-w.answer:
			return o
		case <-s.broken:
		case <-ctx.Done():
			failed = codes.DeadlineExceeded
		}
	}
	if !w.want.CompareAndSwap(sequence, 0) {
		return <-w.answer // it came after all
	}
	return outcome{err: failed.String()}
}

// close implements caller.
func (c *streamCaller) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open != nil {
		c.open.cancel()
	}
	_ = c.conn.Close() // it is the end of the run either way
}
