package gubernator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport"
	pb "github.com/noriahq/noria/transport/gubernatorpb"
)

// answer decides on m, which was asked at now.
func (s *Server) answer(ctx context.Context, now time.Time, m *pb.RateLimitReq) *pb.RateLimitResp {
	switch {
	case m.GetUniqueKey() == "":
		return &pb.RateLimitResp{Error: "field 'unique_key' cannot be empty"}
	case m.GetName() == "":
		return &pb.RateLimitResp{Error: "field 'namespace' cannot be empty"}
	case ctx.Err() != nil:
		return &pb.RateLimitResp{Error: "Error while iterating request items: " + ctx.Err().Error()}
	}
	out, err := s.decide(ctx, now, m)
	if err == nil {
		return out
	}
	reason := err.Error()
	if !errors.As(err, new(itemError)) {
		told := transport.FailureOf(err)
		if reason = told.Detail; told.Code == codes.Internal {
			s.log.ErrorContext(ctx, "request not decided", "err", err)
		}
	}
	return &pb.RateLimitResp{Error: fmt.Sprintf("Error while apply rate limit for '%s_%s': %s", m.GetName(), m.GetUniqueKey(), reason)}
}

// itemError is an error about a request, for who sent it.
type itemError struct{ error }

// decide asks about m, which has a name and a key.
func (s *Server) decide(ctx context.Context, now time.Time, m *pb.RateLimitReq) (*pb.RateLimitResp, error) {
	hits := m.GetHits()
	if m.GetLimit() <= 0 { // nothing ever goes through, and no bucket is needed for that
		out := &pb.RateLimitResp{Limit: m.GetLimit(), ResetTime: now.UnixMilli()}
		if hits > 0 {
			out.Status = pb.Status_OVER_LIMIT
		}
		return out, nil
	}
	l, err := limitOf(m, now)
	if err == nil {
		err = l.Validate()
	}
	if err != nil {
		return nil, itemError{err}
	}
	r := bucket.Request{Key: keyOf(m), Limit: l, Cost: hits}
	if has(m, pb.Behavior_RESET_REMAINING) {
		if err := s.limiter.Reset(ctx, r.Key); err != nil {
			return nil, err
		}
		if m.GetAlgorithm() == pb.Algorithm_TOKEN_BUCKET { // it is full at that moment, whoever takes of it in the next
			return said(m, l, &bucket.Decision{Allowed: true, Remaining: l.Burst}, now), nil
		}
	}
	d, err := s.count(ctx, r, has(m, pb.Behavior_DRAIN_OVER_LIMIT))
	if err != nil {
		return nil, err
	}
	return said(m, l, &d, now), nil
}

// count takes r's cost, or gives it back if it is negative.
func (s *Server) count(ctx context.Context, r bucket.Request, drain bool) (bucket.Decision, error) {
	switch {
	case r.Cost < 0:
		r.Cost = -max(r.Cost, -bucket.MaxCost) // no bucket misses more
		return s.limiter.GiveBack(ctx, r)
	case drain:
		most := r
		most.Cost = min(r.Cost, bucket.MaxCost) // no bucket has more
		d, err := s.limiter.Drain(ctx, most)
		if err == nil && most.Cost < r.Cost {
			d.Allowed = false
		}
		if !errors.Is(err, cluster.ErrOld) {
			return d, err
		}
	}
	return s.take(ctx, r, drain)
}

// take asks about r, whose cost may be more than its limit ever has. With drain what remains is taken where it is too little: by a
// second question, for holders that cannot do both at once.
func (s *Server) take(ctx context.Context, r bucket.Request, drain bool) (bucket.Decision, error) {
	tooMuch := r.Cost > r.Limit.Burst
	asked := r
	if tooMuch {
		asked.Cost = 0
	}
	d, err := s.limiter.Check(ctx, asked)
	if err != nil || d.Allowed && !tooMuch {
		return d, err
	}
	d.Allowed = false
	for range drainTries {
		if !drain || d.Remaining == 0 {
			break
		}
		asked.Cost = d.Remaining
		rest, err := s.limiter.Check(ctx, asked)
		if err != nil {
			return d, err
		}
		d.Remaining, d.ResetAfter = rest.Remaining, rest.ResetAfter
		if rest.Allowed {
			break
		}
	}
	return d, nil
}

// drainTries is how often what remains is asked for, while others take of it too.
const drainTries = 5

// said says d, the decision on m, whose limit is l, made at now.
func said(m *pb.RateLimitReq, l bucket.Limit, d *bucket.Decision, now time.Time) *pb.RateLimitResp {
	out := &pb.RateLimitResp{
		Limit: m.GetLimit(), Remaining: d.Remaining, ResetTime: resetTime(l, d, now).UnixMilli(),
	}
	if !d.Allowed {
		out.Status = pb.Status_OVER_LIMIT
	}
	if d.Node != "" {
		out.Metadata = map[string]string{"owner": d.Node}
	}
	return out
}

// resetTime returns when the bucket is full again: of a window its end, also where nothing was taken yet.
func resetTime(l bucket.Limit, d *bucket.Decision, now time.Time) time.Time {
	if l.Window != bucket.None {
		return windowEnd(l, now)
	}
	return now.Add(d.ResetAfter)
}
