package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport"
	pb "github.com/noriahq/noria/transport/noriapb"
	"github.com/noriahq/noria/transport/shed"
)

// A stream is one call of StreamChecks: a goroutine reads requests, each is decided on in its own, and one writes the
// answers as they come.
//
// Checks that are being decided on are in flight; when there are too many, nothing is read, and the client is slowed
// down by gRPC's flow control. An answer that is held until its turn is not in flight, so that it is in nobody's way.
type stream struct {
	*service
	rpc      pb.Noria_StreamChecksServer
	inFlight *semaphore.Weighted
	held     sync.WaitGroup // answers held; grows only while its request is in flight
	answers  chan *pb.StreamChecksResponse
	batches  atomic.Bool // the client sends several requests in a message, and so takes several answers in one
}

// RestUndecided is in the trailer of a stream that ends because the server stops: what has no answer was not decided on.
const RestUndecided = "noria-rest-undecided"

// StreamChecks implements pb.NoriaServer.
func (s *service) StreamChecks(rpc pb.Noria_StreamChecksServer) error {
	st := &stream{
		service:  s,
		rpc:      rpc,
		inFlight: semaphore.NewWeighted(s.inFlight),
		answers:  make(chan *pb.StreamChecksResponse, 64),
	}
	written := make(chan error, 1)
	go func() { written <- st.write() }()
	err := st.serve(rpc.Context())
	close(st.answers)
	if werr := <-written; err == nil {
		err = werr
	}
	return err
}

// serve reads requests until the client has no more, the call ends or the server stops, and returns when all that were
// read are answered.
func (st *stream) serve(ctx context.Context) error {
	read := make(chan error, 1)
	go func() { read <- st.read(ctx) }()
	var err error
	select {
	case err = <-read:
	case <-st.stopping:
		st.rpc.SetTrailer(metadata.Pairs(RestUndecided, "1"))
		err = status.Error(codes.Unavailable, "the server is stopping; requests without an answer were not decided on")
	}
	// With all places taken no request is under way, none can start, and no answer can begin to be held.
	if acquired := st.inFlight.Acquire(context.WithoutCancel(ctx), st.service.inFlight); acquired != nil {
		return transport.GRPC(fmt.Errorf("%w: %w", cluster.ErrClosed, acquired)) // cannot be: the context has no end
	}
	st.held.Wait()
	return err
}

// read starts to decide on requests as they come. It returns nil when the client has no more.
func (st *stream) read(ctx context.Context) error {
	for {
		m, err := st.rpc.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := st.start(ctx, m); err != nil {
			return transport.GRPC(err)
		}
	}
}

// start starts to decide on m and on those that came with it.
func (st *stream) start(ctx context.Context, m *pb.StreamChecksRequest) error {
	weight := int64(min(max(1, len(m.GetChecks())), MaxChecks))
	if err := st.inFlight.Acquire(ctx, weight); err != nil {
		return err
	}
	if len(m.GetMore()) > 0 {
		st.batches.Store(true)
	}
	go st.decide(ctx, m, weight)
	for _, more := range m.GetMore() {
		if err := st.start(ctx, more); err != nil {
			return err
		}
	}
	return nil
}

// decide answers m, which takes up weight of what may be in flight.
func (st *stream) decide(ctx context.Context, m *pb.StreamChecksRequest, weight int64) {
	if !st.gate.Wait(ctx, shed.GRPC, shed.Check) {
		st.answer(ctx, m.GetSequence(), nil, transport.ErrOverloaded)
		st.inFlight.Release(weight)
		return
	}
	v, err := st.checkAll(ctx, m.GetChecks())
	if err != nil || !st.turns.hold(ctx, v.delay) {
		st.answer(ctx, m.GetSequence(), &v, err)
		st.inFlight.Release(weight)
		return
	}
	defer st.turns.release() // only once the client took the answer, or held answers could pile up without a bound
	st.held.Add(1)
	defer st.held.Done()
	st.inFlight.Release(weight)
	left, err := st.turns.sleep(ctx, v.delay)
	v.held(left)
	st.answer(ctx, m.GetSequence(), &v, err)
}

// answer hands the answer to the writer. It waits while the client does not read what it is sent.
func (st *stream) answer(ctx context.Context, sequence uint64, v *verdict, err error) {
	m := &pb.StreamChecksResponse{Sequence: sequence}
	if err != nil {
		told := status.Convert(st.fail(ctx, err))
		m.Error = &pb.Error{Code: int32(told.Code()), Message: told.Message()}
	} else {
		m.Decision = checkAllResponse(v)
	}
	st.answers <- m
}

// write sends answers until there are no more. After an error the call is over; it goes on taking answers, so that
// nobody waits for it.
func (st *stream) write() (err error) {
	for m := range st.answers {
		if st.batches.Load() {
			st.gather(m)
		}
		if err == nil {
			err = st.rpc.Send(m)
		}
	}
	return err
}

// gather adds to m the answers that are there too, but for MaxChecks decisions and those of one request at most.
func (st *stream) gather(m *pb.StreamChecksResponse) {
	runtime.Gosched() // those who are about to answer come along
	for decisions := len(m.GetDecision().GetChecks()); decisions < MaxChecks; {
		select {
		case more, open := <-st.answers:
			if !open {
				return
			}
			m.More = append(m.More, more)
			decisions += max(1, len(more.GetDecision().GetChecks()))
		default:
			return
		}
	}
}
