package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// A plot is a picture and the file that it goes to.
type plot struct {
	file  string // in the folder plots
	title string
	draw  func() []byte
}

// plotsDir is the folder of the pictures, beside the results.
const plotsDir = "plots"

// The files of pictures that pages show.
const (
	plotRate      = "checks.svg"
	plotLatency   = "latency.svg"
	plotCPU       = "cpu.svg"
	plotHot       = "hot.svg"
	plotOver      = "over.svg"
	plotKeysTime  = "keys-time.svg"
	plotKeysBytes = "keys-bytes.svg"
	plotNodesRate = "nodes-checks.svg"
	plotNodesCPU  = "nodes-cpu.svg"
)

// plots returns the pictures of what was measured.
func (rs *results) plots() []plot {
	all := slices.Concat(rs.servicePlots(), rs.grownPlots())
	return slices.DeleteFunc(all, func(p plot) bool { return p.draw == nil })
}

// servicePlots returns the pictures of whole services.
func (rs *results) servicePlots() []plot {
	random := fmt.Sprintf("Random keys out of %s, 64 callers, over loopback on one machine.", grouped(strconv.Itoa(rs.Keys)))
	rate := func(r *remote) []samples { return []samples{r.PerSecond} }
	return []plot{
		rs.bars(plotRate, barChart{title: "Checks a second", note: random}, spread, rate),
		rs.bars(plotLatency, barChart{title: "How long a check takes", note: random, unit: " µs", series: []string{"p50", "p99"}}, spread,
			func(r *remote) []samples { return []samples{r.P50, r.P99} }),
		rs.bars(plotCPU, barChart{title: "Processor time of a check, all processes together", note: random, unit: " µs"}, spread,
			func(r *remote) []samples { return []samples{r.CPU} }),
		rs.bars(plotHot, barChart{title: "Checks a second of one hot key", note: "64 callers, nobody is denied."}, hot, rate),
		rs.bars(plotOver, barChart{
			title: "Admitted of what the limit allows", unit: " %",
			note: "One key far over its limit of 100 a second, 64 callers. More than 100 % is too much.",
		}, over, func(r *remote) []samples { return []samples{{100 * float64(r.Admitted) / r.Permits}} }),
	}
}

// grownPlots returns the pictures of what grows with keys and nodes.
func (rs *results) grownPlots() []plot {
	return []plot{
		rs.keyLines(plotKeysTime, lineChart{title: "A check as keys grow", note: "Inside the process, one goroutine, random keys that exist.", unit: " ns"},
			func(g *grownKeys) float64 { return g.NS.median() }),
		rs.keyLines(plotKeysBytes, lineChart{title: "Memory of a key as keys grow", note: "Heap beyond the key's own 24 bytes.", unit: " B"},
			func(g *grownKeys) float64 { return g.Bytes }),
		rs.nodeLines(plotNodesRate, lineChart{title: "Checks a second as nodes grow", note: "Random keys, 64 callers in all; all nodes share the cores of one machine."},
			func(g *grownNodes) float64 { return g.PerSecond.median() }),
		rs.nodeLines(plotNodesCPU, lineChart{title: "Processor time of a check as nodes grow", note: "Random keys, 64 callers in all; all processes together.", unit: " µs"},
			func(g *grownNodes) float64 { return g.CPU.median() }),
	}
}

// bars returns c with the services' rows for a workload with many callers.
func (rs *results) bars(file string, c barChart, load string, of func(*remote) []samples) plot {
	for _, who := range readOrder() {
		r := rs.remote(remoteCase{who, load, manyCallers})
		if len(r.PerSecond) == 0 {
			continue
		}
		row := barRow{name: who, ours: isOurs(who)}
		for _, s := range of(r) {
			row.values = append(row.values, s.median())
		}
		c.rows = append(c.rows, row)
	}
	if len(c.rows) == 0 {
		return plot{}
	}
	return plot{file, c.title, c.draw}
}

// keyLines returns c with lines of something as keys grow.
func (rs *results) keyLines(file string, c lineChart, of func(*grownKeys) float64) plot {
	c.xName = "keys"
	for _, who := range grown() {
		l := lineSeries{name: who}
		for _, g := range rs.GrownKeys {
			if g.Who == who {
				l.points = append(l.points, point{float64(g.Keys), of(g)})
			}
		}
		c.lines = append(c.lines, l)
	}
	if len(rs.GrownKeys) == 0 {
		return plot{}
	}
	return plot{file, c.title, c.draw}
}

// nodeLines returns c with lines of something as nodes grow.
func (rs *results) nodeLines(file string, c lineChart, of func(*grownNodes) float64) plot {
	c.xName = "nodes"
	for _, way := range []string{nodeWay, apiWay} {
		l := lineSeries{name: way}
		for _, g := range rs.GrownNodes {
			if g.Way == way {
				l.points = append(l.points, point{float64(g.Nodes), of(g)})
			}
		}
		if len(l.points) > 0 {
			c.lines = append(c.lines, l)
		}
	}
	if len(c.lines) == 0 {
		return plot{}
	}
	return plot{file, c.title, c.draw}
}

// writePlots writes the pictures into the folder plots of dir.
func (rs *results) writePlots(dir string) error {
	dir = filepath.Join(dir, plotsDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range rs.plots() {
		if err := os.WriteFile(filepath.Join(dir, p.file), p.draw(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// show adds a picture to a page, if it is there.
func (rs *results) show(p *page, file string) {
	for _, pl := range rs.plots() {
		if pl.file == file {
			p.para("![%s](%s/%s)", pl.title, plotsDir, file)
		}
	}
}
