package api

import (
	"context"
	"log/slog"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/transport"
	pb "github.com/noriahq/noria/transport/noriapb"
	"github.com/noriahq/noria/transport/shed"
)

// A service answers the calls of noria.v1.
type service struct {
	pb.UnimplementedNoriaServer
	limiter  Limiter
	limits   *limits
	turns    *turns
	inFlight int64 // checks of one stream
	gate     *shed.Gate
	stopping <-chan struct{}
	log      *slog.Logger
}

// Check implements pb.NoriaServer.
func (s *service) Check(ctx context.Context, m *pb.CheckRequest) (*pb.CheckResponse, error) {
	c, err := s.limits.readCheck(single, m)
	if err != nil {
		return nil, transport.GRPC(err)
	}
	d, err := s.limiter.Check(ctx, c.req)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	left, err := s.turns.wait(ctx, d.Delay)
	if err != nil {
		return nil, transport.GRPC(err)
	}
	later(&d, d.Delay-left)
	return checkResponse(&d), nil
}

// CheckAll implements pb.NoriaServer.
func (s *service) CheckAll(ctx context.Context, m *pb.CheckAllRequest) (*pb.CheckAllResponse, error) {
	v, err := s.checkAll(ctx, m.GetChecks())
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	left, err := s.turns.wait(ctx, v.delay)
	if err != nil {
		return nil, transport.GRPC(err)
	}
	v.held(left)
	return checkAllResponse(&v), nil
}

// checkAll decides on ms.
func (s *service) checkAll(ctx context.Context, ms []*pb.CheckRequest) (verdict, error) {
	checks, err := s.limits.readChecks(ms)
	if err != nil {
		return verdict{}, err
	}
	return decide(ctx, s.limiter, checks)
}

// Peek implements pb.NoriaServer.
func (s *service) Peek(ctx context.Context, m *pb.PeekRequest) (*pb.PeekResponse, error) {
	none := int64(0)
	c, err := s.limits.readCheck(single, &pb.CheckRequest{
		Key: m.GetKey(), Limit: m.GetLimit(), LimitSpec: m.GetLimitSpec(), OnLost: m.GetOnLost(), Cost: &none,
	})
	if err != nil {
		return nil, transport.GRPC(err)
	}
	d, err := s.limiter.Check(ctx, c.req)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &pb.PeekResponse{
		Remaining:    d.Remaining,
		ResetAfterNs: nanos(d.ResetAfter),
		Source:       sourceNumber(sourceOf(&d)),
		Node:         d.Node,
	}, nil
}

// Settle implements pb.NoriaServer.
func (s *service) Settle(ctx context.Context, m *pb.SettleRequest) (*pb.SettleResponse, error) {
	all, err := readSettlements(m.GetSettlements())
	if err != nil {
		return nil, transport.GRPC(err)
	}
	said, err := s.limiter.Settle(ctx, all...)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &pb.SettleResponse{Settled: make([]*pb.Settled, len(said))}
	for i := range said {
		out.Settled[i] = &pb.Settled{Known: said[i].Known, Reserved: said[i].Reserved, Charged: said[i].Charged}
	}
	return out, nil
}

// Reset implements pb.NoriaServer.
func (s *service) Reset(ctx context.Context, m *pb.ResetRequest) (*pb.ResetResponse, error) {
	if err := validKey(single, m.GetKey()); err != nil {
		return nil, transport.GRPC(err)
	}
	if err := s.limiter.Reset(ctx, m.GetKey()); err != nil {
		return nil, s.fail(ctx, err)
	}
	return &pb.ResetResponse{}, nil
}

// Status implements pb.NoriaServer.
func (s *service) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	st := s.limiter.Status()
	return statusResponse(&st), nil
}

// fail returns err as a gRPC status and logs it if it is the node's fault.
func (s *service) fail(ctx context.Context, err error) error {
	told := transport.GRPC(err)
	if status.Code(told) == codes.Internal {
		s.log.ErrorContext(ctx, "request not decided", "err", err)
	}
	return told
}
