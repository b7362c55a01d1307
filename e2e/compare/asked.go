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
		p.kill()
		return nil, err
	}
	return b, nil
}

// ways returns how the empty unary service of the process pid is asked, and its bare stream: with one message for each
// check, and with one for all that are asked at the same time.
func (a bareAddrs) ways(ctx context.Context, keys []string, pid int) ([]way, error) {
	conn, err := grpc.NewClient(a.Unary, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	unary := func(int, limit) ask { return holderAsk(noriapb.NewNoriaClient(conn)) }
	stream, err := streamAsk(ctx, a.Stream)
	if err != nil {
		return nil, err
	}
	batches, err := batchAsk(ctx, a.Stream)
	if err != nil {
		return nil, err
	}
	return []way{
		asked(bareUnary, jobs(spread, 1, manyCallers), unary, keys, pid),
		asked(bareTalk, jobs(spread, 1), func(int, limit) ask { return stream }, keys, pid),
		asked(bareBatch, jobs(spread, manyCallers), batches, keys, pid),
	}, nil
}

// streamAsk opens a stream, which ends with ctx, and returns the ask that uses it. It is for one caller.
func streamAsk(ctx context.Context, addr string) (ask, error) {
	s, message, err := openStream(ctx, addr)
	if err != nil {
		return nil, err
	}
	return func(context.Context, string) (bool, error) {
		if err := s.SendMsg(frames(message)); err != nil {
			return false, err
		}
		var in received
		err := s.RecvMsg(&in)
		return err == nil, err
	}, nil
}

// openStream opens a bare stream, which ends with ctx, and returns it with the message that asks once.
func openStream(ctx context.Context, addr string) (s grpc.ClientStream, message []byte, err error) {
	if message, err = proto.Marshal(bareAskFrame()); err != nil {
		return nil, nil, err
	}
	conn, err := grpc.NewClient(addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{})),
		grpc.WithStaticStreamWindowSize(peerWindow), grpc.WithStaticConnWindowSize(peerWindow),
		grpc.WithReadBufferSize(peerBuffer), grpc.WithWriteBufferSize(peerBuffer),
	)
	if err != nil {
		return nil, nil, err
	}
	desc := bareStream()
	if s, err = conn.NewStream(ctx, &desc, bareMethod); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return s, message, nil
}

// holderAsk returns the ask that calls noria.v1's Check with plenty, and wants the holder's own answer.
func holderAsk(of noriapb.NoriaClient) ask {
	text := plenty().bucket().String()
	return func(ctx context.Context, key string) (bool, error) {
		answer, err := of.Check(ctx, &noriapb.CheckRequest{Key: key, Limit: text})
		if err == nil && (answer.GetSource() != noriapb.Source_SOURCE_HOLDER || answer.GetNode() != servedName) {
			err = fmt.Errorf("answered by %s of %s, want the holder %s", answer.GetSource(), answer.GetNode(), servedName)
		}
		return answer.GetAllowed(), err
	}
}
