package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
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
	synctest.Test(t, func(t *testing.T) {
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

// Bad input is InvalidArgument with a sentence that says where; what the node cannot help is something else.
func TestGRPCErrors(t *testing.T) {
	ok := func(change func(*pb.CheckRequest)) *pb.CheckRequest {
		m := &pb.CheckRequest{Key: "k", Limit: "5/s"}
		change(m)
		return m
	}
	var b strings.Builder
	inBubble(t, Config{}, func(t *testing.T, f *fake, client pb.NoriaClient) {
		for _, m := range []*pb.CheckRequest{
			{},
			{Limit: "5/s"},
			{Key: "k"},
			ok(func(m *pb.CheckRequest) { m.Key = strings.Repeat("k", 513) }),
			ok(func(m *pb.CheckRequest) { m.Limit = "5/fortnight" }),
			ok(func(m *pb.CheckRequest) { m.LimitSpec = &pb.LimitSpec{Burst: 1} }),
			ok(func(m *pb.CheckRequest) { m.Limit, m.LimitSpec = "", &pb.LimitSpec{} }),
			ok(func(m *pb.CheckRequest) { m.Limit, m.LimitSpec = "", &pb.LimitSpec{Tokens: 5, Burst: 5} }),
			ok(func(m *pb.CheckRequest) { m.Limit, m.LimitSpec = "", &pb.LimitSpec{Burst: 5, Window: 99} }),
			ok(func(m *pb.CheckRequest) {
				m.Limit, m.LimitSpec = "", &pb.LimitSpec{Burst: 5, Window: pb.Window_WINDOW_DAY, Zone: strings.Repeat("x", 70000)}
			}),
			ok(func(m *pb.CheckRequest) { m.Cost = proto.Int64(-1) }),
			ok(func(m *pb.CheckRequest) { m.Cost = proto.Int64(6) }),
			ok(func(m *pb.CheckRequest) { m.Cost = proto.Int64(1 << 62) }),
			ok(func(m *pb.CheckRequest) { m.Id = strings.Repeat("i", 65) }),
			ok(func(m *pb.CheckRequest) { m.Name = strings.Repeat("n", 65) }),
			ok(func(m *pb.CheckRequest) { m.Durability = 9 }),
			ok(func(m *pb.CheckRequest) { m.OnLost = -1 }),
			ok(func(m *pb.CheckRequest) { m.ColdStart = 3 }),
		} {
			_, err := client.Check(t.Context(), m)
			if status.Code(err) != codes.InvalidArgument {
				t.Errorf("Check(%.200v): %v, want InvalidArgument", m, err)
			}
			_, all := client.CheckAll(t.Context(), &pb.CheckAllRequest{Checks: []*pb.CheckRequest{ok(func(*pb.CheckRequest) {}), m}})
			if status.Code(all) != codes.InvalidArgument || !strings.Contains(all.Error(), "checks[1].") {
				t.Errorf("CheckAll(_, %.200v): %v, want InvalidArgument about checks[1]", m, all)
			}
			fmt.Fprintf(&b, "%.200s\n\t%s\n", strings.ReplaceAll(fmt.Sprint(m), "  ", " "), status.Convert(err).Message())
		}
		if got := f.requests(); len(got) != 0 {
			t.Errorf("the limiter was asked %v, want nothing", got)
		}
		for n, want := range map[int]codes.Code{0: codes.InvalidArgument, 1: codes.OK, 1000: codes.OK, 1001: codes.InvalidArgument} {
			m := &pb.CheckAllRequest{}
			for i := range n {
				m.Checks = append(m.Checks, &pb.CheckRequest{Key: fmt.Sprint(i), Limit: "5/s"})
			}
			if _, err := client.CheckAll(t.Context(), m); status.Code(err) != want {
				t.Errorf("CheckAll of %d: %v, want %v", n, err, want)
			}
		}
		if _, err := client.Check(t.Context(), &pb.CheckRequest{Key: strings.Repeat("k", MaxBody)}); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("Check with more than MaxBody bytes: %v, want ResourceExhausted", err)
		}
		for _, m := range []string{"", strings.Repeat("k", 513)} {
			if _, err := client.Reset(t.Context(), &pb.ResetRequest{Key: m}); status.Code(err) != codes.InvalidArgument {
				t.Errorf("Reset(%d bytes): %v, want InvalidArgument", len(m), err)
			}
		}
		if _, err := client.Peek(t.Context(), &pb.PeekRequest{Key: "k"}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("Peek without a limit: %v, want InvalidArgument", err)
		}
	})
	golden(t, "grpc-bad-input", b.String())
}

// A key that is not UTF-8 ends in an error of gRPC's own and is asked of nobody.
func TestGRPCNotUTF8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		conn, _ := serve(t, f, Config{})
		m := &emptypb.Empty{} // carries the bytes of a CheckRequest that Go's protobuf would not write
		m.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "a\xff"))
		err := conn.Invoke(t.Context(), pb.Noria_Check_FullMethodName, m, &pb.CheckResponse{})
		if err == nil || !strings.Contains(err.Error(), "UTF-8") || len(f.requests()) != 0 {
			t.Errorf("Check: %v, and the limiter was asked %v, want an error about UTF-8 and nothing", err, f.requests())
		}
	})
}

