package main

import "strconv"

// writeGrown adds what grows with keys and nodes.
func (rs *results) writeGrown(p *page) {
	if len(rs.GrownKeys) > 0 {
		rs.writeGrownKeys(p)
	}
	if len(rs.GrownNodes) > 0 {
		rs.writeGrownNodes(p)
	}
}

func (rs *results) writeGrownKeys(p *page) {
	p.para("## As keys grow")
	p.para("One goroutine asks about random keys that exist, inside the process: ns of a check, and bytes of heap that a key takes beyond " +
		"its own. Measured before the rounds; ± is over three tries with the same memory.")
	rs.show(p, plotKeysTime)
	rs.show(p, plotKeysBytes)
	p.head("who", "keys", "ns", "B/key")
	for _, who := range grown() {
		for _, g := range rs.GrownKeys {
			if g.Who == who {
				p.row(who, grouped(strconv.Itoa(g.Keys)), figure(g.NS, ""), number(g.Bytes))
			}
		}
	}
	p.gap()
	p.para("Garbage collections with the most keys that each was asked about, while one goroutine asks: how long each took, how long all "+
		"stood still (`%s`, p99.9 where there were enough of them), and ns of a check meanwhile.", pauseMetric)
	p.head("who", "keys", "collection, ms", "pauses", "p50, µs", "p99, µs", "longest, µs", "ns meanwhile")
	for _, who := range grown() {
		var last *grownKeys
		for _, g := range rs.GrownKeys {
			if g.Who == who {
				last = g
			}
		}
		if last != nil {
			c := last.GC
			p.row(last.Who, grouped(strconv.Itoa(last.Keys)), figure(c.Took, ""), strconv.FormatUint(c.Pauses, 10), number(c.P50),
				number(c.P99), number(c.Most), number(c.NS))
		}
	}
	p.gap()
	if len(rs.Replicas) == 0 {
		return
	}
	p.para("What a key takes at its holder, which notes what changed, and beside that at its heir, which keeps the replica, in bytes beyond " +
		"the key's own. Both are stores as nodes have them, the one filled with what the other tells.")
	p.head("keys", "holder, B/key", "replica, B/key")
	for _, c := range rs.Replicas {
		p.row(grouped(strconv.Itoa(c.Keys)), number(c.Holder), number(c.Replica))
	}
	p.gap()
	if rs.Full != nil {
		rs.Full.write(p)
	}
}

// write adds what a full process found.
func (f *full) write(p *page) {
	p.para("### A full node")
	p.para("One process with a node that holds %s keys, and with a table that was told of as many replicas, as the node's is by others. A "+
		"key takes %s bytes in it beyond its own, for holder and replica together.", grouped(strconv.Itoa(f.Keys)), number(f.Bytes))
	f.writeGC(p)
	p.para("The time from one check to the next while the tables grow from nothing, and of the same checks once they do not grow any more: "+
		"what the machine takes away is in both. One shard of a table that grows from nothing to %d keys, the most that it has, stops for "+
		"%s µs at the longest, beside %s µs once it does not grow.", shardKeys, number(f.Shard), number(f.ShardQuiet))
	p.head("what", "p50, µs", "p99.9, µs", "longest, µs", "above 1 ms")
	p.row("growing", number(f.Growing.P50), number(f.Growing.P999), number(f.Growing.Longest), strconv.FormatInt(f.Growing.Over, 10))
	p.row("not growing", number(f.Quiet.P50), number(f.Quiet.P999), number(f.Quiet.Longest), strconv.FormatInt(f.Quiet.Over, 10))
	p.gap()
}

// writeGC adds what garbage collections cost.
func (f *full) writeGC(p *page) {
	p.para("How long all stood still for garbage collections (`%s`), which were made one after the other, under three loads in turns. Where "+
		"nobody asks the node two goroutines hash and read the clock beside the same memory: what such a process has too is the runtime's and "+
		"the machine's.", pauseMetric)
	p.head("load", "collection, ms", "pauses", "p50, µs", "p99, µs", "p99.9, µs", "longest, µs")
	for _, g := range f.GC {
		c := g.Cost
		p.row(g.Load, figure(c.Took, ""), strconv.FormatUint(c.Pauses, 10), number(c.P50), number(c.P99), number(c.P999), number(c.Most))
	}
	p.gap()
	if f.Blind != "" {
		p.para("What of that is the machine's is not known: %s.", f.Blind)
		return
	}
	p.para("More turns with a lookout beside them, a thread on each processor that wants to run every %v before all others. Where it "+
		"is late nobody could have run: the kernel was busy or, on a virtual machine, its host had taken the processor. What is left of a "+
		"pause without these times is the most that can be ours.", lookoutPeriod)
	p.head("load", "some processor away, %", "pauses", "p99.9, µs", "above 1 ms", "left: p50, µs", "p99, µs", "p99.9, µs", "longest, µs", "above 1 ms")
	for _, g := range f.GC {
		s := g.Stood
		p.row(g.Load, number(100*s.Withheld), strconv.Itoa(s.Pauses), number(s.P999), strconv.Itoa(s.Over),
			number(s.Left50), number(s.Left99), number(s.Left999), number(s.LeftMost), strconv.Itoa(s.LeftOver))
	}
	p.gap()
}

func (rs *results) writeGrownNodes(p *page) {
	p.para("## As nodes grow")
	p.para("Random keys out of %s, 64 callers in all, spread over the nodes. All nodes share the cores of one machine, so more nodes do not "+
		"make more checks here: what shows is what a check costs as more of them go to another node, and fewer to the same one at once, which "+
		"would share a message. A fleet grows by joins, which are "+
		"over when it is measured; ± is over three tries.", grouped(strconv.Itoa(rs.Keys)))
	rs.show(p, plotNodesRate)
	rs.show(p, plotNodesCPU)
	p.head("how", "nodes", "checks/s", "p50, µs", "p99, µs", "CPU, µs", "wrong")
	for _, g := range rs.GrownNodes {
		p.row(append([]string{g.Way, strconv.Itoa(g.Nodes)}, g.cells()[1:]...)...)
	}
	p.gap()
}
