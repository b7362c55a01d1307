package main

import (
	"context"
	"fmt"

	common "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// An envoyProcess serves what is shaped like Envoy's ratelimit.
type envoyProcess struct {
	*process
	conn *grpc.ClientConn
}

// startEnvoy runs the tool once more, as that service before a Redis.
func startEnvoy(ctx context.Context, redisAddr string) (*envoyProcess, error) {
	p, addr, err := startSelf(ctx, envoyCommand, redisAddr)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		p.kill()
		return nil, err
	}
	return &envoyProcess{process: p, conn: conn}, nil
}

// ask is an asker by the service that Envoy asks.
func (e *envoyProcess) ask(_ int, l limit) ask {
	of := rls.NewRateLimitServiceClient(e.conn)
	return func(ctx context.Context, key string) (bool, error) {
		answer, err := of.ShouldRateLimit(ctx, &rls.RateLimitRequest{
			Domain: envoyDomain,
			Descriptors: []*common.RateLimitDescriptor{{
				Entries: []*common.RateLimitDescriptor_Entry{{Key: l.name, Value: key}},
			}},
		})
		switch {
		case err != nil:
			return false, err
		case len(answer.GetStatuses()) != 1:
			return false, fmt.Errorf("%d statuses of one descriptor", len(answer.GetStatuses()))
		}
		return answer.GetOverallCode() == rls.RateLimitResponse_OK, nil
	}
}

// end ends the service.
func (e *envoyProcess) end() {
	_ = e.conn.Close() // nothing is under way
	e.kill()
}
