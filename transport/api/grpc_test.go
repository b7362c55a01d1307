package api

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	pb "github.com/noriahq/noria/transport/noriapb"
)

// serve starts a gRPC server over f and returns it with a connection to it. Both end with the test.
func serve(t *testing.T, f Limiter, c Config) (*grpc.ClientConn, *grpc.Server) {
	t.Helper()
	s := NewGRPC(f, c)
	pipe := bufconn.Listen(1 << 20)
	go s.Serve(pipe)
	conn, err := grpc.NewClient("passthrough:node",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		s.Stop()
	})
	return conn, s
}

// inBubble runs test with a server over f in a bubble of its own.
func inBubble(t *testing.T, c Config, test func(t *testing.T, f *fake, client pb.NoriaClient)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		f := newFake(t)
		conn, _ := serve(t, f, c)
		test(t, f, pb.NewNoriaClient(conn))
	})
}

// Allowed and denied are both answers.
func TestGRPCCheck(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fake, client pb.NoriaClient) {
		for i, want := range []*pb.CheckResponse{
			{Allowed: true, Remaining: 1, ResetAfterNs: 48e9, Source: pb.Source_SOURCE_HOLDER, Node: "a"},
			{Remaining: 1, RetryAfterNs: 36e9, ResetAfterNs: 48e9, Source: pb.Source_SOURCE_HOLDER, Node: "a"},
			{Remaining: 1, RetryAfterNs: 36e9, ResetAfterNs: 48e9, Source: pb.Source_SOURCE_HOLDER, Node: "a"},
		} {
			m := &pb.CheckRequest{Key: "k", Cost: proto.Int64(4), Limit: "5/m"}
			if i == 2 { // the same limit in numbers
				m.Limit, m.LimitSpec = "", &pb.LimitSpec{Tokens: 5, PerNs: 60e9, Burst: 5}
			}
			got, err := client.Check(t.Context(), m)
			if diff := cmp.Diff(got, want, protocmp.Transform()); diff != "" || err != nil {
				t.Errorf("Check %d: %v (-got +want):\n%s", i, err, diff)
			}
		}
	})
}

// Waiting for a spent quota is told as -1.
func TestGRPCNever(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fake, client pb.NoriaClient) {
		m := &pb.CheckRequest{Key: "k", Limit: "quota 1"}
		client.Check(t.Context(), m)
		got, err := client.Check(t.Context(), m)
		want := &pb.CheckResponse{RetryAfterNs: -1, ResetAfterNs: -1, Source: pb.Source_SOURCE_HOLDER, Node: "a"}
		if diff := cmp.Diff(got, want, protocmp.Transform()); diff != "" || err != nil {
			t.Errorf("Check of a spent quota: %v (-got +want):\n%s", err, diff)
		}
	})
}

// Every field reaches the limiter as it was asked.
func TestGRPCAsks(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fake, client pb.NoriaClient) {
		_, err := client.CheckAll(t.Context(), &pb.CheckAllRequest{Checks: []*pb.CheckRequest{
			{
				Key: "é", Limit: "100/s burst 200 queue 7", Cost: proto.Int64(3), Id: "x", Durability: pb.Durability_DURABILITY_NONE,
				OnLost: pb.OnLost_ON_LOST_ALLOW, ColdStart: pb.ColdStart_COLD_START_EMPTY,
			},
			{
				Key: "b", LimitSpec: &pb.LimitSpec{Burst: 10, Window: pb.Window_WINDOW_MONTH, Zone: "Europe/Berlin"}, Cost: proto.Int64(0),
				Durability: pb.Durability_DURABILITY_SYNC, OnLost: pb.OnLost_ON_LOST_DENY, ColdStart: pb.ColdStart_COLD_START_FULL,
			},
			{Key: "c", LimitSpec: &pb.LimitSpec{Burst: 9, PerNs: 60e9, Window: pb.Window_WINDOW_FIXED}},
			{Key: "d", LimitSpec: &pb.LimitSpec{Tokens: 1, PerNs: 1e9, Burst: 2, Queue: 3}, Durability: pb.Durability_DURABILITY_ASYNC, OnLost: pb.OnLost_ON_LOST_SHARE},
		}})
		if err != nil {
			t.Fatal(err)
		}
		want := []bucket.Request{
			{
				Key: "é", Limit: bucket.Limit{Tokens: 100, Per: time.Second, Burst: 200, Queue: 7}, Cost: 3, ID: "x",
				Durability: bucket.Ephemeral, OnLost: bucket.Allow, ColdStart: bucket.Empty,
			},
			{Key: "b", Limit: bucket.Limit{Burst: 10, Window: bucket.Month, Zone: "Europe/Berlin"}, Durability: bucket.Sync, OnLost: bucket.Deny},
			{Key: "c", Limit: bucket.Limit{Burst: 9, Per: time.Minute, Window: bucket.Fixed}, Cost: 1},
			{Key: "d", Limit: bucket.Limit{Tokens: 1, Per: time.Second, Burst: 2, Queue: 3}, Cost: 1},
		}
		if diff := cmp.Diff(f.requests(), want); diff != "" {
			t.Errorf("the limiter was asked (-got +want):\n%s", diff)
		}
	})
}

