package api

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// The server and each of its services serve while the node is ready.
func TestHealth(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
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
