package main

import (
	"fmt"
	"math"
	"strings"
)

// A target is a promise about figures that this tool measures. It is judged by the median over the rounds.
type target struct {
	what     string
	bound    float64
	most     bool // bound is the most that is allowed, not the least
	unit     string
	measured samples // empty if something it needs was not measured
}

// A verdict is what became of a target.
type verdict struct {
	Target   string  `json:"target"`
	Bound    string  `json:"bound"`
	Measured samples `json:"measured,omitempty"` // of each round
	Median   float64 `json:"median,omitempty"`
	Unit     string  `json:"unit"`
	Verdict  string  `json:"verdict"` // met, missed, not measured
}

// judge returns what became of t.
func (t target) judge() verdict {
	v := verdict{Target: t.what, Measured: t.measured, Unit: t.unit, Verdict: "not measured"}
	sign := "≥"
	if t.most {
		sign = "≤"
	}
	v.Bound = fmt.Sprintf("%s %g%s", sign, t.bound, t.unit)
	m := t.measured.median()
	switch {
	case math.IsNaN(m):
		return v
	case t.most == (m <= t.bound) || m == t.bound:
		v.Verdict = "met"
	default:
		v.Verdict = "missed"
	}
	v.Median = m
	return v
}

// targets returns all targets with what was measured. many is the largest number of keys.
func (rs *results) targets(many int) []target {
	all := []target{
		rs.faster(rateMutex, 1, 1.5), rs.faster(rateMutex, fewKeys, 1.5),
		rs.faster(goLimiter, 1, 1.5), rs.faster(goLimiter, fewKeys, 1.5),
		rs.faster(rateMap, many, 3),
		rs.noAllocs(1), rs.noAllocs(fewKeys), rs.noAllocs(many),
		{
			what: "a bucket of a Store beside its key, " + counted(many), bound: 64, most: true, unit: " B",
			measured: rs.weight(storeTake, many).Bytes,
		},
		{
			what: fmt.Sprintf("Store.Take by two goroutines, %s: throughput of one", counted(fewKeys)), bound: 1.7, unit: "×",
			measured: rs.ns(storeTake, fewKeys).over(rs.local(localCase{storeTake, fewKeys, 2, plenty().name}).NS),
		},
		rs.nodeCost(1), rs.nodeCost(fewKeys), rs.nodeCost(many),
	}
	for _, keys := range []int{1, fewKeys, many} {
		for _, goroutines := range []int{1, 2} {
			all = append(all, rs.ahead(keys, goroutines))
		}
	}
	all = append(all, rs.pauseTargets()...)
	return append(append(all, rs.serviceTargets()...), rs.remoteTargets()...)
}

// pauseTargets are those about how long all of a full node stands still: as the runtime tells it, which has in it what the machine takes
// away, and what is left without that.
func (rs *results) pauseTargets() []target {
	told := target{what: "a full node that is not saturated: pauses, p99.9", bound: 1, most: true, unit: " ms"}
	left := target{what: "the same without what the machine withheld", bound: 1, most: true, unit: " ms"}
	if rs.Full != nil {
		for _, g := range rs.Full.GC {
			if g.Load != askedCalm {
				continue
			}
			told.measured = samples{g.Cost.P999 / 1000}
			if g.Stood != nil {
				left.measured = samples{g.Stood.Left999 / 1000}
			}
		}
	}
	return []target{told, left}
}

// fewKeys is the number of keys that processor caches hold and one lock would still be felt with.
const fewKeys = 10_000

