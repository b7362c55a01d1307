package main

import (
	"fmt"
	"time"
)

// results are all that a run found.
type results struct {
	Machine    machine       `json:"machine"`
	Redis      string        `json:"redis_version,omitempty"`
	Quick      bool          `json:"quick"` // the figures mean nothing
	Rounds     int           `json:"rounds"`
	Keys       int           `json:"service_keys"` // that services are asked about
	Took       time.Duration `json:"took_ns"`
	Targets    []verdict     `json:"targets"`
	Locals     []*local      `json:"in_process"`
	Heaps      []*weight     `json:"heap"`
	Remotes    []*remote     `json:"network"`
	GrownKeys  []*grownKeys  `json:"as_keys_grow,omitempty"`
	Replicas   []replicaCost `json:"replicas,omitempty"`
	Full       *full         `json:"full,omitempty"`
	GrownNodes []*grownNodes `json:"as_nodes_grow,omitempty"`
	Skipped    []string      `json:"not_measured,omitempty"`
}

// A weight is what a candidate keeps in memory.
type weight struct {
	Who   string  `json:"who"`
	Keys  int     `json:"keys"`
	Bytes samples `json:"bytes_per_key"` // of heap beyond the key's own
}

// local returns what is known of c, nothing if it was not measured.
func (rs *results) local(c localCase) *local {
	for _, l := range rs.Locals {
		if l.localCase == c {
			return l
		}
	}
	return &local{localCase: c}
}

// weight returns what is known of who, nothing if it was not weighed.
func (rs *results) weight(who string, keys int) *weight {
	for _, w := range rs.Heaps {
		if w.Who == who && w.Keys == keys {
			return w
		}
	}
	return &weight{Who: who, Keys: keys}
}

// remote returns what is known of c, nothing if it was not measured.
func (rs *results) remote(c remoteCase) *remote {
	for _, r := range rs.Remotes {
		if r.remoteCase == c {
			return r
		}
	}
	return &remote{remoteCase: c}
}

// addLocal adds a round of c. It returns an error if so many answers were wrong that something else was measured.
func (rs *results) addLocal(c localCase, b benched) error {
	if b.wrong*2 > b.checks {
		return fmt.Errorf("limit %s, %d goroutines: %d of %d answers are wrong", c.Limit, c.Goroutines, b.wrong, b.checks)
	}
	at := rs.local(c)
	if len(at.NS) == 0 {
		rs.Locals = append(rs.Locals, at)
	}
	at.NS = append(at.NS, float64(time.Second)/b.perSecond)
	at.Allocs = append(at.Allocs, float64(b.allocs)/float64(b.checks))
	at.Checks += b.checks
	at.Wrong += b.wrong
	return nil
}

// addHeap adds a round of what n keys of who take, their own bytes among them.
func (rs *results) addHeap(who string, n int, bytes float64) {
	at := rs.weight(who, n)
	if len(at.Bytes) == 0 {
		rs.Heaps = append(rs.Heaps, at)
	}
	at.Bytes = append(at.Bytes, bytes/float64(n)-keyBytes)
}

// addRemote adds a round of c.
func (rs *results) addRemote(c remoteCase, l loaded) {
	at := rs.remote(c)
	if len(at.PerSecond) == 0 {
		rs.Remotes = append(rs.Remotes, at)
	}
	at.add(l)
}

// add adds what a load found.
func (r *remote) add(l loaded) {
	r.PerSecond = append(r.PerSecond, float64(l.asked)/l.took.Seconds())
	r.P50 = append(r.P50, micros(l.latency.ValueAtQuantile(50)))
	r.P99 = append(r.P99, micros(l.latency.ValueAtQuantile(99)))
	r.CPU = append(r.CPU, micros(int64(l.cpu))/float64(max(l.asked, 1)))
	if l.slowest > 0 {
		r.Slowest = append(r.Slowest, l.slowest)
	}
	r.Asked += l.asked
	r.Failed += l.failed
	if r.Failure == "" && l.failure != nil {
		r.Failure = l.failure.Error()
	}
	if r.Load == over {
		permits := scarce().permits(l.whole)
		r.Admitted += l.admitted
		r.Permits += permits
		r.Excess = append(r.Excess, float64(l.admitted)/permits)
	}
}

// micros returns nanoseconds in microseconds.
func micros(ns int64) float64 { return float64(ns) / float64(time.Microsecond) }

// skip notes why something is not measured, unless err is nil.
func (r *run) skip(what string, err error) {
	if err != nil {
		r.results.Skipped = append(r.results.Skipped, fmt.Sprintf("%s: %v", what, err))
		r.say("not measured: %s: %v", what, err)
	}
}
