package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/gateway"
)

// A moment is what a server knows of itself at once.
type moment struct {
	node    cluster.Status
	gateway gateway.Stats
}

// A metric is a number of a moment by the name that Prometheus has for it.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(m *moment) float64
}

// metrics tell Prometheus of a server, as it is when it is asked.
type metrics struct {
	server  *server
	numbers []metric
	policy  *prometheus.Desc
	reloads *prometheus.Desc
	hits    *prometheus.Desc // of the rate limit service
	rules   *prometheus.Desc // its reloads
}

// newMetrics returns the metrics of s.
func newMetrics(s *server) *metrics {
	return &metrics{
		server:  s,
		numbers: numbers(),
		policy:  prometheus.NewDesc("noria_policy_info", "1, with the hash of the policy that the node goes by.", []string{"hash"}, nil),
		reloads: prometheus.NewDesc("noria_config_reloads_total", "Times that the configuration file was read again, by what came of it.", []string{"result"}, nil),
		hits:    prometheus.NewDesc("noria_rls_hits_total", "Hits of the rate limit service, by the limit that they met and what it said: ok, over, or shadow where it let through what was over.", []string{"rule", "result"}, nil),
		rules:   prometheus.NewDesc("noria_rls_reloads_total", "Times that the rules of the rate limit service were read again, by what came of it.", []string{"result"}, nil),
	}
}

// numbers returns the metrics without labels.
func numbers() []metric {
	return []metric{
		gauge("noria_ready", "1 if the node has joined and serves.", func(m *moment) float64 { return truth(m.node.Ready) }),
		gauge("noria_members", "Members that the node knows, itself among them.", func(m *moment) float64 { return float64(len(m.node.Members)) }),
		gauge("noria_partitions", "Partitions that the node holds.", func(m *moment) float64 { return float64(m.node.Partitions) }),
		gauge("noria_partitions_wanted", "Partitions that the node should hold and does not yet.", func(m *moment) float64 { return float64(m.node.Wanted) }),
		gauge("noria_deciding", "1 while more than half of the holders hear the node; 0 at a gateway.", func(m *moment) float64 { return truth(m.node.Deciding) }),
		gauge("noria_keys", "Buckets in memory.", func(m *moment) float64 { return float64(m.node.Keys) }),
		gauge("noria_reservations", "Reservations of keys that the node holds, neither settled nor over.", func(m *moment) float64 { return float64(m.node.Reservations) }),
		counter("noria_keys_evicted_total", "Buckets dropped because the node had as many as it may.", func(m *moment) float64 { return float64(m.node.Evicted) }),
		counter("noria_checks_degraded_total", "Checks answered without their holder, by the rule on_lost.", func(m *moment) float64 { return float64(m.node.Degraded) }),
		counter("noria_checks_repeated_total", "Checks denied by what their holder had said before.", func(m *moment) float64 { return float64(m.node.Repeated) }),
		counter("noria_checks_leased_total", "Checks admitted from tokens that holders have lent.", func(m *moment) float64 { return float64(m.node.Leased) }),
		gauge("noria_policies", "Different policies that the members go by: 1 where all agree.", func(m *moment) float64 { return float64(m.node.Policies) }),
		gauge("noria_gateway_held", "Reservations that requests under way hold.", func(m *moment) float64 { return float64(m.gateway.Held) }),
		gauge("noria_gateway_unsettled", "Settlements that no holder has answered yet.", func(m *moment) float64 { return float64(m.gateway.Unsettled) }),
		counter("noria_gateway_given_up_total", "Settlements that were given up: what was reserved stays spent.", func(m *moment) float64 { return float64(m.gateway.Given) }),
	}
}

func gauge(name, help string, of func(*moment) float64) metric {
	return metric{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, of}
}

func counter(name, help string, of func(*moment) float64) metric {
	return metric{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, of}
}

// truth is how Prometheus writes a bool.
func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	for _, n := range m.numbers {
		to <- n.desc
	}
	to <- m.policy
	to <- m.reloads
	to <- m.hits
	to <- m.rules
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	now := &moment{node: m.server.node.Status()}
	if g := m.server.gateway; g != nil {
		now.gateway = g.Stats()
	}
	for _, n := range m.numbers {
		to <- prometheus.MustNewConstMetric(n.desc, n.kind, n.of(now))
	}
	if now.node.Policy != "" {
		to <- prometheus.MustNewConstMetric(m.policy, prometheus.GaugeValue, 1, now.node.Policy)
	}
	if r := m.server.reload; r != nil {
		to <- prometheus.MustNewConstMetric(m.reloads, prometheus.CounterValue, float64(r.good.Load()), "ok")
		to <- prometheus.MustNewConstMetric(m.reloads, prometheus.CounterValue, float64(r.bad.Load()), "refused")
	}
	if r := m.server.rules; r != nil {
		m.collectRules(to, r)
	}
}

// collectRules tells of a rate limit service.
func (m *metrics) collectRules(to chan<- prometheus.Metric, r *rules) {
	to <- prometheus.MustNewConstMetric(m.rules, prometheus.CounterValue, float64(r.good.Load()), "ok")
	to <- prometheus.MustNewConstMetric(m.rules, prometheus.CounterValue, float64(r.bad.Load()), "refused")
	for _, c := range r.service.Counts() {
		to <- prometheus.MustNewConstMetric(m.hits, prometheus.CounterValue, float64(c.Allowed), c.Rule, "ok")
		to <- prometheus.MustNewConstMetric(m.hits, prometheus.CounterValue, float64(c.Over), c.Rule, "over")
		to <- prometheus.MustNewConstMetric(m.hits, prometheus.CounterValue, float64(c.Shadowed), c.Rule, "shadow")
	}
}

// handler returns the page that Prometheus reads, with what Go says of the process.
func (m *metrics) handler() http.Handler {
	all := prometheus.NewRegistry()
	all.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(all, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}
