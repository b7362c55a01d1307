package middleware

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/noriahq/noria/bucket"
)

// GRPCLimits says which limits a call of method, "/package.Service/Method", meets: all of them, or it is refused and nothing is
// taken. None lets it pass. An error that wraps ErrCaller is told as UNAUTHENTICATED, one with a status keeps it, and any other is
// INTERNAL, with a line in the log. In an interceptor of a client ctx is that of who calls.
type GRPCLimits func(ctx context.Context, method string) ([]Met, error)

// UnaryServer returns an interceptor that lets calls pass as limits and c say. Those that are refused end with
// RESOURCE_EXHAUSTED, with the details QuotaFailure, which names the limit, and RetryInfo unless waiting does not help; those
// that cannot be decided on with UNAVAILABLE. An error wraps ErrConfig.
func UnaryServer(c Config, limits GRPCLimits) (grpc.UnaryServerInterceptor, error) {
	c, err := c.withDefaults(limits == nil)
	if err != nil {
		return nil, err
	}
	g := &guard{Config: c}
	return func(ctx context.Context, m any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if err := g.call(ctx, info.FullMethod, limits); err != nil {
			return nil, err
		}
		return next(ctx, m)
	}, nil
}

// StreamServer is UnaryServer for streams, each of which counts once, when it begins.
func StreamServer(c Config, limits GRPCLimits) (grpc.StreamServerInterceptor, error) {
	c, err := c.withDefaults(limits == nil)
	if err != nil {
		return nil, err
	}
	g := &guard{Config: c}
	return func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		if err := g.call(s.Context(), info.FullMethod, limits); err != nil {
			return err
		}
		return next(srv, s)
	}, nil
}

// call returns the status that a call of method ends with, nil if it may go on.
func (g *guard) call(ctx context.Context, method string, limits GRPCLimits) error {
	met, err := limits(ctx, method)
	if err != nil {
		return g.unmetCall(ctx, err)
	}
	if len(met) == 0 {
		return nil
	}
	v, err := g.decide(ctx, met)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	default:
		g.log(ctx, err)
		if g.FailOpen {
			return nil
		}
		return statusOf(undecided(err), codes.Unavailable)
	}
	if v.denied >= 0 {
		return statusOf(denial(&v), codes.ResourceExhausted)
	}
	err = g.hold(ctx, v.delay)
	switch {
	case errors.Is(err, ErrQueue):
		return statusOf(tooLate(v.delay), codes.ResourceExhausted)
	case err != nil:
		return status.FromContextError(err).Err()
	}
	return nil
}

// unmetCall returns the status where it is not known which limits a call meets.
func (g *guard) unmetCall(ctx context.Context, err error) error {
	if errors.Is(err, ErrCaller) {
		return status.Error(codes.Unauthenticated, err.Error())
	}
	if _, is := status.FromError(err); is {
		return err
	}
	g.log(ctx, err)
	return status.Error(codes.Internal, fault().Detail)
}

// statusOf says p as a status, with code unless it is a fault or nobody could decide.
func statusOf(p problem, code codes.Code) error {
	switch p.Status {
	case http.StatusInternalServerError:
		return status.Error(codes.Internal, p.Detail)
	case http.StatusServiceUnavailable:
		code = codes.Unavailable
	}
	s := status.New(code, p.Detail)
	var more []protoadapt.MessageV1
	if p.DeniedBy != "" {
		more = append(more, &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{Subject: p.DeniedBy, Description: p.Limit}}})
	}
	if p.after > 0 && p.after != bucket.Never {
		more = append(more, &errdetails.RetryInfo{RetryDelay: durationpb.New(p.after)})
	}
	if len(more) == 0 {
		return s.Err()
	}
	whole, err := s.WithDetails(more...)
	if err != nil {
		return s.Err() // the details cannot be told: the code says enough
	}
	return whole.Err()
}
