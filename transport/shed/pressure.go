package shed

import (
	"context"
	"time"
)

// How the pressure follows what there is to do.
const (
	tick = 25 * time.Millisecond

	// gain is how much the pressure rises in a second in which the waits are twice as long as they may be, and falls in one
	// without any. Where three times as much is asked as can be done, two thirds have to be refused, which takes half a second.
	// Faster would be too fast: the waits tell of requests that came before the last change.
	gain     = 0.7 * full
	steepest = 2.0 // times gain that the pressure changes in a second, at most

	// late is the longest time for which the pressure changes at once: who looks waits for a processor as well.
	late = 250 * time.Millisecond

	// patience is how long the waits have to be too long before anything is refused: a collection of garbage, or a neighbour
	// on the machine, is over by then.
	patience = 4 * tick

	// highest is the most pressure: some checks are let in all the same, so that it is seen when there is less to do.
	highest = full * 9 / 10

	// crammed is the part of the memory that is in use from which on checks are refused, whatever the waits.
	crammed = 0.9

	// quiet is how long without pressure is the end of an overload, for the log.
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
			g.level.Store(0)
			return nil
		case <-ticker.C:
			w.look(time.Now())
		}
	}
}

// A watch moves the pressure of a gate.
type watch struct {
	gate *Gate
	last time.Time
	long time.Duration // for which waits have been too long
	told bool          // that requests are refused
	ease time.Duration // since nothing is
}

// look moves the pressure at now by what was since the last time.
func (w *watch) look(now time.Time) {
	g, passed := w.gate, now.Sub(w.last)
	w.last = now
	over := -1.0
	if delay := g.config.Delay; delay > 0 {
		over = float64(g.config.Waits()-delay) / float64(delay)
	}
	level := w.next(int(g.level.Load()), over, passed)
	if used := g.config.Memory(); used > crammed {
		level = max(level, int(full*(used-crammed)/(1-crammed)))
	}
	level = min(max(level, 0), highest)
	if uint32(level) != g.level.Load() {
		g.level.Store(uint32(level))
	}
	w.tell(level, passed)
}

// next returns the level that follows level where the waits were too long by over, in parts of what they may be, while so much
// time has passed.
func (w *watch) next(level int, over float64, passed time.Duration) int {
	if over <= 0 {
		w.long = 0
	} else if w.long += passed; w.long < patience {
		return level
	}
	return level + int(gain*min(over, steepest)*min(passed, late).Seconds())
}

// tell logs when requests begin to be refused and when that is over.
func (w *watch) tell(level int, passed time.Duration) {
	switch {
	case level > 0:
		w.ease = 0
		if !w.told {
			w.told = true
			w.gate.config.Log.Warn("too much to do: requests are refused, reads first")
		}
	case w.told:
		if w.ease += passed; w.ease >= quiet {
			w.told = false
			w.gate.config.Log.Info("no requests are refused any more")
		}
	}
}
