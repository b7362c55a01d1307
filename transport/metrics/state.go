package metrics

import (
	"time"

	"github.com/noriahq/noria/cluster"
)

// stateTable are the metrics of what a node saves: none at one that saves nothing.
func stateTable() []Metric {
	of := func(of func(s *cluster.StateStatus) float64) func(*Moment, put) {
		return func(m *Moment, put put) {
			if s := m.Node.State; s != nil {
				put(of(s))
			}
		}
	}
	return []Metric{
		gauges("noria_state_saved_timestamp_seconds", "When the node has last saved its buckets, in Unix time; 0 before the first time.", nil, of(func(s *cluster.StateStatus) float64 {
			if s.Saved.IsZero() {
				return 0
			}
			return float64(s.Saved.UnixNano()) / float64(time.Second)
		})),
		gauges("noria_state_save_seconds", "Time that the last save took.", nil, of(func(s *cluster.StateStatus) float64 { return s.Took.Seconds() })),
		gauges("noria_state_bytes", "Size of what was saved last.", nil, of(func(s *cluster.StateStatus) float64 { return float64(s.Bytes) })),
		gauges("noria_state_partitions", "Partitions of which something was saved last.", nil, of(func(s *cluster.StateStatus) float64 { return float64(s.Partitions) })),
		counters("noria_state_failures_total", "Saves that failed: what was saved before stays.", nil, of(func(s *cluster.StateStatus) float64 { return float64(s.Failures) })),
		gauges("noria_state_skipped_files", "Files that were not read at the start, because they were torn or corrupted.", nil, of(func(s *cluster.StateStatus) float64 { return float64(s.Skipped) })),
		gauges("noria_state_unmerged_partitions", "Partitions of which something was read at the start that is not merged yet with what the other nodes know.", nil, of(func(s *cluster.StateStatus) float64 { return float64(s.Unmerged) })),
	}
}
