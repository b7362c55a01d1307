package metrics_test

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"
)

// callHealth asks s for the health of a service that it does not have.
func callHealth(t *testing.T, s *grpc.Server) {
	t.Helper()
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	l := bufconn.Listen(1 << 16)
	go func() { _ = s.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "none"})
	if err == nil {
		t.Fatal("a service that is not there is healthy")
	}
}
