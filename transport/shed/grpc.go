package shed

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/tap"

	"github.com/noriahq/noria/transport"
)

// Options returns the options by which a server refuses calls that g does not let in, with transport.Overloaded: where there are too
// many before anything is made for them. kind says what a call of a method, "/package.Service/Method", is.
//
// A stream is let in or refused once, when it begins; what comes by it has to ask g by itself.
func Options(g *Gate, kind func(method string) Kind) []grpc.ServerOption {
	if g == nil {
		return nil
	}
	return []grpc.ServerOption{
		grpc.InTapHandle(func(ctx context.Context, info *tap.Info) (context.Context, error) {
			k := kind(info.FullMethodName)
			if g.isFull(k) || k.Priority == Read && !g.Wait(ctx, k.Entry, k.Priority) {
				return nil, transport.Overloaded()
			}
			return ctx, nil
		}),
		grpc.ChainUnaryInterceptor(func(ctx context.Context, m any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			g.calls.Add(1)
			defer g.Leave()
			if g.over.Load() {
				if k := kind(info.FullMethod); k.Priority != Read && !g.wait(ctx, k.Entry, k.Priority) {
					return nil, transport.Overloaded()
				}
			}
			return next(ctx, m)
		}),
		grpc.ChainStreamInterceptor(func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			g.calls.Add(1)
			defer g.Leave()
			return next(srv, s)
		}),
	}
}

// isFull says whether there is no room for one more call of kind k. Between it and the count some more may come: as many as the
// readers of connections are ahead of their handlers.
func (g *Gate) isFull(k Kind) bool {
	n, most := g.calls.Load(), int64(g.config.MaxCalls)
	if n < most || k.Priority == Vital || k.Priority == Give && n < most+most/4 {
		return false
	}
	g.shed[k.Entry][k.Priority].Add(1)
	return true
}
