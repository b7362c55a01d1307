package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// What is shaped like Envoy's ratelimit is a service by its protocol which does what that does with its default settings, on
// its path of one descriptor: find the limit of the descriptor, make a key of domain, descriptor and the beginning of the
// window, and send INCRBY and EXPIRE to Redis in one pipeline. It is not that program: there are no statistics, no
// configuration files and no local cache in it, and its Redis library is another one.

// envoyCommand is the first argument of the tool that makes it serve this; Redis' address follows.
const envoyCommand = "envoy"

// envoyDomain is the domain of its limits.
const envoyDomain = "compare"

// serveEnvoy serves until stdin ends, and says on stdout where.
func serveEnvoy(redisAddr string, stdin io.Reader, stdout io.Writer) error {
	client := redisClient(redisAddr)
	defer client.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	rls.RegisterRateLimitServiceServer(s, newEnvoyLike(client))
	var serving errgroup.Group
	serving.Go(func() error { return s.Serve(l) })
	if err := sayServing(stdout, l.Addr()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, stdin)
	s.Stop()
	return errors.Join(err, serving.Wait())
}

// An envoyLike is the service.
type envoyLike struct {
	rls.UnimplementedRateLimitServiceServer
	redis  *redis.Client
	limits map[string]windowed // by descriptor key
}

// A windowed is a limit as such a service is configured with.
type windowed struct {
	requests uint32
	unit     rls.RateLimitResponse_RateLimit_Unit
	seconds  int64
}

func newEnvoyLike(client *redis.Client) *envoyLike {
	e := &envoyLike{redis: client, limits: map[string]windowed{}}
	for _, l := range []limit{plenty(), scarce()} {
		w := windowed{requests: uint32(l.burst), unit: rls.RateLimitResponse_RateLimit_HOUR, seconds: 3600}
		if l.window() == time.Second {
			w.unit, w.seconds = rls.RateLimitResponse_RateLimit_SECOND, 1
		}
		e.limits[l.name] = w
	}
	return e
}

// expiryJitter is the most seconds by which a key outlives its window, so that not all expire at once.
const expiryJitter = 300

// ShouldRateLimit implements rls.RateLimitServiceServer.
func (e *envoyLike) ShouldRateLimit(ctx context.Context, r *rls.RateLimitRequest) (*rls.RateLimitResponse, error) {
	if r.GetDomain() != envoyDomain || len(r.GetDescriptors()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "want domain "+envoyDomain+" and a descriptor")
	}
	answer := &rls.RateLimitResponse{OverallCode: rls.RateLimitResponse_OK}
	for _, d := range r.GetDescriptors() {
		name, first := "", ""
		for i, entry := range d.GetEntries() {
			if i == 0 {
				first = entry.GetKey()
			}
			name += "_" + entry.GetKey() + "_" + entry.GetValue()
		}
		limit, ok := e.limits[first]
		if !ok {
			answer.Statuses = append(answer.Statuses, &rls.RateLimitResponse_DescriptorStatus{Code: rls.RateLimitResponse_OK})
			continue
		}
		s, err := e.count(ctx, name, limit, int64(max(r.GetHitsAddend(), 1)))
		if err != nil {
			return nil, status.Error(codes.Unknown, err.Error())
		}
		if s.GetCode() == rls.RateLimitResponse_OVER_LIMIT {
			answer.OverallCode = s.GetCode()
		}
		answer.Statuses = append(answer.Statuses, s)
	}
	return answer, nil
}

// count adds hits to the present window of a descriptor.
func (e *envoyLike) count(ctx context.Context, name string, l windowed, hits int64) (*rls.RateLimitResponse_DescriptorStatus, error) {
	now := time.Now().Unix()
	began := now / l.seconds * l.seconds
	key := envoyDomain + name + "_" + strconv.FormatInt(began, 10)
	pipe := e.redis.Pipeline()
	incr := pipe.IncrBy(ctx, key, hits)
	pipe.Expire(ctx, key, time.Duration(l.seconds+rand.Int64N(expiryJitter))*time.Second)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	s := &rls.RateLimitResponse_DescriptorStatus{
		Code:               rls.RateLimitResponse_OK,
		CurrentLimit:       &rls.RateLimitResponse_RateLimit{RequestsPerUnit: l.requests, Unit: l.unit},
		DurationUntilReset: &durationpb.Duration{Seconds: began + l.seconds - now},
	}
	if left := int64(l.requests) - incr.Val(); left < 0 {
		s.Code = rls.RateLimitResponse_OVER_LIMIT
	} else {
		s.LimitRemaining = uint32(left)
	}
	return s, nil
}
