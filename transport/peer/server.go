package peer

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/peerpb"
)

// service answers peers.
type service struct {
	peerpb.UnimplementedPeerServer
	t  *Transport
	me *identity
}

// talkServer is the peer's end of a session.
type talkServer = grpc.BidiStreamingServer[peerpb.Frame, peerpb.Frame]

var (
	errConns   = errors.New("too many connections")
	errStreams = errors.New("too many streams")
	errLate    = status.Errorf(codes.DeadlineExceeded, "no hello within %v", helloWait)
)

// Greet implements peerpb.PeerServer.
func (s *service) Greet(context.Context, *peerpb.GreetRequest) (*peerpb.GreetResponse, error) {
	return &peerpb.GreetResponse{Hello: toProto(s.me.self)}, nil
}

// Talk implements peerpb.PeerServer. What it returns ends the stream.
func (s *service) Talk(stream talkServer) error {
	count := &s.t.count
	defer count.streams.Add(-1)
	if count.streams.Add(1) > int64(s.t.cfg.MaxStreams) {
		return s.refuse(stream, status.Error(codes.ResourceExhausted, errStreams.Error()))
	}
	hello, err := s.hello(stream)
	if err != nil {
		return s.refuse(stream, err)
	}
	err = s.talk(stream, hello)
	if gone(stream, err) {
		return nil
	}
	s.t.complain("stream of a peer ended", string(hello.ID), err)
	return err
}

// gone says whether err is only that the peer, or this node, gave the stream up.
func gone(stream talkServer, err error) bool {
	return errors.Is(err, io.EOF) || stream.Context().Err() != nil
}

func (s *service) refuse(stream talkServer, err error) error {
	return s.t.refuse(stream.Context(), err)
}

// hello hears who opened the stream and says who answers.
func (s *service) hello(stream talkServer) (cluster.Hello, error) {
	hello, err := within(helloWait, func() (cluster.Hello, error) { return firstHello(stream) })
	if err != nil {
		return cluster.Hello{}, err
	}
	if err := s.t.admit(stream.Context(), hello.ID); err != nil {
		return cluster.Hello{}, err
	}
	if err := s.me.handler.Hello(hello); err != nil {
		return cluster.Hello{}, status.Error(codes.FailedPrecondition, err.Error())
	}
	buf := s.t.codec.pool.Get(0)
	*buf = appendOpening(*buf, s.me.self)
	return hello, stream.SendMsg(&outgoing{buf})
}

// within returns what f does, or errLate if that takes longer than wait. f then ends with the stream that it reads.
func within(wait time.Duration, f func() (cluster.Hello, error)) (cluster.Hello, error) {
	type result struct {
		hello cluster.Hello
		err   error
	}
	done := make(chan result, 1)
	go func() {
		hello, err := f()
		done <- result{hello, err}
	}()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.hello, r.err
	case <-timer.C:
		return cluster.Hello{}, errLate
	}
}

func firstHello(stream talkServer) (cluster.Hello, error) {
	var in incoming
	if err := stream.RecvMsg(&in); err != nil {
		return cluster.Hello{}, err
	}
	defer in.release()
	var f frame
	if err := f.split(in.bytes); err != nil {
		return cluster.Hello{}, badFrame(err)
	}
	hello, err := f.opening()
	if err != nil {
		return cluster.Hello{}, badFrame(err)
	}
	return hello, nil
}

// badFrame is how a stream ends whose frame can not be answered.
func badFrame(err error) error {
	if errors.Is(err, errTooMany) {
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	return status.Error(codes.InvalidArgument, err.Error())
}

// talk answers frames until the stream ends, and returns why it did.
func (s *service) talk(stream talkServer, from cluster.Hello) error {
	var in incoming
	r := responder{me: s.me, from: from, next: 1}
	for {
		if err := stream.RecvMsg(&in); err != nil {
			return err
		}
		if err := s.answer(stream, &r, in.bytes); err != nil {
			return err
		}
		in.release()
	}
}

// answer answers the frame in b, which is the stream's again when it returns.
func (s *service) answer(stream talkServer, r *responder, b []byte) error {
	if err := r.answer(b); err != nil {
		return badFrame(err)
	}
	s.t.count.answer(r)
	for r.more() {
		buf := s.t.codec.pool.Get(0)
		*buf = r.encode(*buf)
		if err := stream.SendMsg(&outgoing{buf}); err != nil {
			return err
		}
	}
	return nil
}
