package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/noriahq/noria/transport/noriapb"
)

// A bareProcess serves the bare services.
type bareProcess struct {
	*process
	addrs bareAddrs
}

// startBare runs the tool once more, as the bare services.
func startBare(ctx context.Context) (*bareProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := start(self, bareCommand)
	if err != nil {
		return nil, err
	}
	b := &bareProcess{process: p}
	line, err := p.find(ctx, "unary")
	if err == nil {
		err = json.Unmarshal([]byte(line), &b.addrs)
	}
	if err != nil {
		p.end()
		return nil, err
	}
	return b, nil
}

// ways returns how the empty unary service of the process pid is asked, and its bare stream: one message, one answer.
func (a bareAddrs) ways(ctx context.Context, pid int) ([]way, error) {
	unary, err := checkAsk(a.Unary)
	if err != nil {
		return nil, err
	}
	stream, err := streamAsk(ctx, a.Stream)
	if err != nil {
		return nil, err
	}
	return []way{
		{name: bareUnary, callers: []int{1, manyCallers}, ask: unary, others: []int{pid}},
		{name: bareTalk, callers: []int{1}, ask: stream, others: []int{pid}},
	}, nil
}

// streamAsk opens a stream, which ends with ctx, and returns the ask that uses it. It is for one caller.
func streamAsk(ctx context.Context, addr string) (ask, error) {
	message, err := proto.Marshal(bareAskFrame())
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{})),
		grpc.WithStaticStreamWindowSize(peerWindow), grpc.WithStaticConnWindowSize(peerWindow),
		grpc.WithReadBufferSize(peerBuffer), grpc.WithWriteBufferSize(peerBuffer),
	)
	if err != nil {
		return nil, err
	}
	desc := bareStream()
	s, err := conn.NewStream(ctx, &desc, bareMethod)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return func(context.Context, string) error {
		if err := s.SendMsg(frames(message)); err != nil {
			return err
		}
		var in frames
		return s.RecvMsg(&in)
	}, nil
}

// checkAsk returns the ask that calls noria.v1's Check at addr, over one connection for all callers that stays until the
// tool ends.
func checkAsk(addr string) (ask, error) {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	client := noriapb.NewNoriaClient(conn)
	text := plenty().bucket().String()
	return func(ctx context.Context, key string) error {
		answer, err := client.Check(ctx, &noriapb.CheckRequest{Key: key, Limit: text})
		switch {
		case err != nil:
			return err
		case !answer.GetAllowed():
			return errDenied
		case answer.GetSource() != noriapb.Source_SOURCE_HOLDER || answer.GetNode() != servedName:
			return fmt.Errorf("answered by %s of %s, want the holder %s", answer.GetSource(), answer.GetNode(), servedName)
		}
		return nil
	}, nil
}
