package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// workloads returns the workloads of services in the order in which people read them, with what stands above each.
func workloads() []struct {
	load    string
	callers int
	title   string
} {
	return []struct {
		load    string
		callers int
		title   string
	}{
		{spread, manyCallers, "Random keys, 64 callers"},
		{spread, 1, "Random keys, 1 caller"},
		{hot, manyCallers, "One hot key, 64 callers, nobody is denied"},
		{over, manyCallers, "One key far over its limit of 100 a second, 64 callers"},
	}
}

// writeServices adds the tables of whole services.
func (rs *results) writeServices(p *page) {
	p.para("## Whole services, over loopback")
	p.para("Each caller asks for the next check when it has the answer to the one before; all callers are the same code. "+
		"Random keys are out of %s. Each service runs in processes of its own on the same cores, is started for its part of each "+
		"round, asked about every key once, measured and ended. Callers are spread over the nodes of a fleet. **Node.Check** is "+
		"called in the processes of the nodes themselves, as a gateway or a service that embeds Noria does; all others are asked "+
		"by a load generator. CPU is the processor time of a check in all processes together, the load generator's and Redis' "+
		"included. Wrong are errors, answers without the holder, and denials where there is plenty.", grouped(strconv.Itoa(rs.Keys)))
	for _, w := range workloads() {
		rs.writeWorkload(p, w.title, w.load, w.callers)
	}
	p.para("What is shaped like Envoy's ratelimit was written for this comparison: it speaks Envoy's protocol and does with Redis "+
		"what envoyproxy/ratelimit does by default, fixed windows by INCRBY and EXPIRE in one pipeline, but it is not that program. "+
		"Gubernator %s has its default settings. %s", gubernatorVersion, gubernatorElsewhere)
	rs.writeHot(p)
	rs.writeFailures(p)
}

// gubernatorElsewhere is what is known of a newer Gubernator, which this tool cannot fetch.
const gubernatorElsewhere = "Of v2.19, measured elsewhere, on another machine with 2 cores, and so not to be compared with the figures above: 3 nodes " +
	"answered 8,000 checks/s of 64 callers at a p50 of 7.3 ms, and 6,700/s about one hot key (GLOBAL: 10,500/s, 3.0 times the limit admitted)."

// writeWorkload adds the table of a workload, if anything was measured.
func (rs *results) writeWorkload(p *page, title, load string, callers int) {
	var rows []*remote
	for _, who := range readOrder() {
		if r := rs.remote(remoteCase{who, load, callers}); len(r.PerSecond) > 0 {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return
	}
	p.para("### %s", title)
	rs.showWorkload(p, load, callers)
	head := []string{"who", "checks/s", "p50, µs", "p99, µs", "CPU, µs", "wrong"}
	if load == over {
		head = append(head, "admitted", "allowed", "admitted of allowed")
	}
	p.head(head...)
	for _, r := range rows {
		p.row(r.cells()...)
	}
	p.gap()
	if load == over {
		p.para("Allowed is what a bucket of 100 tokens admits that gains 100 a second, from the first check to the last; a fixed window " +
			"may admit another 100 at its edges. Whoever admits more than that does not keep the limit.")
	}
}

// showWorkload adds the pictures of a workload.
func (rs *results) showWorkload(p *page, load string, callers int) {
	if callers != manyCallers {
		return
	}
	for _, file := range map[string][]string{spread: {plotRate, plotLatency, plotCPU}, hot: {plotHot}, over: {plotOver}}[load] {
		rs.show(p, file)
	}
}

// cells returns r's row.
func (r *remote) cells() []string {
	cells := []string{r.Who, figure(r.PerSecond, ""), figure(r.P50, ""), figure(r.P99, ""), figure(r.CPU, ""), r.wrong()}
	if r.Load == over {
		cells = append(cells, grouped(strconv.FormatInt(r.Admitted, 10)), grouped(fmt.Sprintf("%.0f", r.Permits)),
			fmt.Sprintf("%.1f %%", 100*float64(r.Admitted)/r.Permits))
	}
	return cells
}

// wrong returns the share of wrong answers.
func (r *remote) wrong() string {
	if r.Failed == 0 {
		return "0"
	}
	return fmt.Sprintf("%.2g %%", 100*float64(r.Failed)/float64(r.Asked))
}

// writeHot says what a hot key costs beside keys that are at hand.
func (rs *results) writeHot(p *page) {
	who := noriaInside(3)
	local := rs.remote(remoteCase{who, heldHere, manyCallers})
	alone := rs.remote(remoteCase{who, hotAlone, manyCallers})
	if len(local.PerSecond) == 0 || len(alone.PerSecond) == 0 {
		return
	}
	p.para("### What leases do")
	p.para("%s, 64 callers. Local are keys that the asked node holds itself; a key whose limit has a queue is never lent, so that the "+
		"holder decides on each check. Of one key the callers at its holder ask the more the fewer checks come from elsewhere, so what "+
		"counts is the node whose callers get the fewest answers.", who)
	p.head("what is asked", "checks/s", "at the slowest node", "p50, µs", "p99, µs", "CPU, µs", "wrong")
	for _, of := range []struct{ load, title string }{
		{heldHere, "local keys"}, {hot, "one hot key, lent"}, {hotAlone, "one hot key, never lent"}, {spread, "random keys"},
	} {
		r := rs.remote(remoteCase{who, of.load, manyCallers})
		if len(r.PerSecond) > 0 {
			cells := r.cells()
			cells[0] = of.title
			p.row(slices.Insert(cells, 2, figure(r.Slowest, ""))...)
		}
	}
	p.gap()
	if lent := rs.remote(remoteCase{who, hot, manyCallers}); len(lent.PerSecond) > 0 {
		p.para("By leases callers at the slowest node get %s the answers, and all callers together %s: of the latter those at the holder "+
			"need no lease, and without leases have the processors nearly to themselves, since the others mostly wait.",
			figure(lent.Slowest.over(alone.Slowest), "×"), figure(lent.PerSecond.over(alone.PerSecond), "×"))
	}
}

// writeRemotes adds the table of what a check over the network costs.
func (rs *results) writeRemotes(p *page) {
	p.para("## What the network costs")
	p.para("Two nodes, one of which holds all keys that are asked about, beside gRPC by itself. The node of Node.Check is in the " +
		"load generator's process. Batched is the floor of such a node between two processes: callers share one stream and its messages as " +
		"those of Node.Check do, and nothing is decoded, decided, replicated or late.")
	p.head("who", "callers", "checks/s", "p50, µs", "p99, µs", "CPU, µs", "wrong")
	for _, who := range []string{forwarded, publicGRPC, bareUnary, bareTalk, bareBatch} {
		for _, r := range rs.Remotes {
			if r.Who == who && len(r.PerSecond) > 0 {
				p.row(append([]string{who, strconv.Itoa(r.Callers)}, r.cells()[1:]...)...)
			}
		}
	}
	p.gap()
}

// writeFailures says what was wrong first.
func (rs *results) writeFailures(p *page) {
	for _, r := range rs.Remotes {
		if r.Failed > 0 {
			p.para("%s, %s with %d callers: %d of %d checks were not decided as they should be, the first: %s.", r.Who, r.Load, r.Callers,
				r.Failed, r.Asked, strings.ReplaceAll(r.Failure, "\n", " "))
		}
	}
}