// Errors of the limiter have the codes of the table. A fault of the node is logged and its words stay here.
func TestGRPCLimiterErrors(t *testing.T) {
	var log bytes.Buffer
	c := Config{Log: slog.New(slog.NewJSONHandler(&log, nil))}
	inBubble(t, c, func(t *testing.T, f *fake, client pb.NoriaClient) {
		for _, c := range []struct {
			err  error
			want codes.Code
		}{
			{cluster.ErrNotReady, codes.Unavailable},
			{cluster.ErrClosed, codes.Unavailable},
			{bucket.ErrConflict, codes.InvalidArgument},
			{errors.New("secret"), codes.Internal},
		} {
			f.fail(c.err)
			one := &pb.CheckRequest{Key: "k", Limit: "5/s"}
			_, check := client.Check(t.Context(), one)
			_, all := client.CheckAll(t.Context(), &pb.CheckAllRequest{Checks: []*pb.CheckRequest{one, one}})
			_, peek := client.Peek(t.Context(), &pb.PeekRequest{Key: "k", Limit: "5/s"})
			_, reset := client.Reset(t.Context(), &pb.ResetRequest{Key: "k"})
			for _, got := range []error{check, all, peek, reset} {
				if status.Code(got) != c.want || strings.Contains(got.Error(), "secret") {
					t.Errorf("with %v: %v, want %v and no secret", c.err, got, c.want)
				}
			}
		}
	})
	if got := strings.Count(log.String(), `"err":"secret"`); got != 4 {
		t.Errorf("the log has %d faults, want 4: %s", got, log.String())
	}
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

// A request that was admitted but has to wait is answered when its turn comes. If the caller's deadline is before it, the
// answer is there before the deadline and says what is left to wait: the tokens are taken either way.
func TestGRPCDelay(t *testing.T) {
	inBubble(t, Config{MaxHold: 5 * time.Second}, func(t *testing.T, f *fake, client pb.NoriaClient) {
		for i, c := range []struct {
			deadline time.Duration
			cost     int64
			took     time.Duration
			left     time.Duration
		}{
			{cost: 1},
			{cost: 1, took: time.Second},
			{cost: 2, deadline: time.Second, left: 2 * time.Second},          // turn at 3 s, now is 1 s
			{cost: 1, deadline: time.Minute, took: 3 * time.Second},          // turn at 4 s
			{cost: 6, left: 6 * time.Second},                                 // longer than the server holds
			{cost: 1, deadline: 2 * time.Millisecond, left: 7 * time.Second}, // turn at 11 s, now is 4 s
		} {
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if c.deadline > 0 {
				ctx, cancel = context.WithTimeout(ctx, c.deadline)
			}
			start := time.Now()
			got, err := client.Check(ctx, &pb.CheckRequest{Key: "k", Limit: "1/s burst 1 queue 50", Cost: proto.Int64(c.cost)})
			cancel()
			if took := time.Since(start); err != nil || !got.GetAllowed() || took != c.took || time.Duration(got.GetDelayNs()) != c.left {
				t.Errorf("check %d: %v, %v after %v, want allowed after %v with %v left", i, got, err, took, c.took, c.left)
			}
		}
		start := time.Now()
		all, err := client.CheckAll(t.Context(), &pb.CheckAllRequest{Checks: []*pb.CheckRequest{
			{Key: "x", Limit: "1/s burst 1 queue 50", Cost: proto.Int64(2)},
			{Key: "y", Limit: "1/s burst 1 queue 50", Cost: proto.Int64(3)},
			{Key: "z", Limit: "1/s"},
		}})
		if took := time.Since(start); err != nil || !all.GetAllowed() || took != 2*time.Second || all.GetDelayNs() != 0 || all.GetChecks()[1].GetDelayNs() != 0 {
			t.Errorf("CheckAll: %v, %v after %v, want allowed after the longest delay, 2s", all, err, took)
		}
	})
}

// A server that stops sends the answers it holds and ends, streams and all.
func TestGRPCShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopping := make(chan struct{})
		conn, s := serve(t, newFake(t), Config{Stopping: stopping})
		client := pb.NewNoriaClient(conn)
		held := make(chan *pb.CheckResponse, 1)
		go func() {
			got, err := client.Check(t.Context(), &pb.CheckRequest{Key: "k", Limit: "1/s burst 1 queue 50", Cost: proto.Int64(11)})
			if err != nil {
				t.Error(err)
			}
			held <- got
		}()
		stream, err := client.StreamChecks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		close(stopping)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		Shutdown(ctx, s)
		if took := time.Since(start); took > time.Second {
			t.Errorf("Shutdown took %v, want it not to wait for streams and held answers", took)
		}
		if got := <-held; !got.GetAllowed() || time.Duration(got.GetDelayNs()) != 6*time.Second {
			t.Errorf("held check: %v, want allowed with 6s left", got)
		}
		if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("stream: %v, want Unavailable", err)
		}
		for _, want := range []healthpb.HealthCheckResponse_ServingStatus{healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING} {
			if got, err := watch.Recv(); got.GetStatus() != want || err != nil {
				t.Errorf("watched health: %v, %v, want %v", got.GetStatus(), err, want)
			}
		}
		if _, err := client.Check(t.Context(), &pb.CheckRequest{Key: "k", Limit: "1/s"}); status.Code(err) != codes.Unavailable {
			t.Errorf("Check of a stopped server: %v, want Unavailable", err)
		}
	})
}