// remoteTargets are those about checks over the network.
func (rs *results) remoteTargets() []target {
	many := rs.remote(remoteCase{forwarded, spread, manyCallers})
	return []target{
		{
			what: "forwarded check, 1 caller: round trip of a bare stream with the same message", bound: 1.5, most: true, unit: "×",
			measured: rs.remote(remoteCase{bareTalk, spread, 1}).PerSecond.over(rs.remote(remoteCase{forwarded, spread, 1}).PerSecond),
		},
		{
			what: "forwarded checks, 64 callers: throughput of unary gRPC with one item", bound: 12, unit: "×",
			measured: many.PerSecond.over(rs.remote(remoteCase{bareUnary, spread, manyCallers}).PerSecond),
		},
		{
			what: "forwarded checks, 64 callers: processor time of both nodes, the callers' included", bound: 4, most: true, unit: " µs",
			measured: many.CPU,
		},
		{
			what: "forwarded checks, 64 callers: throughput of a bare stream, batched", bound: 0.5, unit: "×",
			measured: many.PerSecond.over(rs.remote(remoteCase{bareBatch, spread, manyCallers}).PerSecond),
		},
		rs.publicShare(1), rs.publicShare(manyCallers),
	}
}

// publicShare is the target that the public API does little beside what gRPC does.
func (rs *results) publicShare(callers int) target {
	return target{
		what: fmt.Sprintf("public gRPC, %d at a time: throughput of an empty unary service", callers), bound: 0.85, unit: "×",
		measured: rs.remote(remoteCase{publicGRPC, spread, callers}).PerSecond.over(rs.remote(remoteCase{bareUnary, spread, callers}).PerSecond),
	}
}

// faster is the target that Store.Take is so many times as fast as who.
func (rs *results) faster(who string, keys int, times float64) target {
	return target{
		what: fmt.Sprintf("Store.Take, %s: speed of %s", counted(keys), who), bound: times, unit: "×",
		measured: rs.ns(who, keys).over(rs.ns(storeTake, keys)),
	}
}

// noAllocs is the target that Store.Take allocates nothing.
func (rs *results) noAllocs(keys int) target {
	return target{
		what: fmt.Sprintf("Store.Take, %s: allocations", counted(keys)), most: true,
		measured: rs.local(plain(storeTake, keys)).Allocs.whole(),
	}
}

// nodeCost is the target that a node adds little to Store.Take.
func (rs *results) nodeCost(keys int) target {
	return target{
		what: fmt.Sprintf("Node.Check of a key held here, %s: time of Store.Take", counted(keys)), bound: 1.6, most: true, unit: "×",
		measured: rs.ns(nodeCheck, keys).over(rs.ns(storeTake, keys)),
	}
}

// ahead is the target that Node.Check is no slower than any other that keeps something for each key.
func (rs *results) ahead(keys, goroutines int) target {
	at := localCase{Keys: keys, Goroutines: goroutines, Limit: plenty().name}
	ns := func(who string) samples {
		at.Who = who
		return rs.local(at).NS
	}
	var fastest samples
	for _, c := range candidates() {
		if !c.one && !strings.HasPrefix(c.name, "Noria") {
			fastest = fastest.least(ns(c.name))
		}
	}
	return target{
		what:  fmt.Sprintf("Node.Check of a key held here, %s, %d at once: speed of the fastest other", counted(keys), goroutines),
		bound: 1, unit: "×", measured: fastest.over(ns(nodeCheck)),
	}
}

// least returns the less of s and o in each round; o if s has none.
func (s samples) least(o samples) samples {
	if len(s) == 0 {
		return o
	}
	less := make(samples, min(len(s), len(o)))
	for i := range less {
		less[i] = min(s[i], o[i])
	}
	return less
}

// ns returns what a check by who took with one goroutine.
func (rs *results) ns(who string, keys int) samples { return rs.local(plain(who, keys)).NS }

// plain is the case of one goroutine that is allowed everything.
func plain(who string, keys int) localCase {
	return localCase{Who: who, Keys: keys, Goroutines: 1, Limit: plenty().name}
}

// counted returns n keys in words.
func counted(n int) string {
	switch {
	case n == 1:
		return "1 key"
	case n >= 1_000_000:
		return fmt.Sprintf("%gM keys", float64(n)/1_000_000)
	case n >= 1000:
		return fmt.Sprintf("%gk keys", float64(n)/1000)
	}
	return fmt.Sprintf("%d keys", n)
}

// whole returns s without fractions, which are what the rest of the process allocated meanwhile.
func (s samples) whole() samples {
	floored := make(samples, len(s))
	for i, v := range s {
		floored[i] = math.Floor(v)
	}
	return floored
}
