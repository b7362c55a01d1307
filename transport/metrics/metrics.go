// Package metrics says what a node counts, by the names that Prometheus has for it.
//
// A metric is one line of a table: its name, what it means, and how it is read from a Moment, which is what a node knows of
// itself at once. Who has something new to tell adds a field to Moment, which cmd fills in, and lines to a table of its own
// that tables lists. METRICS.md beside this file has all of them, and a test compares it to the tables.
package metrics

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/gateway"
	"github.com/noriahq/noria/transport/peer"
	"github.com/noriahq/noria/transport/rls"
	"github.com/noriahq/noria/transport/shed"
)

// A Moment is what a node knows of itself at once. What it does not have is nil.
type Moment struct {
	Version   string // of the binary
	Node      cluster.Status
	Stats     cluster.Stats
	Peers     peer.Stats
	Decisions *Decisions     // of all ways in
	Gateway   *gateway.Stats // of the reverse proxy
	Reloads   *Reloads       // of the configuration file
	RLS       *RLS           // of Envoy's rate limit service
	Requests  *Requests      // to HTTP and gRPC
	Shed      shed.Stats     // requests that were refused
	Ports     []Port         // open ones
}

// Reloads are how often something was read again.
type Reloads struct {
	OK, Refused uint64
	Stale       bool // the last was refused: what is there is not what the node goes by
}

// An RLS is what Envoy's rate limit service has counted.
type RLS struct {
	Reloads Reloads // of its rules
	Counts  []rls.Count
}

// A Metric is a family of numbers by the name that Prometheus has for it.
type Metric struct {
	Name   string
	Kind   Kind
	Labels []string
	Help   string // one sentence that says what it counts, with its unit where the name has none

	read  func(m *Moment, put put)   // of counters and gauges
	sizes func(m *Moment, put sizes) // of histograms; nil where they are kept as Prometheus has them
	desc  *prometheus.Desc
}

// A sizes takes one histogram of a Metric, with the values of its labels.
type sizes func(h peer.Histogram, labels ...string)

// A put takes one number of a Metric, with the values of its labels.
type put func(value float64, labels ...string)

// Kind is how numbers behave.
type Kind string

// The kinds of metrics.
const (
	Counter   Kind = "counter"   // only grows, while the process lives
	Gauge     Kind = "gauge"     // is what it is now
	Histogram Kind = "histogram" // counts by size
)

// gauge is a line of a table without labels.
func gauge(name, help string, of func(m *Moment) float64) Metric {
	return Metric{Name: name, Kind: Gauge, Help: help, read: func(m *Moment, put put) { put(of(m)) }}
}

// counter is a line of a table without labels.
func counter(name, help string, of func(m *Moment) float64) Metric {
	return Metric{Name: name, Kind: Counter, Help: help, read: func(m *Moment, put put) { put(of(m)) }}
}

// gauges is a line of a table with labels, or one whose number is not always there.
func gauges(name, help string, labels []string, read func(m *Moment, put put)) Metric {
	return Metric{Name: name, Kind: Gauge, Labels: labels, Help: help, read: read}
}

// counters is a line of a table with labels, or one whose number is not always there.
func counters(name, help string, labels []string, read func(m *Moment, put put)) Metric {
	return Metric{Name: name, Kind: Counter, Labels: labels, Help: help, read: read}
}

// histograms is a line of a table of histograms that somebody else keeps.
func histograms(name, help string, labels []string, read func(m *Moment, put sizes)) Metric {
	return Metric{Name: name, Kind: Histogram, Labels: labels, Help: help, sizes: read}
}

// truth is how Prometheus writes a bool.
func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// All returns all metrics of a node, in the order of their tables.
func All() []Metric {
	var all []Metric
	for _, table := range tables() {
		all = append(all, table...)
	}
	for i := range all {
		all[i].desc = prometheus.NewDesc(all[i].Name, all[i].Help, all[i].Labels, nil)
	}
	return all
}

// A Collector tells Prometheus of a node, as it is when it is asked.
type Collector struct {
	now func() *Moment
	all []Metric
}

// New returns a Collector. now says what the node knows of itself; it is called once for each answer, by several goroutines
// at once.
func New(now func() *Moment) *Collector { return &Collector{now: now, all: All()} }

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for i := range c.all {
		if c.all[i].read != nil || c.all[i].sizes != nil {
			to <- c.all[i].desc
		}
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	m := c.now()
	for i := range c.all {
		c.all[i].collect(m, to)
	}
}

// collect tells of one metric.
func (o *Metric) collect(m *Moment, to chan<- prometheus.Metric) {
	kind := prometheus.GaugeValue
	if o.Kind == Counter {
		kind = prometheus.CounterValue
	}
	switch {
	case o.read != nil:
		o.read(m, func(value float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(o.desc, kind, value, valid(labels)...)
		})
	case o.sizes != nil:
		o.sizes(m, func(h peer.Histogram, labels ...string) {
			below, sum := make(map[float64]uint64, len(h.Bounds)), uint64(0)
			for i, most := range h.Bounds {
				sum += h.Counts[i]
				below[most] = sum
			}
			to <- prometheus.MustNewConstHistogram(o.desc, h.Count(), h.Sum, below, valid(labels)...)
		})
	}
}

// valid makes labels such as Prometheus takes: some are made of what others said.
func valid(labels []string) []string {
	for i := range labels {
		labels[i] = strings.ToValidUTF8(labels[i], "?")
	}
	return labels
}

// Registry returns a registry with c, with more, and with what Go and the system say of the process.
func (c *Collector) Registry(more ...prometheus.Collector) *prometheus.Registry {
	all := prometheus.NewRegistry()
	all.MustRegister(more...)
	all.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return all
}

// Handler returns the page that Prometheus reads.
func Handler(all *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(all, promhttp.HandlerOpts{MaxRequestsInFlight: 4, EnableOpenMetrics: true})
}
