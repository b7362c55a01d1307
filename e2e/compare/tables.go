package main

import (
	"fmt"
)

// writeLocals adds the tables of checks inside the process.
func (rs *results) writeLocals(p *page) {
	p.para("## One check inside the process, in ns")
	p.para("On a key that exists, keys of %d bytes. Each candidate reads the clock itself. 2× is two goroutines on the same keys: "+
		"the time from one check to the next of both together. Denied is the same with all tokens spent. B/key is the heap that "+
		"a key takes beyond its own bytes, and allocs are per check, both at the largest number of keys.", keyBytes)
	p.para("They do not all do the same. x/time/rate and tollbooth say yes or no; juju/ratelimit says how many tokens were taken; " +
		"sethvargo/go-limiter and ulule/limiter count fixed windows and say what is left and when the window ends; throttled and Noria " +
		"count steadily and say what is left, when to come again and when all is back. None of the others, as " +
		"they are used here, bounds how many keys it keeps. Noria does, and sees which keys are asked for most; Node.Check finds out too " +
		"who holds the key and whether this node may decide, and counts what it has decided.")
	cases := rs.columns()
	head := []string{"who"}
	for _, c := range cases {
		head = append(head, c.title())
	}
	p.head(append(head, "allocs", "B/key")...)
	for _, c := range candidates() {
		rs.writeLocal(p, c.name, cases)
	}
	p.gap()
	rs.writeWrong(p)
}

// columns returns the cases that were measured, without who.
func (rs *results) columns() []localCase {
	var cases []localCase
	seen := map[localCase]bool{}
	for _, c := range candidates() {
		for _, l := range rs.Locals {
			if at := l.localCase; at.Who == c.name && len(l.NS) > 0 {
				at.Who = ""
				if !seen[at] {
					seen[at] = true
					cases = append(cases, at)
				}
			}
		}
	}
	return cases
}

// title returns the head of c's column.
func (c localCase) title() string {
	title := counted(c.Keys)
	if c.Goroutines > 1 {
		title += fmt.Sprintf(", %d×", c.Goroutines)
	}
	if c.Limit == spent().name {
		title += ", denied"
	}
	return title
}

// writeLocal adds the row of who, if there is anything in it.
func (rs *results) writeLocal(p *page, who string, cases []localCase) {
	var (
		cells  = []string{who}
		allocs samples
		heap   samples
	)
	for _, c := range cases {
		c.Who = who
		l := rs.local(c)
		cells = append(cells, figure(l.NS, ""))
		if len(l.NS) > 0 && c == plain(who, c.Keys) {
			allocs = l.Allocs.whole()
		}
	}
	for _, w := range rs.Heaps {
		if w.Who == who {
			heap = w.Bytes
		}
	}
	if len(allocs) > 0 {
		p.row(append(cells, number(allocs.median()), figure(heap, ""))...)
	}
}

// writeWrong says who did not always answer as the limit says.
func (rs *results) writeWrong(p *page) {
	for _, l := range rs.Locals {
		if l.Wrong > 0 {
			p.para("%s, %s: %.2f %% of the checks ended with an error or a wrong answer.", l.Who, l.title(), 100*float64(l.Wrong)/float64(l.Checks))
		}
	}
}
