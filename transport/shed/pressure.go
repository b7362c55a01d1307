package shed

import (
	"context"
	"runtime"
	"time"
)

// How a node that has too much to do goes on.
const (
	tick = 25 * time.Millisecond

	// patience is how long the waits have to be too long before anything is held back: a collection of garbage, or a neighbour
	// on the machine, is over by then.
	patience = 4 * tick

	// first is how many checks for each processor are let in in a tick at least. While waits are short enough it grows by
	// faster, so that no processor is idle for long, and else it shrinks by slower; but never below what was done at best of
	// late, which is forgotten by and by: waits may be long because others have the processors.
	first     = 64.0
	faster    = 1.25
	slower    = 0.9
	forgetful = 0.995

	// late is how many ticks one may stand for: who looks waits for a processor as well.
	late = 4.0

	// crammed is the part of the memory that is in use from which on checks are held back, whatever the waits.
	crammed = 0.9

	// quiet is how long nothing was held back at the end of an overload, for the log.
	quiet = 5 * time.Second
)

// Run looks at what there is to do until ctx ends. It returns nil.
func (g *Gate) Run(ctx context.Context) error {
	if g == nil {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	w := watch{gate: g, last: time.Now()}
	for {
		select {
		case <-ctx.Done():
			g.over.Store(false)
			g.held.release(g.held.len(), time.Time{})
			return nil
		case <-ticker.C:
			w.look(time.Now())
		}
	}
}

// A watch lets in what a gate holds back.
type watch struct {
	gate  *Gate
	last  time.Time
	long  time.Duration // for which waits have been too long
	batch float64       // checks that are let in in a tick
	best  float64       // checks that were done in a tick of late, at most
	told  bool          // that requests are held back
	ease  time.Duration // since none are
}

// look does what is to be done at now.
func (w *watch) look(now time.Time) {
	g, passed := w.gate, now.Sub(w.last)
	w.last = now
	long := g.config.Delay > 0 && g.config.Waits() > g.config.Delay || g.config.Memory() > crammed
	if long {
		w.long += passed
	} else {
		w.long = 0
	}
	over, ticks, least := g.over.Load(), min(float64(passed)/float64(tick), late), first*float64(runtime.GOMAXPROCS(0))
	if over {
		w.best = max(w.best*forgetful, float64(g.done.Swap(0))/max(ticks, 1))
	}
	switch {
	case !over && w.long >= patience:
		w.batch, w.best = least, 0
		g.done.Store(0)
		g.over.Store(true)
	case over && long:
		w.batch = max(least, w.batch*slower, w.best)
	case over:
		w.batch = min(w.batch*faster, float64(g.config.MaxCalls))
	}
	if over {
		g.held.release(int(w.batch*ticks)+1, now.Add(-holds*g.config.step()))
		if !long && g.held.len() == 0 {
			g.over.Store(false)
		}
	}
	w.tell(over, passed)
}

// tell logs when requests begin to be held back and when that is over.
func (w *watch) tell(over bool, passed time.Duration) {
	switch {
	case over:
		w.ease = 0
		if !w.told {
			w.told = true
			w.gate.config.Log.Warn("too much to do: reads are refused, checks are held back and refused if that lasts")
		}
	case w.told:
		if w.ease += passed; w.ease >= quiet {
			w.told = false
			w.gate.config.Log.Info("no requests are held back any more")
		}
	}
}
