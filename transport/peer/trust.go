package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport/peerpb"
)

// identify says why the other end of a connection, known by p, is not the node that it says it is; "" is any node.
func (t *Transport) identify(p *peer.Peer, id ring.Member) error {
	if t.cfg.Identify == nil {
		return nil
	}
	if p == nil || p.AuthInfo == nil {
		return errors.New("it has shown no certificate")
	}
	return t.cfg.Identify(p.AuthInfo, id)
}

// admit returns why a caller is not served, because it is not the node that it says it is.
func (t *Transport) admit(ctx context.Context, id ring.Member) error {
	p, _ := peer.FromContext(ctx)
	if err := t.identify(p, id); err != nil {
		return status.Error(codes.PermissionDenied, err.Error())
	}
	return nil
}

// guards are the options by which a server hears nobody but nodes of its cluster, whatever they ask.
func (t *Transport) guards() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(&hostCredentials{t.cfg.ServerCredentials, t}),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := t.admit(ctx, ""); err != nil {
				return nil, t.refuse(ctx, err)
			}
			return next(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := t.admit(stream.Context(), ""); err != nil {
				return t.refuse(stream.Context(), err)
			}
			return next(srv, stream)
		}),
	}
}

// refuse notes that the caller with ctx is refused with err, which it returns.
func (t *Transport) refuse(ctx context.Context, err error) error {
	from := "unknown"
	if p, ok := peer.FromContext(ctx); ok {
		from = p.Addr.String()
	}
	t.count.refused.Add(1)
	t.complain("stream of a peer refused", from, err)
	return err
}

// hostCredentials say who could not come in, which gRPC keeps to itself.
type hostCredentials struct {
	credentials.TransportCredentials
	t *Transport
}

// ServerHandshake implements credentials.TransportCredentials.
func (c *hostCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := c.TransportCredentials.ServerHandshake(conn)
	if err != nil && !errors.Is(err, credentials.ErrConnDispatched) {
		c.t.count.refused.Add(1)
		c.t.complain("connection of a peer refused", conn.RemoteAddr().String(), explain(err))
	}
	return secured, info, err
}

// Clone implements credentials.TransportCredentials.
func (c *hostCredentials) Clone() credentials.TransportCredentials {
	return &hostCredentials{c.TransportCredentials.Clone(), c.t}
}

// guestCredentials remember why a handshake failed, because of that gRPC passes on the text alone.
type guestCredentials struct {
	credentials.TransportCredentials
	d *dialer
}

// ClientHandshake implements credentials.TransportCredentials.
func (c *guestCredentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, conn)
	if err != nil && ctx.Err() == nil {
		c.d.note(shakeError(err))
	}
	return secured, info, err
}

// Clone implements credentials.TransportCredentials.
func (c *guestCredentials) Clone() credentials.TransportCredentials {
	return &guestCredentials{c.TransportCredentials.Clone(), c.d}
}

// shakeError returns the error with which asks end because a handshake ended with err: refused, if one end did not like
// the other, and lost if the connection broke.
func shakeError(err error) error {
	var op net.Error
	if errors.As(err, &op) && !strings.Contains(err.Error(), "tls: ") {
		return err
	}
	return fmt.Errorf("%w: %w", cluster.ErrPeerRefused, explain(err))
}

// alerts are what TLS says of the other end's doubts, and what they mean between nodes.
func alerts() [7]struct{ says, means string } {
	return [...]struct{ says, means string }{
		{"remote error: tls: unknown certificate authority", "it does not trust the CA that has signed this node's certificate"},
		{"remote error: tls: expired certificate", "this node's certificate has ended"},
		{"remote error: tls: certificate required", "it wants a certificate, and this node has none to show"},
		{"remote error: tls: bad certificate", "it refuses this node's certificate; its log says why"},
		{"first record does not look like a TLS handshake", "it does not speak TLS, and this node does"},
		{"client didn't provide a certificate", "it has shown no certificate"},
		{"protocol version", "it speaks no TLS 1.3"},
	}
}

// explain returns err, which ended a handshake, with what it means between nodes.
func explain(err error) error {
	for _, a := range alerts() {
		if strings.Contains(err.Error(), a.says) {
			return &explained{a.means, err}
		}
	}
	return err
}

// explained is an error with what it means before it.
type explained struct {
	means string
	err   error
}

func (e *explained) Error() string { return e.means + " (" + e.err.Error() + ")" }
func (e *explained) Unwrap() error { return e.err }

// Keys asks the member id, whose peers reach it at addr, for a step of a run that looks at or changes gossip keys.
// Errors have a gRPC status, or wrap cluster.ErrPeerRefused or cluster.ErrPeerLost.
func (t *Transport) Keys(ctx context.Context, id ring.Member, addr string, r *peerpb.KeysRequest) (*peerpb.KeysResponse, error) {
	var answer *peerpb.KeysResponse
	err := t.once(ctx, addr, func(ctx context.Context, c peerpb.PeerClient) error {
		// It is greeted first, because the request may be a secret, and for its own eyes.
		var p peer.Peer
		hello, err := c.Greet(ctx, &peerpb.GreetRequest{}, grpc.Peer(&p))
		if err != nil {
			return err
		}
		if said := ring.Member(hello.GetHello().GetId()); said != id {
			return fmt.Errorf("%w: %s is the address of %q now", cluster.ErrPeerRefused, addr, said)
		}
		if err := t.identify(&p, id); err != nil {
			return fmt.Errorf("%w: %w", cluster.ErrPeerRefused, err)
		}
		answer, err = c.Keys(ctx, r, grpc.Peer(&p))
		return err
	})
	return answer, err
}

// once calls f with a connection to addr of its own.
func (t *Transport) once(ctx context.Context, addr string, f func(context.Context, peerpb.PeerClient) error) error {
	d := &dialer{dial: t.cfg.Dialer}
	conn, err := grpc.NewClient("passthrough:///"+addr, t.dialOptions(d)...)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := f(ctx, peerpb.NewPeerClient(conn)); err != nil {
		if dialed := d.last(); dialed != nil {
			return dialed
		}
		return err
	}
	return nil
}

// Keys implements peerpb.PeerServer.
func (s *service) Keys(ctx context.Context, r *peerpb.KeysRequest) (*peerpb.KeysResponse, error) {
	if s.t.cfg.Keys == nil {
		return nil, status.Error(codes.Unimplemented, "its gossip has no keys")
	}
	return s.t.cfg.Keys(ctx, r)
}
