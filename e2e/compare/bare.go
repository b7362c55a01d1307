package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/noriahq/noria/transport/noriapb"
	"github.com/noriahq/noria/transport/peerpb"
)

// The bare services are what gRPC costs by itself: they answer everything with the same message, of the size that
// Noria's has. They run in a process of their own, as what they stand beside does.

// bareCommand is the first argument of the tool that makes it serve them.
const bareCommand = "bare"

// A bareAddrs is what the process says when it serves.
type bareAddrs struct {
	Unary  string `json:"unary"`  // noria.v1's Check, with gRPC's defaults
	Stream string `json:"stream"` // of frames as bytes, with the options of transport/peer
}

// serveBare serves until stdin ends, and says on stdout where.
func serveBare(stdin io.Reader, stdout io.Writer) error {
	stream, err := newBareStream()
	if err != nil {
		return err
	}
	unary := grpc.NewServer()
	noriapb.RegisterNoriaServer(unary, yes{})
	var (
		addrs   bareAddrs
		serving errgroup.Group
	)
	for s, addr := range map[*grpc.Server]*string{unary: &addrs.Unary, stream: &addrs.Stream} {
		defer s.Stop()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		*addr = l.Addr().String()
		serving.Go(func() error { return s.Serve(l) })
	}
	if err := json.NewEncoder(stdout).Encode(addrs); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, stdin)
	unary.Stop()
	stream.Stop()
	return errors.Join(err, serving.Wait())
}

// newBareStream returns the server of the bare stream.
func newBareStream() (*grpc.Server, error) {
	answer, err := proto.Marshal(bareAnswerFrame())
	if err != nil {
		return nil, err
	}
	ask, err := proto.Marshal(bareAskFrame())
	if err != nil {
		return nil, err
	}
	s := grpc.NewServer(
		grpc.ForceServerCodecV2(raw{}),
		grpc.StaticStreamWindowSize(peerWindow), grpc.StaticConnWindowSize(peerWindow),
		grpc.ReadBufferSize(peerBuffer), grpc.WriteBufferSize(peerBuffer),
	)
	s.RegisterService(bareService(), &talker{ask: len(ask), answers: bytes.Repeat(answer, bareMost), answer: len(answer)})
	return s, nil
}

// yes allows everything.
type yes struct {
	noriapb.UnimplementedNoriaServer
}

// Check implements noriapb.NoriaServer.
func (yes) Check(context.Context, *noriapb.CheckRequest) (*noriapb.CheckResponse, error) {
	return bareAnswer(), nil
}

// bareAnswer is about as long as what Noria says of a key that was asked about some times.
func bareAnswer() *noriapb.CheckResponse {
	return &noriapb.CheckResponse{
		Allowed: true, Remaining: 99_999_900, ResetAfterNs: 2_000_000_000_000, Source: noriapb.Source_SOURCE_HOLDER, Node: servedName,
	}
}

// bareAnswerFrame is what one node answers the other.
func bareAnswerFrame() *peerpb.Frame {
	return &peerpb.Frame{Seq: 100_000, Answers: []*peerpb.Answer{{
		Term: 1, Epoch: 0x1234567890abcdef,
		Decisions: []*peerpb.Decision{{Allowed: true, Remaining: 99_999_900, ResetAfterNs: 2_000_000_000_000}},
	}}}
}

// bareAskFrame is what one node asks the other.
func bareAskFrame() *peerpb.Frame {
	l := plenty()
	return &peerpb.Frame{Seq: 100_000, Asks: []*peerpb.Ask{{
		Epoch: 0x1234567890abcdef, WaitNs: 49_999_000,
		Checks: []*peerpb.Check{{
			Partition: 4711, Term: 1, Key: key(4711), Cost: 1,
			Limit: &peerpb.Limit{Tokens: 1, PerNs: int64(l.every), Burst: int64(l.burst)},
		}},
	}}}
}

// What transport/peer tells gRPC.
const (
	peerWindow = 512 << 10
	peerBuffer = 64 << 10
)

// bareMethod is the full name of the stream.
const bareMethod = "/bare/Talk"

func bareService() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{ServiceName: "bare", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{bareStream()}}
}

func bareStream() grpc.StreamDesc {
	return grpc.StreamDesc{
		StreamName: "Talk", ServerStreams: true, ClientStreams: true,
		Handler: func(t any, s grpc.ServerStream) error { return t.(*talker).talk(s) },
	}
}

// A talker answers each message with as many answers as it has asks.
type talker struct {
	ask     int    // length of an ask
	answer  int    // length of an answer
	answers []byte // bareMost of them
}

// bareMost is the most asks that a message may have.
const bareMost = 4 * manyCallers

// talk answers until the stream ends.
func (t *talker) talk(s grpc.ServerStream) error {
	for {
		var in received
		if err := s.RecvMsg(&in); err != nil {
			return err
		}
		n := int(in) / t.ask
		if n > bareMost {
			return fmt.Errorf("%d asks in a message, want at most %d", n, bareMost)
		}
		if err := s.SendMsg(frames(t.answers[:n*t.answer])); err != nil {
			return err
		}
	}
}

// frames is a message as bytes.
type frames []byte

// received is the length of a message that came. The message itself is dropped: nothing is decoded.
type received int

// raw is a codec that leaves frames as they are.
type raw struct{}

// Name implements encoding.CodecV2.
func (raw) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (raw) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(frames)
	if !ok {
		return nil, fmt.Errorf("message is a %T, want frames", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(f)}, nil
}

// Unmarshal implements encoding.CodecV2.
func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	if data.Len() == 0 {
		return io.ErrUnexpectedEOF
	}
	in, ok := v.(*received)
	if !ok {
		return fmt.Errorf("message goes into a %T, want received", v)
	}
	*in = received(data.Len())
	return nil
}
