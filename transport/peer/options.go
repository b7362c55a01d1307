package peer

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
)

// What gRPC is told on both sides. A window below two usual batches would make a writer wait for the reader; static
// windows save the pings that gRPC estimates bandwidth with; larger buffers save system calls for large batches.
const (
	window   = 512 << 10
	ioBuffer = 64 << 10

	// A connection is given up when nothing came for keepTime and a ping was not answered for keepWait; on Linux also
	// when what was sent is not acknowledged for keepWait.
	keepTime = 10 * time.Second
	keepWait = 3 * time.Second

	// Connections without a stream are for Greet and are closed after that.
	unused = 30 * time.Second
)

func (t *Transport) serverOptions() []grpc.ServerOption {
	return append(t.guards(),
		grpc.ForceServerCodecV2(t.codec),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxSendMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(16),
		grpc.MaxHeaderListSize(8<<10),
		grpc.ConnectionTimeout(helloWait),
		grpc.StaticStreamWindowSize(window),
		grpc.StaticConnWindowSize(window),
		grpc.ReadBufferSize(ioBuffer),
		grpc.WriteBufferSize(ioBuffer),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: unused, Time: keepTime, Timeout: keepWait,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: keepTime / 2, PermitWithoutStream: true,
		}),
	)
}

// dialOptions are for one connection that is not opened again when it breaks.
func (t *Transport) dialOptions(d *dialer) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(&guestCredentials{t.cfg.ClientCredentials, d}),
		grpc.WithContextDialer(d.connect),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(t.codec),
			grpc.MaxCallRecvMsgSize(maxMessage),
			grpc.MaxCallSendMsgSize(maxMessage),
		),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableHealthCheck(),
		grpc.WithIdleTimeout(0),
		grpc.WithStaticStreamWindowSize(window),
		grpc.WithStaticConnWindowSize(window),
		grpc.WithReadBufferSize(ioBuffer),
		grpc.WithWriteBufferSize(ioBuffer),
		grpc.WithMaxHeaderListSize(8 << 10),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.DefaultConfig, MinConnectTimeout: t.cfg.ConnectTimeout,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepTime, Timeout: keepWait}),
	}
}

// dialer remembers why connecting failed, because of that gRPC passes on the text alone.
type dialer struct {
	dial func(ctx context.Context, addr string) (net.Conn, error)

	mu  sync.Mutex
	err error // guarded by mu
}

func (d *dialer) connect(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := d.dial(ctx, addr)
	d.note(err)
	if err != nil {
		return nil, err
	}
	return direct(conn), nil
}

func (d *dialer) note(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func (d *dialer) last() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}
