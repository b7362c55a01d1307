package gossip

import (
	"context"
	"slices"
	"time"
)

// Updates returns the channel with the member sets that have settled, as in View.Members: each as soon as nothing changed
// for Config.Settle, 500ms after the first change at the latest. The first one comes when Run starts, with this node
// alone unless a Join was quicker. A slow receiver gets the newest set and misses those before. The sets belong to the
// receiver. The channel is never closed. A change of View.Conflicts tells the set again, even if it is the same.
func (g *Gossip) Updates() <-chan []Member { return g.updates }

// settle hands over member sets that have settled.
func (g *Gossip) settle(ctx context.Context) {
	var last View
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.roster.changed:
		}
		g.calm(ctx)
		now := g.View()
		if slices.Equal(now.Members, last.Members) && slices.Equal(now.Conflicts, last.Conflicts) {
			continue
		}
		last = now
		select {
		case <-g.updates: // nobody took it, and nobody will want it
		default:
		}
		g.updates <- slices.Clone(now.Members) // there is room: only this goroutine fills it
	}
}

// calm returns when nothing changes any more, or has changed for too long.
func (g *Gossip) calm(ctx context.Context) {
	enough, still := time.NewTimer(settleMost), time.NewTimer(g.config.Settle)
	defer enough.Stop()
	defer still.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-enough.C:
			return
		case <-still.C:
			return
		case <-g.roster.changed:
			still.Reset(g.config.Settle)
		}
	}
}
