// Package flood asks a node for more than it can do, at a fraction of what an answer costs the node: a load that is offered by
// fewer processors than it keeps busy.
//
// It writes requests that were encoded before, and reads of the answers no more than their status. What callers do who have a
// deadline it does too: it gives up what is not answered in time, and does not ask when all its connections or streams are taken.
package flood

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A Load is what a node is asked for.
type Load struct {
	Addr  string        // of the port
	Conns int           // connections
	Each  int           // requests under way on each at most; 1 for HTTP/1.1
	Rate  int           // requests a second over all connections; 0 for as many as are answered
	For   time.Duration // how long
	Wait  time.Duration // how long a caller waits for an answer
	Items int           // checks in each request
}

// A Tally is what came of a Load.
type Tally struct {
	Offered int64 // requests that somebody wanted to send
	Good    int64 // decided in time
	Shed    int64 // refused because of overload, in time
	Late    int64 // given up: not answered in time
	Unsent  int64 // nothing was free to send it by
	Broken  int64 // answers of another kind, and connections that broke
	First   string
	Took    time.Duration
}

// Goodput is decisions in time, a second.
func (t Tally) Goodput() float64 { return float64(t.Good) / t.Took.Seconds() }

// String returns t for people.
func (t Tally) String() string {
	s := fmt.Sprintf("%.0f/s good of %.0f/s offered: %d good, %d shed, %d late, %d unsent, %d broken",
		t.Goodput(), float64(t.Offered)/t.Took.Seconds(), t.Good, t.Shed, t.Late, t.Unsent, t.Broken)
	if t.First != "" {
		s += " (" + t.First + ")"
	}
	return s
}

// counts is a Tally that grows.
type counts struct {
	offered, good, shed, late, unsent, broken atomic.Int64
	first                                     atomic.Pointer[string]
}

// outcome is what came of one request.
type outcome int

const (
	good outcome = iota
	shed
	broken
)

// add counts an answer that came in time or not.
func (c *counts) add(o outcome, late bool) {
	switch {
	case o == broken:
		c.broken.Add(1)
	case late:
		c.late.Add(1)
	case o == shed:
		c.shed.Add(1)
	default:
		c.good.Add(1)
	}
}

// broke counts what went wrong.
func (c *counts) broke(err error) {
	text := err.Error()
	c.first.CompareAndSwap(nil, &text)
	c.broken.Add(1)
}

// tally returns the counts after took.
func (c *counts) tally(took time.Duration) Tally {
	t := Tally{
		Offered: c.offered.Load(), Good: c.good.Load(), Shed: c.shed.Load(), Late: c.late.Load(),
		Unsent: c.unsent.Load(), Broken: c.broken.Load(), Took: took,
	}
	if first := c.first.Load(); first != nil {
		t.First = *first
	}
	return t
}

// run runs a connection for each of l's and returns what came of it.
func (l Load) run(ctx context.Context, conn func(ctx context.Context, id int, c *counts)) Tally {
	ctx, cancel := context.WithTimeout(ctx, l.For)
	defer cancel()
	var c counts
	var all sync.WaitGroup
	began := time.Now()
	for id := range l.Conns {
		all.Go(func() { conn(ctx, id, &c) })
	}
	all.Wait()
	return c.tally(time.Since(began))
}

// tick is how often requests are sent that are due.
const tick = 5 * time.Millisecond
