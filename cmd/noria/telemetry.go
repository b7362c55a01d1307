package main

import (
	"context"
	"io"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/noriahq/noria/transport/metrics"
	"github.com/noriahq/noria/transport/traces"
)

// telemetry is what OpenTelemetry takes from the process: its environment, and where the exporter console writes.
type telemetry struct {
	env    map[string]string // nil for none
	stderr io.Writer         // nil with none
}

// openTelemetry makes what counts and what traces. It comes before all that is counted and traced.
func (s *server) openTelemetry() (err error) {
	s.decided, s.requests = metrics.NewDecisions(s.settings.name), metrics.NewRequests()
	s.running = make(chan struct{})
	s.registry = metrics.New(s.moment).Registry(s.decided, s.requests)
	s.traces, err = traces.New(context.Background(), traces.Config{
		Env: s.settings.telemetry.env, Stderr: s.settings.telemetry.stderr, Node: s.settings.name, Cluster: s.settings.label, Version: ownVersion().short(), Metrics: prometheus.GathererFunc(s.gather),
		Logger: s.log,
	})
	if err != nil {
		return &exit{status: statusUsage, err: err}
	}
	if s.traces != nil {
		traces.SetErrors(s.log.With("node", s.settings.name))
	}
	return nil
}

// gather is what is sent to a collector, nothing before all that it tells of is there.
func (s *server) gather() ([]*dto.MetricFamily, error) {
	select {
	case <-s.running:
		return s.registry.Gather()
	default:
		return nil, nil
	}
}