// Shutdown does not wait for longer than it is told to.
func TestGRPCShutdownHard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, s := serve(t, newFake(t), Config{})
		stream, err := pb.NewNoriaClient(conn).StreamChecks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		Shutdown(ctx, s)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("Shutdown took %v, want 3s", took)
		}
		if _, err := stream.Recv(); status.Code(err) != codes.Unavailable && status.Code(err) != codes.Canceled {
			t.Errorf("stream: %v, want Unavailable", err)
		}
	})
}

// The server and each of its services serve while the node is ready.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		conn, _ := serve(t, f, Config{})
		client := healthpb.NewHealthClient(conn)
		watch, err := client.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "noria.v1.Noria"})
		if err != nil {
			t.Fatal(err)
		}
		for ready, want := range map[bool]healthpb.HealthCheckResponse_ServingStatus{
			true: healthpb.HealthCheckResponse_SERVING, false: healthpb.HealthCheckResponse_NOT_SERVING,
		} {
			f.setReady(ready)
			for _, service := range []string{"", "noria.v1.Noria", "grpc.health.v1.Health"} {
				got, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
				if got.GetStatus() != want || err != nil {
					t.Errorf("health of %q, ready %v: %v, %v, want %v", service, ready, got, err, want)
				}
			}
			if got, err := client.List(t.Context(), &healthpb.HealthListRequest{}); got.GetStatuses()["noria.v1.Noria"].GetStatus() != want || err != nil {
				t.Errorf("List, ready %v: %v, %v, want %v", ready, got, err, want)
			}
		}
		if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "x"}); status.Code(err) != codes.NotFound {
			t.Errorf("health of an unknown service: %v, want NotFound", err)
		}
		f.setReady(true)
		for _, want := range []bool{true, false, true} {
			f.setReady(want)
			time.Sleep(2 * watchEvery)
		}
		last := healthpb.HealthCheckResponse_UNKNOWN
		for range 3 {
			got, err := watch.Recv()
			if err != nil || got.GetStatus() == last {
				t.Errorf("watched health: %v, %v, want a change", got, err)
			}
			last = got.GetStatus()
		}
	})
}

// Reflection names the services, so that grpcurl needs no .proto.
func TestReflection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
			Partitions: 16384, Keys: 3, Evicted: 4, Degraded: 5, UptimeNs: 60e9,
		}
		if diff := cmp.Diff(got, want, protocmp.Transform()); diff != "" || err != nil {
			t.Errorf("Status: %v (-got +want):\n%s", err, diff)
		}
	})
}
