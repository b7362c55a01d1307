package bearer

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// ServerOptions returns the options that put a gRPC server behind g, but for the methods open, such as
// /grpc.health.v1.Health/Check. Of g they go by Tokens, Admin and Certificates.
func (g Guard) ServerOptions(open ...string) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := g.admit(ctx, info.FullMethod, open); err != nil {
				return nil, err
			}
			return next(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := g.admit(stream.Context(), info.FullMethod, open); err != nil {
				return err
			}
			return next(srv, stream)
		}),
	}
}

// admit returns why a call is not let through.
func (g Guard) admit(ctx context.Context, method string, open []string) error {
	if slices.Contains(open, method) || g.Certificates && certified(ctx) {
		return nil
	}
	shown := fromMetadata(ctx)
	if _, ok := g.Tokens.Name(shown); ok {
		return nil
	}
	if _, ok := g.Admin.Name(shown); ok {
		return nil
	}
	if shown == "" {
		return status.Error(codes.Unauthenticated, "no token: want the metadata authorization: Bearer TOKEN, or x-noria-token: TOKEN")
	}
	return status.Error(codes.Unauthenticated, "the token is not known here")
}

// certified says whether the caller has shown a client certificate, which the server has verified.
func certified(ctx context.Context) bool {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return false
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	return ok && len(info.State.VerifiedChains) > 0
}

// fromMetadata returns the token that a call shows, "" for none.
func fromMetadata(ctx context.Context) string {
	in, _ := metadata.FromIncomingContext(ctx)
	if token := in.Get("x-noria-token"); len(token) == 1 {
		return token[0]
	}
	if value := in.Get("authorization"); len(value) == 1 {
		return fromAuthorization(value[0])
	}
	return ""
}

// Credentials shows a token with every call of a client.
type Credentials struct {
	// Token is what is shown.
	Token string

	// Plain shows it on connections without TLS too, where others can read it.
	Plain bool
}

var _ credentials.PerRPCCredentials = Credentials{}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (c Credentials) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + c.Token}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (c Credentials) RequireTransportSecurity() bool { return !c.Plain }
