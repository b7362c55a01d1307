package shed

import (
	"context"
	"time"
)

// How the pressure follows what there is to do.
const (
	tick = 25 * time.Millisecond

	// gain is how much the pressure rises in a tick where the waits are twice as long as they may be, and falls in one without
	// any: from none to refusing two thirds of all checks, where three times as much is asked as can be done, it takes four
	// ticks if the waits are very long.
	gain = full / 10

	steepest = 4        // times gain that the pressure changes in a tick, at most
	highest  = full * 2 // less what some checks are let in for, so that the end of it is seen
	hopeful  = full / 50

	// calm is how many ticks in a row the waits have to be too long before anything is refused: a collection of garbage, or
	// a neighbour on the machine, is over by then.
	calm = 3

	// crammed is the part of the memory that is in use from which on checks are refused, whatever the waits.
	crammed = 0.9
)

// Run looks at what there is to do until ctx ends. It returns nil.
func (g *Gate) Run(ctx context.Context) error {
	if g == nil {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	w := watch{gate: g}
	for {
		select {
		case <-ctx.Done():
			g.level.Store(0)
			return nil
		case <-ticker.C:
			w.look()
		}
	}
}

// A watch moves the pressure of a gate.
type watch struct {
	gate *Gate
	long int  // ticks in a row in which waits were too long
	told bool // that requests are refused
	ease int  // ticks since nothing is
}

// look moves the pressure by what was in the last tick.
func (w *watch) look() {
	g := w.gate
	level := int(g.level.Load())
	if g.config.Delay > 0 {
		level = w.next(level, g.config.Waits())
	}
	if used := g.config.Memory(); used > crammed {
		level = max(level, full+int(float64(full)*(used-crammed)/(1-crammed)))
	}
	level = min(max(level, 0), highest-hopeful)
	if uint32(level) != g.level.Load() {
		g.level.Store(uint32(level))
	}
	w.tell(level)
}

// next returns the level that follows level where goroutines had to wait for waits.
func (w *watch) next(level int, waits time.Duration) int {
	over := float64(waits-w.gate.config.Delay) / float64(w.gate.config.Delay)
	if over <= 0 {
		w.long = 0
	} else if w.long++; w.long < calm {
		return level
	}
	return level + int(gain*min(over, steepest))
}

// quiet is how many ticks without pressure are the end of an overload.
const quiet = int(5 * time.Second / tick)

// tell logs when requests begin to be refused and when that is over.
func (w *watch) tell(level int) {
	switch {
	case level > 0:
		w.ease = 0
		if !w.told {
			w.told = true
			w.gate.config.Log.Warn("too much to do: requests are refused, reads first")
		}
	case w.told:
		if w.ease++; w.ease >= quiet {
			w.told = false
			w.gate.config.Log.Info("no requests are refused any more")
		}
	}
}
