package main

import (
	"net/http"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/transport/metrics"
	"github.com/noriahq/noria/transport/rls/descriptors"
)

// moment returns what s knows of itself now, for metrics.
func (s *server) moment() *metrics.Moment {
	m := &metrics.Moment{
		Version: ownVersion().short(), Node: s.node.Status(), Stats: s.node.Stats(), Peers: s.peers.Stats(), Decisions: s.decided, Requests: s.requests,
	}
	m.Shed, m.Ports = s.intake.stats()
	if g := s.gateway; g != nil {
		stats := g.Stats()
		m.Gateway = &stats
	}
	if r := s.reload; r != nil {
		m.Reloads = &metrics.Reloads{OK: r.good.Load(), Refused: r.bad.Load(), Stale: r.stale.Load()}
	}
	if r := s.rules; r != nil {
		m.RLS = &metrics.RLS{Reloads: metrics.Reloads{OK: r.good.Load(), Refused: r.bad.Load(), Stale: r.stale.Load()}, Counts: r.service.Counts()}
	}
	return m
}

// metricsPage returns the page that Prometheus reads.
func (s *server) metricsPage() http.Handler { return metrics.Handler(s.registry) }

// watched returns h, whose requests are counted and traced as those of the server with that name.
func (s *server) watched(name string, h http.Handler) http.Handler {
	return s.traces.HTTP(name, s.requests.HTTP(name, h))
}

// counted returns l, whose decisions are counted as of the way in with that name.
func (s *server) counted(name string, l *limiter) metrics.Limiter {
	switch name {
	case "gateway", "auth":
		return s.decided.Limiter(name, l, policy.LimitOf)
	case "rls":
		return s.decided.Limiter(name, l, descriptors.DomainOf)
	}
	return s.decided.Limiter(name, l, nil) // limits that come with requests
}
