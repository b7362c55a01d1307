package chaos

import (
	"slices"
	"time"
)

// A FaultReport is what clients felt of a fault. Times are in seconds.
type FaultReport struct {
	Kind     string   `json:"kind"`
	Node     string   `json:"node,omitempty"`
	At       float64  `json:"at_s"`
	Took     float64  `json:"took_s"`           // until it was done and over: resumed, healed, ready again
	Agreed   *float64 `json:"agreed_s"`         // after it began, all agreed again; nil if they did not
	Degraded int      `json:"degraded"`         // answers, from its begin to the next fault's
	First    *float64 `json:"degraded_first_s"` // after it began
	Last     *float64 `json:"degraded_last_s"`  // likewise
	Failed   int      `json:"failed"`           // requests
	Before   Latency  `json:"latency_before"`   // since the fault before, 5 seconds at most
	During   Latency  `json:"latency_during"`   // from its begin until all agreed, at least one second
	Keys     int      `json:"keys_hit"`         // whose holder it was; -1 where that is not known
	Note     string   `json:"note,omitempty"`

	withheld      int           // of those degraded: while processors were withheld
	degradedUntil time.Duration // after the process was gone
}

// A Latency is how long answers took, in milliseconds.
type Latency struct {
	Answers int     `json:"answers"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	Max     float64 `json:"max_ms"`
}

// latencyOf returns how long the answers among records took.
func latencyOf(records []Record) Latency {
	var all []time.Duration
	for _, r := range records {
		if r.Outcome != Failed {
			all = append(all, r.Returned-r.Called)
		}
	}
	if len(all) == 0 {
		return Latency{}
	}
	slices.Sort(all)
	at := func(part float64) float64 {
		return float64(all[min(len(all)-1, int(part*float64(len(all))))].Round(time.Microsecond)) / 1e6
	}
	return Latency{Answers: len(all), P50: at(0.5), P99: at(0.99), Max: at(1)}
}

// between returns the records that were called from one time up to another.
func (h *History) between(from, to time.Duration) []Record {
	at := func(t time.Duration) int {
		i, _ := slices.BinarySearchFunc(h.Records, t, func(r Record, t time.Duration) int { return int(r.Called - t) })
		return i
	}
	first := at(from)
	return h.Records[first:max(first, at(to))]
}

// faultReports returns what clients felt of each fault of h.
func faultReports(h *History) []FaultReport {
	all := make([]FaultReport, len(h.Faults))
	for i, f := range h.Faults {
		next, before := h.Took+1, time.Duration(0)
		if i+1 < len(h.Faults) {
			next = h.Faults[i+1].Began
		}
		if i > 0 {
			last := h.Faults[i-1]
			before = max(last.Over, last.Calm)
		}
		r := FaultReport{
			Kind: f.Kind, Node: f.Node, At: f.Began.Seconds(), Took: (f.Over - f.Began).Seconds(), Keys: -1, Note: f.Note,
			Before: latencyOf(h.between(max(before, f.Began-5*time.Second), f.Began)),
			During: latencyOf(h.between(f.Began, max(f.Began+time.Second, f.Calm))),
		}
		if f.Calm != 0 {
			r.Agreed = seconds(f.Calm - f.Began)
		}
		if f.Hit != nil {
			r.Keys = count(f.Hit)
		}
		h.feel(&r, f, next)
		all[i] = r
	}
	return all
}

// feel counts what came of requests from f to the next fault.
func (h *History) feel(r *FaultReport, f Fault, next time.Duration) {
	broken := h.breakages()
	// A request that a fault met under way belongs to that fault.
	for _, one := range h.between(f.Began-h.Plan.Timeout, next) {
		switch {
		case one.Returned < f.Began || one.Returned >= next && next < h.Took:
		case one.Outcome == Failed && !h.excused(one, broken):
			r.Failed++
		case one.Outcome != Failed && one.Source == SourceDegraded:
			r.Degraded++
			if h.withheld(one) {
				r.withheld++
			}
			if r.First == nil {
				r.First = seconds(one.Returned - f.Began)
			}
			r.Last = seconds(one.Returned - f.Began)
			if after := one.Called - f.Down; after < max(0, r.degradedUntil)+apart { // later ones have another cause
				r.degradedUntil = max(r.degradedUntil, after)
			}
		}
	}
}

// seconds returns d in seconds.
func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}

// count returns how many are true.
func count(all []bool) int {
	n := 0
	for _, b := range all {
		if b {
			n++
		}
	}
	return n
}

// tallyOf counts h's requests.
func tallyOf(h *History) Tally {
	t := Tally{All: len(h.Records), Skipped: h.Skipped, Errors: h.Errors, Latency: latencyOf(h.Records)}
	for _, r := range h.Records {
		switch r.Outcome {
		case Allowed:
			t.Allowed++
			if r.Source == SourceLease {
				t.Leased++
			}
		case Denied:
			t.Denied++
		default:
			t.Failed++
		}
		if r.Outcome != Failed && r.Source == SourceDegraded {
			t.Degraded++
		}
	}
	return t
}
