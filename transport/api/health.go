package api

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// watchEvery is how often a watched health is looked at.
const watchEvery = time.Second

// health answers grpc.health.v1: a node serves if it is ready and not stopping, and all its services with it.
type health struct {
	healthpb.UnimplementedHealthServer
	limiter  Limiter
	stopping <-chan struct{}
	services func() map[string]grpc.ServiceInfo
}

// now returns whether the node serves.
func (h *health) now() healthpb.HealthCheckResponse_ServingStatus {
	select {
	case <-h.stopping:
		return healthpb.HealthCheckResponse_NOT_SERVING
	default:
	}
	if h.limiter.Status().Ready {
		return healthpb.HealthCheckResponse_SERVING
	}
	return healthpb.HealthCheckResponse_NOT_SERVING
}

// has says whether the server has the service; "" is the server itself.
func (h *health) has(service string) bool {
	if service == "" {
		return true
	}
	_, ok := h.services()[service]
	return ok
}

// Check implements healthpb.HealthServer.
func (h *health) Check(_ context.Context, m *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if !h.has(m.GetService()) {
		return nil, status.Errorf(codes.NotFound, "unknown service %q", clip(m.GetService()))
	}
	return &healthpb.HealthCheckResponse{Status: h.now()}, nil
}

// List implements healthpb.HealthServer.
func (h *health) List(context.Context, *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	now := h.now()
	all := map[string]*healthpb.HealthCheckResponse{"": {Status: now}}
	for name := range h.services() {
		all[name] = &healthpb.HealthCheckResponse{Status: now}
	}
	return &healthpb.HealthListResponse{Statuses: all}, nil
}

// Watch implements healthpb.HealthServer. It ends when the server stops.
func (h *health) Watch(m *healthpb.HealthCheckRequest, w grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	last := healthpb.HealthCheckResponse_UNKNOWN
	for {
		now := healthpb.HealthCheckResponse_SERVICE_UNKNOWN
		if h.has(m.GetService()) {
			now = h.now()
		}
		if now != last {
			if err := w.Send(&healthpb.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			last = now
		}
		select {
		case <-ticker.C:
		case <-w.Context().Done():
			return status.FromContextError(w.Context().Err()).Err()
		case <-h.stopping:
			if last == healthpb.HealthCheckResponse_SERVING {
				continue // once more, to say so
			}
			return nil
		}
	}
}
