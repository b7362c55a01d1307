package cluster

import (
	"context"

	"github.com/noriahq/noria/bucket"
)

// giveBack gives back what the groups took, or may have taken, and waits Config.PeerWait at most until the holders have
// done so. A group that is alone took nothing if it was denied, and is its own whole if not.
func (w *whole) giveBack(ctx context.Context) {
	sent := make([]*Ask, 0, len(w.groups))
	for i := range w.groups {
		g := &w.groups[i]
		switch {
		case g.state != took && g.state != lost:
		case g.ask == nil:
			w.n.refund(w.n.now(), g.holds)
		case g.ask.Hold != 0:
			sent = append(sent, w.refund(g))
		}
	}
	w.restore()
	w.putBack()
	for _, a := range sent {
		select {
		case <-a.done: // an error leaves the tokens taken: the holder is gone, or they age there
			w.n.free(a)
		case <-ctx.Done():
			return
		}
	}
}

// refund asks the holder of g to give back.
func (w *whole) refund(g *group) *Ask {
	a := w.n.newAsk(OpRefund)
	a.Hold, a.Epoch, a.Wait = g.ask.Hold, w.v.table.Epoch(), w.n.config.PeerWait
	a.Checks = w.checks(g, a.Checks)
	w.v.members[g.to].peer.Ask(a)
	return a
}

// restore makes the decisions say what is left after everything was given back.
func (w *whole) restore() {
	for i := range w.groups {
		g := &w.groups[i]
		for _, k := range g.reqs {
			d := &w.decisions[k]
			switch g.state {
			case took:
				d.Remaining += w.reqs[k].Cost
			case lost, away:
				if !d.Degraded { // nobody decided on it
					*d = bucket.Decision{Allowed: true}
				}
			case denied:
			}
		}
	}
}
