package main

import (
	"context"
	"time"
)

// A run measures everything in rounds.
type run struct {
	options options
	say     func(format string, args ...any) // tells whoever waits how it goes
	keys    []keySet
	results results
	loads   int           // so far
	binary  string        // of noria, once it is built
	opening time.Duration // that services took to start
}

func newRun(o options, say func(string, ...any)) *run {
	r := &run{options: o, say: say, results: results{Machine: thisMachine(), Quick: o.quick, Keys: o.remoteKeys}}
	for i, n := range o.keys {
		r.keys = append(r.keys, newKeySet(n, uint64(i)))
	}
	return r
}

// mostKeys returns the largest number of keys.
func (r *run) mostKeys() int { return r.keys[len(r.keys)-1].n }

// measure runs the rounds that there is time for, at least one, and judges the targets. Once there is a round, an interruption
// ends it as if there were no more time.
func (r *run) measure(ctx context.Context) error {
	began := time.Now()
	if err := setBenchTime(r.options.benchTime); err != nil {
		return err
	}
	rs, err := r.openRemotes(ctx)
	if rs != nil {
		defer rs.end()
	}
	if err != nil {
		return err
	}
	if err := r.grow(ctx); err != nil {
		return err
	}
	var longest time.Duration
	first := time.Now()
	for r.results.Rounds < r.options.rounds {
		if r.results.Rounds > 0 && time.Since(began)+longest > r.options.budget {
			r.say("no time for more than %d rounds", r.results.Rounds)
			break
		}
		took, err := r.round(ctx, rs)
		if err != nil && ctx.Err() != nil && r.results.Rounds > 0 {
			r.say("interrupted: what is known comes of the rounds before")
			break
		}
		if err != nil {
			return err
		}
		longest = max(longest, took)
	}
	r.results.Took = time.Since(first)
	r.judge()
	return nil
}

// grow measures what grows with keys and nodes. What fails is left out.
func (r *run) grow(ctx context.Context) error {
	if !r.options.scale || r.options.only != "" {
		return nil
	}
	r.skip("what grows with keys", r.growKeys(ctx))
	if !r.options.local {
		r.skip("what grows with nodes", r.growNodes(ctx))
	}
	return ctx.Err()
}

// round measures everything once and returns how long that took.
func (r *run) round(ctx context.Context, rs *remotes) (time.Duration, error) {
	began := time.Now()
	if r.options.only == "" {
		if err := r.measureLocal(ctx); err != nil {
			return 0, err
		}
	}
	local := time.Since(began)
	if err := r.measureRemote(ctx, rs); err != nil {
		return 0, err
	}
	took := time.Since(began)
	r.results.Rounds++
	r.say("round %d of %d: %.0f s inside the process, %.0f s over the network, %.0f s of them until services were there",
		r.results.Rounds, r.options.rounds, local.Seconds(), (took - local).Seconds(), r.opening.Seconds())
	r.opening = 0
	return took, nil
}

// judge judges the targets and says how they stand; where services alone were asked for, those that were measured.
func (r *run) judge() {
	for _, t := range r.results.targets(r.mostKeys()) {
		v := t.judge()
		if r.options.only != "" && len(v.Measured) == 0 {
			continue
		}
		r.results.Targets = append(r.results.Targets, v)
		r.say("%-12s %s: %s, wanted %s", v.Verdict, v.Target, figure(v.Measured, v.Unit), v.Bound)
	}
}
