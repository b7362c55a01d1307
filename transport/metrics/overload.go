package metrics

import "github.com/noriahq/noria/transport/shed"

// A Port is what a port has counted of its connections.
type Port struct {
	Name string // of its flag
	shed.ConnStats
}

// overloadTable are the metrics of what a node has too much of.
func overloadTable() []Metric {
	return []Metric{
		counters("noria_requests_shed_total", "Requests refused because the node had too much to do, by the way in and by how much they matter: give, check or read.", []string{"entry", "priority"}, func(m *Moment, put put) {
			for _, c := range m.Shed.Counts {
				put(float64(c.Shed), c.Entry.String(), c.Priority.String())
			}
		}),
		gauge("noria_overloaded", "1 while the node has too much to do: reads are refused and checks held back.", func(m *Moment) float64 { return truth(m.Shed.Overloaded) }),
		gauge("noria_calls_under_way", "Requests to --http, --api and --grpc that are under way.", func(m *Moment) float64 { return float64(m.Shed.Calls) }),
		gauge("noria_calls_held", "Requests under way that are held back because the node has too much to do.", func(m *Moment) float64 { return float64(m.Shed.Held) }),
		gauges("noria_connections", "Connections that are open, by port.", []string{"port"}, func(m *Moment, put put) {
			for _, p := range m.Ports {
				put(float64(p.Open), p.Name)
			}
		}),
		counters("noria_connections_refused_total", "Connections closed at once, by port and by what there was too much of: full for all, client for those of one address.", []string{"port", "reason"}, func(m *Moment, put put) {
			for _, p := range m.Ports {
				put(float64(p.Full), p.Name, "full")
				put(float64(p.Crowded), p.Name, "client")
			}
		}),
		counter("noria_checks_shared_total", "Checks decided by a bucket that keys share because their limit has as many as it may.", func(m *Moment) float64 { return float64(m.Node.Shared) }),
	}
}
