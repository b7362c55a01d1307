package rls

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	ratelimitpb "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport"
	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/rls/descriptors"
)

// MaxDescriptors is the most descriptors of one request.
const MaxDescriptors = api.MaxChecks

// ErrConfig is wrapped by errors about a Config.
var ErrConfig = errors.New("bad configuration of the rate limit service")

// A Limiter decides. *cluster.Node is one. Its methods are called by many goroutines at once.
type Limiter interface {
	// Check takes r's cost from its bucket or refuses.
	Check(ctx context.Context, r bucket.Request) (bucket.Decision, error)

	// CheckAll takes the costs of all of rs or of none. Its answer has one decision for each, in their order.
	CheckAll(ctx context.Context, rs []bucket.Request) (bucket.Decisions, error)

	// GiveBack gives r's cost back to its bucket, up to full.
	GiveBack(ctx context.Context, r bucket.Request) (bucket.Decision, error)
}

// Config is what a Service is made of. Limiter is required.
type Config struct {
	// Limiter decides.
	Limiter Limiter

	// Rules are the limits. Default: none, and all is OK until Use brings some.
	Rules *descriptors.Rules

	// Logger is told of errors that are the node's fault. Default: nowhere.
	Logger *slog.Logger
}

// A Service is the rate limit service: Register puts it on a gRPC server, and it is the http.Handler of POST /json. Its
// methods are safe for concurrent use.
type Service struct {
	ratelimitpb.UnimplementedRateLimitServiceServer
	limiter Limiter
	log     *slog.Logger
	rules   atomic.Pointer[descriptors.Rules]
	counts  counts
}

// New returns a Service. Its error wraps ErrConfig.
func New(c Config) (*Service, error) {
	if c.Limiter == nil {
		return nil, fmt.Errorf("%w: Limiter is missing", ErrConfig)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{limiter: c.Limiter, log: c.Logger}
	s.Use(c.Rules)
	return s, nil
}

// Use makes s go by r from now on; nil is no rules. Requests under way go by the rules that they began with. What buckets
// owe stays owed.
func (s *Service) Use(r *descriptors.Rules) { s.rules.Store(r) }

// Register puts s on g, before g serves.
func (s *Service) Register(g grpc.ServiceRegistrar) { ratelimitpb.RegisterRateLimitServiceServer(g, s) }

// ShouldRateLimit implements ratelimitpb.RateLimitServiceServer.
func (s *Service) ShouldRateLimit(ctx context.Context, m *ratelimitpb.RateLimitRequest) (*ratelimitpb.RateLimitResponse, error) {
	q, err := s.answer(ctx, m)
	if err != nil {
		s.logFault(ctx, err)
		return nil, transport.GRPC(err)
	}
	return q.response(m), nil
}

// answer decides on m.
func (s *Service) answer(ctx context.Context, m *ratelimitpb.RateLimitRequest) (*question, error) {
	q, err := read(s.rules.Load(), m)
	if err != nil {
		return nil, err
	}
	if err := q.decide(ctx, s.limiter); err != nil {
		return nil, err
	}
	if err := q.giveBack(ctx, s.limiter); err != nil {
		return nil, err
	}
	s.counts.add(q)
	return q, nil
}

// logFault logs err if it is the node's fault.
func (s *Service) logFault(ctx context.Context, err error) {
	if transport.FailureOf(err).Code == codes.Internal {
		s.log.ErrorContext(ctx, "request not decided", "err", err)
	}
}
