package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"
)

// manyCallers is how many callers ask at once where it is not one.
const manyCallers = 64

// A remoteCase is one way to ask from afar.
type remoteCase struct {
	Who     string `json:"who"`
	Load    string `json:"load"` // the workload
	Callers int    `json:"callers"`
}

// A remote is what a remoteCase took.
type remote struct {
	remoteCase
	PerSecond samples `json:"per_second"`
	P50       samples `json:"p50_us"`
	P99       samples `json:"p99_us"`
	CPU       samples `json:"cpu_us"`            // a check, of all processes
	Asked     int64   `json:"asked"`             // checks in all rounds
	Failed    int64   `json:"failed,omitempty"`  // of them not decided as they should be
	Failure   string  `json:"failure,omitempty"` // the first of them

	// Of fleets that are asked from inside: checks a second at the node whose callers made the fewest.
	Slowest samples `json:"slowest_node_per_second,omitempty"`

	// Of the workload over: what was admitted, and what the limit allows in that time; and the one divided by the other.
	Admitted int64   `json:"admitted,omitempty"`
	Permits  float64 `json:"permits,omitempty"`
	Excess   samples `json:"excess,omitempty"`
}

// A way is one in which a service is asked.
type way struct {
	name string
	jobs []job
	load func(context.Context, job) (loaded, error)
}

// asked returns a way in which this process asks, together with which the others work. keys are those of spread where they
// are others than a job's own.
func asked(name string, js []job, a asker, keys []string, others ...int) way {
	return way{name: name, jobs: js, load: func(ctx context.Context, j job) (loaded, error) {
		of := keys
		if j.Load != spread {
			of = j.keys()
		}
		return load(ctx, j, a, of, others)
	}}
}

// A service is what is started for its part of each round and then ended, so that nothing runs beside what is measured.
type service struct {
	names []string // of its ways
	open  func(ctx context.Context) ([]way, func(), error)
}

// remotes are the services, and what they need all the time.
type remotes struct {
	services []service
	keys     []string
	ends     []func()
}

// openRemotes makes ready what there is to ask. What cannot be had is left out, and r.skip told why.
func (r *run) openRemotes(ctx context.Context) (*remotes, error) {
	rs := &remotes{}
	if r.options.local {
		return rs, nil
	}
	rs.keys = newKeySet(r.options.remoteKeys, spreadSeed).list()
	dir, err := os.MkdirTemp("", "noria-compare-")
	if err != nil {
		return rs, err
	}
	rs.ends = append(rs.ends, func() { _ = os.RemoveAll(dir) }) // what is left is the system's to clear
	rs.addFleets(r)
	rs.addBare()
	rs.addServed(ctx, r, dir)
	rs.addRedis(ctx, r)
	rs.addGubernator(ctx, r, dir)
	rs.services = slices.DeleteFunc(rs.services, func(s service) bool { return !r.wanted(s.names...) })
	return rs, nil
}

// wanted says whether anything with one of these names is to be measured.
func (r *run) wanted(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, r.options.only) })
}

// end ends all that runs all the time.
func (rs *remotes) end() {
	for _, end := range slices.Backward(rs.ends) {
		end()
	}
}

// measureRemote starts one service after the other and has it asked in all ways. A service that fails is left out from then
// on, so that what is known of it are figures of the first rounds, as of all others.
func (r *run) measureRemote(ctx context.Context, rs *remotes) error {
	rand.Shuffle(len(rs.services), func(i, j int) { rs.services[i], rs.services[j] = rs.services[j], rs.services[i] })
	rs.services = slices.DeleteFunc(rs.services, func(s service) bool {
		if ctx.Err() != nil {
			return false
		}
		err := r.measureService(ctx, s)
		if err == nil || ctx.Err() != nil {
			return false
		}
		r.skip(strings.Join(s.names, "; "), fmt.Errorf("round %d: %w", r.results.Rounds+1, err))
		return true
	})
	return ctx.Err()
}

// measureService starts s, has it asked and ends it.
func (r *run) measureService(ctx context.Context, s service) error {
	began := time.Now()
	ways, end, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer end()
	r.opening += time.Since(began)
	rand.Shuffle(len(ways), func(i, j int) { ways[i], ways[j] = ways[j], ways[i] })
	for _, w := range ways {
		for _, j := range w.jobs {
			r.loads++
			l, err := w.load(ctx, j.sized(r.options, r.loads))
			if err != nil {
				return fmt.Errorf("%s, %s with %d callers: %w", w.name, j.Load, j.Callers, err)
			}
			r.results.addRemote(remoteCase{Who: w.name, Load: j.Load, Callers: j.Callers}, l)
		}
	}
	return nil
}
