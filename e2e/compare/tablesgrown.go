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
	p.para("Garbage collections with the most keys, while one goroutine asks: how long each took, how long all stood still at the 99.9th "+
		"percentile (`%s`), and ns of a check meanwhile.", pauseMetric)
	p.head("who", "keys", "collection, ms", "pauses", "p99.9 pause, µs", "ns meanwhile")
	most := rs.GrownKeys[len(rs.GrownKeys)-1].Keys
	for _, g := range rs.GrownKeys {
		if c := g.GC; g.Keys == most {
			p.row(g.Who, grouped(strconv.Itoa(g.Keys)), figure(c.Took, ""), strconv.FormatUint(c.Pauses, 10), number(c.Worst), number(c.NS))
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
