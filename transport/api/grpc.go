package api

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	pb "github.com/noriahq/noria/transport/noriapb"
)

// Bounds of a gRPC server, against clients that ask for too much.
const (
	maxStreams    = 4096             // calls under way on one connection; further ones wait at the client
	maxHeaderList = 16 << 10         // bytes
	handshake     = 10 * time.Second // until a new connection has said what it is
	pingEvery     = time.Minute      // to a client that says nothing
	pingWait      = 20 * time.Second // for its answer, or the connection is closed
	pingLeast     = 10 * time.Second // between two pings of a client; one that pings more often is sent away
)

// NewGRPC returns a server with the public gRPC API over l, health and reflection. Further services may be registered
// before it serves; opts come after its own options. Shutdown stops it.
func NewGRPC(l Limiter, c Config, opts ...grpc.ServerOption) *grpc.Server {
	c = c.withDefaults()
	own := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(MaxBody),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaderList),
		grpc.ConnectionTimeout(handshake),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingEvery, Timeout: pingWait}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingLeast, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
	}
	s := grpc.NewServer(append(own, opts...)...)
	pb.RegisterNoriaServer(s, &service{
		limiter:  l,
		limits:   newLimits(),
		turns:    newTurns(c),
		inFlight: int64(c.MaxInFlight),
		gate:     c.Gate,
		stopping: c.Stopping,
		log:      c.Log,
	})
	grpc_health_v1.RegisterHealthServer(s, &health{limiter: l, stopping: c.Stopping, services: s.GetServiceInfo})
	reflection.Register(s)
	return s
}

// Shutdown stops s: it takes no more connections and calls, waits for those under way, and ends what is left of them
// when ctx is done. Close Config.Stopping before it, or clients' streams will keep it waiting for that long.
func Shutdown(ctx context.Context, s *grpc.Server) {
	stop := context.AfterFunc(ctx, s.Stop)
	defer stop()
	s.GracefulStop()
}
