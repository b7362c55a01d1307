package api

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
	pb "github.com/noriahq/noria/transport/noriapb"
)

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
			{cost: 6},
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
			got, err := client.Check(ctx, &pb.CheckRequest{Key: "k", Limit: "1/s burst 6 queue 50", Cost: proto.Int64(c.cost)})
			cancel()
			if took := time.Since(start); err != nil || !got.GetAllowed() || took != c.took || time.Duration(got.GetDelayNs()) != c.left {
				t.Errorf("check %d: %v, %v after %v, want allowed after %v with %v left", i, got, err, took, c.took, c.left)
			}
		}
		ask := &pb.CheckAllRequest{Checks: []*pb.CheckRequest{
			{Key: "x", Limit: "1/s burst 2 queue 50", Cost: proto.Int64(2)},
			{Key: "y", Limit: "1/s burst 3 queue 50", Cost: proto.Int64(3)},
			{Key: "z", Limit: "2/s"},
		}}
		if _, err := client.CheckAll(t.Context(), ask); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		all, err := client.CheckAll(t.Context(), ask)
		if took := time.Since(start); err != nil || !all.GetAllowed() || took != 3*time.Second || all.GetDelayNs() != 0 || all.GetChecks()[1].GetDelayNs() != 0 {
			t.Errorf("CheckAll: %v, %v after %v, want allowed after the longest delay, 3s", all, err, took)
		}
	})
}

// A server that stops sends the answers it holds and ends, streams and all.
func TestGRPCShutdown(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		stopping := make(chan struct{})
		conn, s := serve(t, newFake(t), Config{Stopping: stopping})
		client := pb.NewNoriaClient(conn)
		held := make(chan *pb.CheckResponse, 1)
		go func() {
			m := &pb.CheckRequest{Key: "k", Limit: "1/s burst 10 queue 50", Cost: proto.Int64(10)}
			if _, err := client.Check(t.Context(), m); err != nil {
				t.Error(err)
			}
			got, err := client.Check(t.Context(), m) // its turn is in 10 s
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
	bubble.Test(t, func(t *testing.T) {
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
