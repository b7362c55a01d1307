package main

import (
	"net/http"

	"github.com/noriahq/noria/transport/metrics"
)

// moment returns what s knows of itself now, for metrics.
func (s *server) moment() *metrics.Moment {
	m := &metrics.Moment{Node: s.node.Status(), Peers: s.peers.Stats()}
	if g := s.gateway; g != nil {
		stats := g.Stats()
		m.Gateway = &stats
	}
	if r := s.reload; r != nil {
		m.Reloads = &metrics.Reloads{OK: r.good.Load(), Refused: r.bad.Load()}
	}
	if r := s.rules; r != nil {
		m.RLS = &metrics.RLS{Reloads: metrics.Reloads{OK: r.good.Load(), Refused: r.bad.Load()}, Counts: r.service.Counts()}
	}
	return m
}

// metricsPage returns the page that Prometheus reads.
func (s *server) metricsPage() http.Handler {
	return metrics.Handler(metrics.New(s.moment).Registry())
}