// Several checks are charged all or not at all, and the answer says who denied and how long it takes.
func TestGRPCCheckAll(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fake, client pb.NoriaClient) {
		m := &pb.CheckAllRequest{Checks: []*pb.CheckRequest{
			{Key: "ip", Limit: "10/m"},
			{Key: "user", Limit: "1/m", Name: "free tier"},
			{Key: "all", Limit: "1/h"},
		}}
		first, err := client.CheckAll(t.Context(), m)
		if err != nil || !first.GetAllowed() || first.GetDeniedBy() != "" || len(first.GetChecks()) != 3 {
			t.Errorf("CheckAll: %v, %v, want allowed", first, err)
		}
		got, err := client.CheckAll(t.Context(), m)
		want := &pb.CheckAllResponse{DeniedBy: "free tier", RetryAfterNs: 3600e9, Checks: []*pb.CheckResponse{
			{Allowed: true, Remaining: 8, ResetAfterNs: 12e9, Source: pb.Source_SOURCE_HOLDER, Node: "a"},
			{RetryAfterNs: 60e9, ResetAfterNs: 60e9, Source: pb.Source_SOURCE_HOLDER, Node: "a"},
			{RetryAfterNs: 3600e9, ResetAfterNs: 3600e9, Source: pb.Source_SOURCE_HOLDER, Node: "a"},
		}}
		if diff := cmp.Diff(got, want, protocmp.Transform()); diff != "" || err != nil {
			t.Errorf("CheckAll: %v (-got +want):\n%s", err, diff)
		}
		peek, err := client.Peek(t.Context(), &pb.PeekRequest{Key: "ip", Limit: "10/m"})
		if peek.GetRemaining() != 9 || err != nil {
			t.Errorf("Peek after a denial: %v, %v, want 9 left", peek, err)
		}
	})
}

// A reset bucket is full again.
func TestGRPCReset(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fake, client pb.NoriaClient) {
		m := &pb.CheckRequest{Key: "k", Limit: "1/h"}
		for i, want := range []bool{true, false, true} {
			if i == 2 {
				if _, err := client.Reset(t.Context(), &pb.ResetRequest{Key: "k"}); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := client.Check(t.Context(), m); got.GetAllowed() != want || err != nil {
				t.Errorf("check %d: %v, %v, want allowed %v", i, got, err, want)
			}
		}
	})
}

// Reflection names the services, so that grpcurl needs no .proto.
func TestReflection(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		conn, _ := serve(t, newFake(t), Config{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
		if err != nil {
			t.Fatal(err)
		}
		stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
		got, err := stream.Recv()
		if err != nil || !strings.Contains(got.String(), "noria.v1.Noria") {
			t.Errorf("list of services: %v, %v, want noria.v1.Noria among them", got, err)
		}
	})
}

// The status is cluster.Status.
func TestGRPCStatus(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fake, client pb.NoriaClient) {
		got, err := client.Status(t.Context(), &pb.StatusRequest{})
		want := &pb.StatusResponse{
			Node: "a", Ready: true, Label: "noria", Epoch: "00c0ffee", Ring: "16384/512/1.25",
			Members:    []*pb.Member{{Id: "a", Peer: "127.0.0.1:7947", Gossip: "127.0.0.1:7946", Partitions: 16384, Self: true}},
			Partitions: 16384, Keys: 3, Evicted: 4, Degraded: 5, UptimeNs: 60e9, Policy: "00000000000000f0", Policies: 2, Reservations: 6,
		}
		if diff := cmp.Diff(got, want, protocmp.Transform()); diff != "" || err != nil {
			t.Errorf("Status: %v (-got +want):\n%s", err, diff)
		}
	})
}
