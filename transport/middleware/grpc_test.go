package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport/middleware"
)

// healthOf starts a server with the health service and returns a client of it.
func healthOf(t *testing.T, server []grpc.ServerOption, client ...grpc.DialOption) healthpb.HealthClient {
	t.Helper()
	door := bufconn.Listen(64 << 10)
	s := grpc.NewServer(server...)
	healthpb.RegisterHealthServer(s, health.NewServer())
	served := make(chan error, 1)
	go func() { served <- s.Serve(door) }()
	client = append(client, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return door.DialContext(ctx) }))
	conn, err := grpc.NewClient("passthrough:///x", client...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return healthpb.NewHealthClient(conn)
}

// interceptors of a server and of a client, with the same limits.
func interceptors(t *testing.T, c middleware.Config, limits middleware.GRPCLimits) (server []grpc.ServerOption, client []grpc.DialOption) {
	t.Helper()
	us, err1 := middleware.UnaryServer(c, limits)
	ss, err2 := middleware.StreamServer(c, limits)
	uc, err3 := middleware.UnaryClient(c, limits)
	sc, err4 := middleware.StreamClient(c, limits)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(us), grpc.ChainStreamInterceptor(ss)},
		[]grpc.DialOption{grpc.WithChainUnaryInterceptor(uc), grpc.WithChainStreamInterceptor(sc)}
}

// wantDenied checks that err says which limit denied, and when to come back; 0 for never.
func wantDenied(t *testing.T, err error, limit string, retry time.Duration) {
	t.Helper()
	s := status.Convert(err)
	if s.Code() != codes.ResourceExhausted {
		t.Fatalf("error %v, want RESOURCE_EXHAUSTED", err)
	}
	var by string
	var after time.Duration
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.QuotaFailure:
			by = d.GetViolations()[0].GetSubject()
		case *errdetails.RetryInfo:
			after = d.GetRetryDelay().AsDuration()
		}
	}
	if by != limit || after.Round(time.Second) != retry {
		t.Errorf("denied by %q, retry after %v; want %q and %v", by, after, limit, retry)
	}
}

// A server refuses calls and streams with what a client needs to know, and streams count once.
func TestGRPCServer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b")
		perMethod, all := parse(t, "2/h"), parse(t, "quota 4")
		fail := error(nil)
		server, _ := interceptors(t, middleware.Config{Checker: c.Node("a")}, func(_ context.Context, method string) ([]middleware.Met, error) {
			return []middleware.Met{middleware.One("method", perMethod, method), middleware.One("all", all, "")}, fail
		})
		h := healthOf(t, server)
		check := func() error {
			_, err := h.Check(t.Context(), &healthpb.HealthCheckRequest{})
			return err
		}
		watch := func() error {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w, err := h.Watch(ctx, &healthpb.HealthCheckRequest{})
			if err == nil {
				_, err = w.Recv()
			}
			return err
		}
		for i, do := range []func() error{check, check, watch, watch} {
			if err := do(); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		}
		wantDenied(t, check(), "method", 0) // all is spent too, for good
		if err := c.Node("b").Reset(t.Context(), middleware.Key("all", "")); err != nil {
			t.Fatal(err)
		}
		wantDenied(t, check(), "method", 30*time.Minute)
		wantDenied(t, watch(), "method", 30*time.Minute)
		for _, want := range []struct {
			err  error
			code codes.Code
		}{
			{fmt.Errorf("%w: who", middleware.ErrCaller), codes.Unauthenticated},
			{status.Error(codes.NotFound, "no tenant"), codes.NotFound},
			{errors.New("secret"), codes.Internal},
		} {
			fail = want.err
			if err := check(); status.Code(err) != want.code {
				t.Errorf("call whose limits are not known = %v, want %v", err, want.code)
			}
		}
		fail = nil
		c.Kill("a")
		if err := check(); status.Code(err) != codes.Unavailable {
			t.Errorf("call that nobody decides on = %v, want UNAVAILABLE", err)
		}
	})
}

// A client's calls and streams wait for their turn, or say at once that their deadline comes first.
func TestGRPCClient(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b")
		one := parse(t, "1/s")
		_, client := interceptors(t, middleware.Config{Checker: c.Node("b")}, func(context.Context, string) ([]middleware.Met, error) {
			return []middleware.Met{middleware.One("one", one, "")}, nil
		})
		h := healthOf(t, nil, client...)
		began := time.Now()
		for range 3 {
			if _, err := h.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := h.Watch(ctx, &healthpb.HealthCheckRequest{}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began).Round(100 * time.Millisecond); took != 3*time.Second {
			t.Errorf("4 calls of 1/s took %v", took)
		}
		soon, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		began = time.Now()
		_, err := h.Check(soon, &healthpb.HealthCheckRequest{})
		if took := time.Since(began); status.Code(err) != codes.DeadlineExceeded || took > 100*time.Millisecond {
			t.Errorf("call with too little time = %v after %v, want DEADLINE_EXCEEDED at once", err, took)
		}
	})
}

// What constructors cannot use they refuse.
func TestGRPCConfig(t *testing.T) {
	limits := func(context.Context, string) ([]middleware.Met, error) { return nil, nil }
	for name, f := range map[string]func(middleware.Config, middleware.GRPCLimits) error{
		"UnaryServer": func(c middleware.Config, l middleware.GRPCLimits) error {
			_, err := middleware.UnaryServer(c, l)
			return err
		},
		"StreamServer": func(c middleware.Config, l middleware.GRPCLimits) error {
			_, err := middleware.StreamServer(c, l)
			return err
		},
		"UnaryClient": func(c middleware.Config, l middleware.GRPCLimits) error {
			_, err := middleware.UnaryClient(c, l)
			return err
		},
		"StreamClient": func(c middleware.Config, l middleware.GRPCLimits) error {
			_, err := middleware.StreamClient(c, l)
			return err
		},
	} {
		if err := f(middleware.Config{}, limits); !errors.Is(err, middleware.ErrConfig) {
			t.Errorf("%s without a Checker = %v, want ErrConfig", name, err)
		}
		if err := f(middleware.Config{Checker: new(cluster.Node)}, nil); !errors.Is(err, middleware.ErrConfig) {
			t.Errorf("%s without limits = %v, want ErrConfig", name, err)
		}
	}
}
