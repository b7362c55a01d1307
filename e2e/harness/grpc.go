package harness

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/noriahq/noria/transport/noriapb"
)

// grpcClient asks a node's gRPC API.
type grpcClient struct {
	node *Node
	grpc noriapb.NoriaClient
}

// GRPC returns a client of the node's gRPC API.
func (n *Node) GRPC() Client {
	n.t.Helper()
	return &grpcClient{node: n, grpc: n.Stub()}
}

// Stub returns the generated client of the node's gRPC API, on a connection of its own.
func (n *Node) Stub() noriapb.NoriaClient {
	n.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+n.Addr.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		n.t.Fatalf("%s: %v", n.Name, err)
	}
	n.t.Cleanup(func() { _ = conn.Close() })
	return noriapb.NewNoriaClient(conn)
}

// String implements Client.
func (c *grpcClient) String() string { return c.node.Name + " over gRPC" }

// Check implements Client.
func (c *grpcClient) Check(ctx context.Context, check Check) (Answer, error) {
	answer, err := c.grpc.Check(ctx, message(check))
	if err != nil {
		return Answer{}, fmt.Errorf("%v: %w", c, err)
	}
	return answerOf(answer), nil
}

// CheckAll implements Client.
func (c *grpcClient) CheckAll(ctx context.Context, checks ...Check) (Answer, error) {
	request := &noriapb.CheckAllRequest{}
	for _, check := range checks {
		request.Checks = append(request.Checks, message(check))
	}
	answer, err := c.grpc.CheckAll(ctx, request)
	if err != nil {
		return Answer{}, fmt.Errorf("%v: %w", c, err)
	}
	a := Answer{
		Allowed: answer.GetAllowed(), DeniedBy: answer.GetDeniedBy(),
		RetryAfterMS: millis(answer.GetRetryAfterNs()), DelayMS: millis(answer.GetDelayNs()),
	}
	for _, one := range answer.GetChecks() {
		a.Checks = append(a.Checks, answerOf(one))
	}
	return a, nil
}

// message returns c as gRPC has it.
func message(c Check) *noriapb.CheckRequest {
	cost := c.cost()
	return &noriapb.CheckRequest{
		Key: c.Key, Limit: c.Limit, Cost: &cost, Id: c.ID, Name: c.Name,
		Durability: noriapb.Durability(word(noriapb.Durability_value, "DURABILITY_", c.Durability)),
		OnLost:     noriapb.OnLost(word(noriapb.OnLost_value, "ON_LOST_", c.OnLost)),
		ColdStart:  noriapb.ColdStart(word(noriapb.ColdStart_value, "COLD_START_", c.ColdStart)),
	}
}

// word returns the number of an enumeration's value that the HTTP API calls s; 0, the default, for the empty word.
func word(values map[string]int32, prefix, s string) int32 { return values[prefix+strings.ToUpper(s)] }

// answerOf returns an answer as HTTP has it.
func answerOf(m *noriapb.CheckResponse) Answer {
	return Answer{
		Allowed: m.GetAllowed(), Remaining: m.GetRemaining(), Node: m.GetNode(),
		RetryAfterMS: millis(m.GetRetryAfterNs()), ResetAfterMS: millis(m.GetResetAfterNs()), DelayMS: millis(m.GetDelayNs()),
		Source: strings.ToLower(strings.TrimPrefix(m.GetSource().String(), "SOURCE_")),
	}
}

// millis returns nanoseconds in milliseconds, rounded up; -1 stays -1.
func millis(ns int64) int64 {
	if ns < 0 {
		return -1
	}
	return (ns + int64(time.Millisecond) - 1) / int64(time.Millisecond)
}
