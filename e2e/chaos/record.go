package chaos

import (
	"slices"
	"time"
)

// A Record is what became of one request. Times count from the first request of the run.
type Record struct {
	Called   time.Duration // before it went out
	Returned time.Duration // after the answer or the error came; the turn, where a queue has one
	Key      int32         // index
	Cost     int32         // tokens
	Asked    uint16        // index of the node in History.Nodes
	Decided  uint16        // likewise, of the node that the answer names
	Outcome  Outcome
	Source   Source
}

// An Outcome is how a request ended.
type Outcome uint8

// The outcomes. Failed means an error or no answer until the deadline: it may have been admitted, and was not seen to be.
const (
	Failed Outcome = iota
	Allowed
	Denied
)

// A Source is who decided.
type Source uint8

// The sources; SourceNone goes with Failed.
const (
	SourceNone Source = iota
	SourceHolder
	SourceLease
	SourceDenial
	SourceDegraded
)

// sourceOf returns the Source that an answer calls s.
func sourceOf(a Answer) Source {
	switch {
	case a.Degraded:
		return SourceDegraded
	case a.Source == "lease":
		return SourceLease
	case a.Source == "denial":
		return SourceDenial
	default:
		return SourceHolder
	}
}

// A Fault is what was done to the fleet, as it really happened. Times count as in Record.
type Fault struct {
	Kind  string        // as Step.Do; restart says how: "restart (kill)"
	Node  string        // who, "" for none or several
	Began time.Duration // before anything was done
	Down  time.Duration // when it was done: the process gone, frozen, cut off; a joiner ready
	Over  time.Duration // when its cause was over: resumed, healed, ready again; at most the end of the run
	Calm  time.Duration // when the nodes agreed again; 0 if they did not before the end
	Late  time.Duration // by how much this machine's clocks were late around it
	Side  []string      // who can do nothing about it: cut off from the larger side, or frozen; nil if nobody or not known
	Hit   []bool        // by key: its holder was the node; nil where that is not known
	Note  string        // what else is to be said
}

// A History is what happened in a run.
type History struct {
	Plan    Plan
	Took    time.Duration // from the first request to the last answer
	Stopped bool          // before its time
	Nodes   []string      // those that were asked or answered
	Records []Record      // in order of Called
	Faults  []Fault       // in order of Began
	Limits  []uint8       // by key: index in Plan.Limits
	Skipped int64         // requests that were not started in time, because too many were under way
	Fallen  []string      // nodes that ended by themselves
	Late    time.Duration // the most by which this machine's clocks were late
	Stolen  float64       // which part of its processors' time the host of this virtual machine gave to others
	Errors  map[string]int64

	// Failures are the first of the requests that failed.
	Failures []Failure

	Notes []string

	// Withheld is when that was a quarter or more. What is degraded then does not count where nothing may be: no node can
	// answer without processors.
	Withheld []Span
}

// A Failure is a request to Node that failed.
type Failure struct {
	Called time.Duration
	Node   string
	Error  string
}

// limitOf returns the limit of key.
func (h *History) limitOf(key int) Limit { return h.Plan.Limits[h.Limits[key]] }

// sortRecords brings the records of all workers in order.
func sortRecords(all [][]Record) []Record {
	records := slices.Concat(all...)
	slices.SortFunc(records, func(a, b Record) int { return int(a.Called - b.Called) })
	return records
}
