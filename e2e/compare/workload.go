package main

import (
	"fmt"
	"time"
)

// The workloads.
const (
	spread   = "spread" // keys of many, in no order, with a limit far above demand
	heldHere = "local"  // those of spread that the asked node holds; of nodes that are asked from inside
	hot      = "hot"    // one key, with a limit far above demand
	hotAlone = "unlent" // the same with a limit that Noria does not lend
	over     = "over"   // one key that is asked for much more often than its limit allows
)

// A job is what callers ask, and for how long.
type job struct {
	Load    string        `json:"load"`
	Callers int           `json:"callers"`
	First   int           `json:"first"`  // the number of the first of these callers, where others have the rest
	Of      int           `json:"of"`     // all callers together
	Keys    int           `json:"keys"`   // how many spread has
	Number  int           `json:"number"` // of the loads of a run; where there is one key it is another one in each
	For     time.Duration `json:"for"`
}

// limit returns the limit under which j asks.
func (j job) limit() limit {
	switch j.Load {
	case over:
		return scarce()
	case hotAlone:
		return unlent()
	}
	return plenty()
}

// keys returns the keys about which j asks.
func (j job) keys() []string {
	switch j.Load {
	case hot, hotAlone, over:
		return []string{fmt.Sprintf("%s:%d", j.Load, j.Number)}
	}
	return newKeySet(j.Keys, spreadSeed).list()
}

// spreadSeed gives the order of the keys of spread, which is the same for all.
const spreadSeed = 7

// share returns the part of j for process number i of n, which together do all of it.
func (j job) share(i, n int) job {
	first := j.Of * i / n
	j.First, j.Callers = first, j.Of*(i+1)/n-first
	return j
}

// jobs returns jobs of a workload with so many callers each.
func jobs(load string, callers ...int) []job {
	var js []job
	for _, n := range callers {
		js = append(js, job{Load: load, Callers: n, Of: n})
	}
	return js
}

// usual returns the jobs that every service is given.
func usual() []job {
	js := jobs(spread, 1, manyCallers)
	js = append(js, jobs(hot, manyCallers)...)
	return append(js, jobs(over, manyCallers)...)
}

// sized returns j as load number n of a run with options o.
func (j job) sized(o options, n int) job {
	j.Keys, j.Number, j.For = o.remoteKeys, n, o.loadTime
	return j
}
