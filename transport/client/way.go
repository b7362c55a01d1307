package client

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/transport"
	pb "github.com/noriahq/noria/transport/noriapb"
)

// errUndecided says that nothing was taken: the question never left, or its node says that it did not decide.
var errUndecided = errors.New("not decided on")

// errSilent says that a node said nothing at all while a caller waited for it, silence at least.
var errSilent = errors.New("silent")

const silence = 100 * time.Millisecond

// A message has this many checks and bytes at most, unless its only question has more: half of what a node takes.
const (
	messageChecks = 1000
	messageBytes  = 512 << 10
	checkBytes    = 96 // of a check besides its texts, at most
)

func connectParams() grpc.ConnectParams {
	wait := backoff.DefaultConfig
	wait.MaxDelay = connectWait
	return grpc.ConnectParams{Backoff: wait, MinConnectTimeout: connectWait}
}

// way is to one node. It has one stream at a time, which is opened when something is asked.
type way struct {
	conn *grpc.ClientConn

	mu   sync.Mutex
	last *session // guarded by mu
}

// question is one request of a stream.
type question struct {
	checks  []*pb.CheckRequest
	bytes   int
	repeats bool // it may be asked twice

	sequence uint64 // 0 while it is not sent; guarded by its session's mu

	done   chan struct{} // closed when one of the next is there
	answer *pb.CheckAllResponse
	err    error
}

// ask asks q on the way's stream.
func (w *way) ask(ctx context.Context, q *question) (*pb.CheckAllResponse, error) {
	s := w.session() //nolint:contextcheck // the stream is for all who ask, not for who opens it
	heard, since := s.heard.Load(), time.Now()
	if err := s.put(q); err != nil {
		return nil, err
	}
	select {
	case <-q.done:
		return q.answer, q.err
	case <-ctx.Done():
	}
	s.drop(q)
	if s.heard.Load() == heard && time.Since(since) >= silence {
		return nil, errSilent
	}
	return nil, ctx.Err()
}

// session returns the stream that is open or about to be.
func (w *way) session() *session {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == nil || w.last.over() {
		w.last = &session{sent: map[uint64]*question{}, wake: make(chan struct{}, 1)}
		go w.last.run(w)
	}
	return w.last
}

// session is one stream to a node.
type session struct {
	wake  chan struct{} // has a value when the queue may have questions and the writer did not look since
	heard atomic.Int64  // messages that came

	mu    sync.Mutex
	queue []*question          // not sent; guarded by mu
	sent  map[uint64]*question // by sequence; guarded by mu
	next  uint64               // sequence; guarded by mu
	err   error                // why the stream is over; guarded by mu
}

func (s *session) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

// put queues q, or says why it is too late for that.
func (s *session) put(q *question) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return undecided(s.err)
	}
	if s.queue = append(s.queue, q); len(s.queue) == 1 {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// drop forgets q, for which nobody waits any more.
func (s *session) drop(q *question) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.queue {
		if s.queue[i] == q {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			return
		}
	}
	if s.sent[q.sequence] == q {
		delete(s.sent, q.sequence) // its answer comes for nobody
	}
}

// run opens the stream, sends what is queued and reads answers until it is over.
func (s *session) run(w *way) {
	ctx, cancel := context.WithCancel(context.Background()) // it outlives those who ask, and ends with the connection
	defer cancel()
	stream, err := pb.NewNoriaClient(w.conn).StreamChecks(ctx)
	if err != nil {
		s.end(err, true)
		return
	}
	go s.write(ctx, stream)
	for {
		m, err := stream.Recv()
		if err != nil {
			s.end(err, len(stream.Trailer().Get(restUndecided)) > 0)
			return
		}
		s.heard.Add(1)
		s.deliver(m)
		for _, more := range m.GetMore() {
			s.deliver(more)
		}
	}
}

// restUndecided is in the trailer of a stream whose node has answered all that it took.
const restUndecided = "noria-rest-undecided"

// write sends what is queued until the stream is over; why it is, the reader hears.
func (s *session) write(ctx context.Context, stream pb.Noria_StreamChecksClient) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		runtime.Gosched() // those who are about to ask come along
		for m := s.take(); m != nil; m = s.take() {
			if stream.Send(m) != nil {
				return
			}
		}
	}
}

// take makes a message of what is queued, nil if that is nothing.
func (s *session) take() *pb.StreamChecksRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first *pb.StreamChecksRequest
	taken, checks, bytes := 0, 0, 0
	for _, q := range s.queue {
		checks += len(q.checks)
		bytes += q.bytes
		if first != nil && (checks > messageChecks || bytes > messageBytes) {
			break
		}
		taken++
		s.next++
		m := &pb.StreamChecksRequest{Sequence: s.next, Checks: q.checks}
		q.sequence, s.sent[s.next] = s.next, q
		if first == nil {
			first = m
			continue
		}
		first.More = append(first.More, m)
	}
	clear(s.queue[:taken])
	if s.queue = s.queue[taken:]; len(s.queue) == 0 {
		s.queue = nil
	}
	return first
}

// deliver hands an answer to whoever waits for it.
func (s *session) deliver(m *pb.StreamChecksResponse) {
	s.mu.Lock()
	q := s.sent[m.GetSequence()]
	delete(s.sent, m.GetSequence())
	s.mu.Unlock()
	if q == nil {
		return
	}
	if e := m.GetError(); e != nil {
		q.err = status.Error(codes.Code(e.GetCode()), e.GetMessage())
		if codes.Code(e.GetCode()) == codes.ResourceExhausted { // for which there is no other reason in a stream
			q.err = transport.Overloaded()
		}
		if codes.Code(e.GetCode()) == codes.Unavailable {
			q.err = undecided(q.err)
		}
	} else if q.answer = m.GetDecision(); q.answer == nil {
		q.err = status.Error(codes.Internal, "an answer without a decision")
	}
	close(q.done)
}

// end ends the stream and all that was asked on it. What was sent was not decided on if the node says so.
func (s *session) end(err error, rest bool) {
	s.mu.Lock()
	queue, sent := s.queue, s.sent
	s.queue, s.sent, s.err = nil, nil, err
	s.mu.Unlock()
	for _, q := range queue {
		q.err = undecided(err)
		close(q.done)
	}
	for _, q := range sent {
		if q.err = undecided(err); !rest {
			q.err = fmt.Errorf("%w: %w", ErrLost, err)
		}
		close(q.done)
	}
}

// undecided returns err with errUndecided wrapped too.
func undecided(err error) error { return &wrapped{err} }

// wrapped is an error that is errUndecided too, and says only what it is made of: nobody needs to read both.
type wrapped struct{ error }

func (w *wrapped) Unwrap() []error { return []error{w.error, errUndecided} }

// GRPCStatus makes status.Code find the code.
func (w *wrapped) GRPCStatus() *status.Status { return status.Convert(w.error) }
