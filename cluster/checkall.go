package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/ring"
)

// CheckAll decides on reqs together: it takes all their costs or none. Every holder is asked at once; if one denies,
// the others give back what they took before CheckAll returns, or as soon as they can be reached. The Decisions of those
// that were not denied then say what they would have been, or only that they were not denied where what a holder denied before
// tells already that nobody need be asked. Where a holder does not answer its requests' OnLost rules do,
// after all others have allowed. What a holder has lent of a key that is asked for often is taken without asking it, and put back
// if another request is denied. It takes at most MaxChecks requests; errors are those of Check, and bucket.ErrConflict.
func (n *Node) CheckAll(ctx context.Context, reqs []bucket.Request) (bucket.Decisions, error) {
	if len(reqs) > MaxChecks {
		return nil, fmt.Errorf("%w: %d requests in one check, want at most %d", bucket.ErrConflict, len(reqs), MaxChecks)
	}
	for i := range reqs {
		if err := n.store.Check(&reqs[i]); err != nil {
			return nil, err
		}
	}
	if ds, err := n.takeAllHere(reqs); ds != nil || err != nil {
		n.countAll(reqs, ds)
		return ds, err
	}
	ds, err := n.checkAll(ctx, reqs)
	n.countAll(reqs, ds)
	return ds, err
}

// checkAll is CheckAll where others have to be asked.
func (n *Node) checkAll(ctx context.Context, reqs []bucket.Request) (bucket.Decisions, error) {
	end := n.patience(ctx)
	all, turn := n.recallAll(ctx, reqs, end.silent)
	if all != nil {
		return all, nil
	}
	for try := 0; ; try++ {
		v := n.view.Load()
		if v == nil {
			n.pass(turn)
			return nil, ErrNotReady
		}
		w, sent := newWhole(n, v, reqs), n.now()
		last := try >= maxRedirects && !n.pause(ctx, end.silent)
		again, err := w.decide(ctx, end.moving, last)
		if err != nil {
			n.pass(turn)
			return nil, err
		}
		if !again {
			w.remember(sent, turn)
			w.warm()
			return w.decisions, nil
		}
		if w.moves {
			end.silent = end.moving
		}
		if w.ended {
			n.awaitHeir(&end)
		}
	}
}

// A whole is one attempt at an all-or-nothing check.
type whole struct {
	n         *Node
	v         *view
	reqs      []bucket.Request
	decisions bucket.Decisions
	groups    []group
	lent      []lent // requests that are in no group
	moves     bool   // somebody who was asked is not the holder any more
	ended     bool   // the process of somebody who was asked has ended
}

// A group is the requests of a whole that one member decides on.
type group struct {
	to    int                             // index of the member
	reqs  []int                           // indexes into whole.reqs
	ask   *Ask                            // nil for this node's own
	ended func(s AnswerStatus, err error) // of Config.Trace, nil for nobody
	holds []bucket.Hold
	state state
}

type state uint8

const (
	lost   state = iota // no answer: nothing is known
	away                // the member is not the holder: nothing was taken
	denied              // nothing was taken
	took
)

func newWhole(n *Node, v *view, reqs []bucket.Request) *whole {
	w := &whole{n: n, v: v, reqs: reqs, decisions: make(bucket.Decisions, len(reqs))}
	for i := range reqs {
		h := ring.Hash(reqs[i].Key)
		to := n.holderIn(v, v.table.Partition(h))
		if to != v.self && w.spend(i, h) {
			continue
		}
		g := w.group(to)
		g.reqs = append(g.reqs, i)
	}
	return w
}

// group returns the group of the member with index to.
func (w *whole) group(to int) *group {
	for i := range w.groups {
		if w.groups[i].to == to {
			return &w.groups[i]
		}
	}
	w.groups = append(w.groups, group{to: to})
	return &w.groups[len(w.groups)-1]
}

// decide asks everyone and gives back if need be. With again nothing was taken because somebody is not the holder any
// more, and another attempt by a newer view may do better; the last attempt takes such a holder for lost. A holder that is
// slow is waited for until most.
func (w *whole) decide(ctx context.Context, most bucket.Instant, last bool) (again bool, err error) {
	end := patience{silent: w.n.patience(ctx).silent, moving: most}
	w.send(ctx, end)
	if err := w.receive(ctx, end); err != nil {
		w.giveBack(ctx)
		return false, err
	}
	allowed := !w.any(denied)
	again = allowed && !last && w.any(away)
	if allowed && !again && w.degrade() {
		return false, nil
	}
	w.giveBack(ctx)
	return again, nil
}

func (w *whole) any(s state) bool {
	return slices.ContainsFunc(w.groups, func(g group) bool { return g.state == s })
}

// send asks all groups but this node's own.
func (w *whole) send(ctx context.Context, end patience) {
	for i := range w.groups {
		g := &w.groups[i]
		m := w.v.members[g.to]
		if m.peer == nil {
			continue
		}
		g.ask = w.n.newAsk(OpTake)
		g.ask.Epoch = w.v.table.Epoch()
		now := w.n.now()
		g.ask.Wait, g.ask.Most = max(end.silent.Sub(now), 1), end.moving.Sub(now)
		if len(w.groups) > 1 {
			g.ask.Hold = w.n.lastHold.Add(1)
		}
		g.ask.Checks = w.checks(g, g.ask.Checks)
		g.ended = w.n.trace(ctx, g.ask, m)
		m.peer.Ask(g.ask)
	}
}

// checks appends the checks of g to to.
func (w *whole) checks(g *group, to []Check) []Check {
	for _, i := range g.reqs {
		p := w.v.table.Partition(ring.Hash(w.reqs[i].Key))
		to = append(to, Check{Partition: p, Request: w.reqs[i]})
	}
	return to
}

// receive decides on this node's own group and waits for the others. It returns what is wrong with the requests, or
// ctx's error.
func (w *whole) receive(ctx context.Context, end patience) (err error) {
	for i := range w.groups {
		if g := &w.groups[i]; g.ask == nil {
			err = w.takeHere(ctx, g, end.moving)
		}
	}
	for i := range w.groups {
		if g := &w.groups[i]; g.ask != nil {
			if e := w.await(ctx, g, end); e != nil {
				err = e
			}
		}
	}
	return err
}

// takeHere decides on g in this node's own store. For replicas it waits until end.
func (w *whole) takeHere(ctx context.Context, g *group, end bucket.Instant) error {
	items := itemsOf(w.checks(g, nil))
	now := w.n.now()
	if !w.n.core.Decides(now) {
		g.state = away
		return nil
	}
	holds, err := w.n.store.TakeAll(now, items, len(w.groups) > 1)
	if errors.Is(err, bucket.ErrMoved) {
		g.state = away
		return nil
	}
	if err != nil {
		g.state = denied
		return err
	}
	g.holds = holds
	var sync []copying
	for k, i := range g.reqs {
		w.decisions[i] = items[k].Decision
		w.decisions[i].Node = string(w.n.name)
		if r := &w.reqs[i]; isDurable(OpTake, r, &w.decisions[i]) {
			sync = append(sync, copying{part: ring.Partition(items[k].Partition), req: r, d: &w.decisions[i], end: end})
		}
	}
	if len(sync) > 0 {
		w.n.endure(ctx, sync)
	}
	g.state = w.outcome(g)
	return nil
}

// outcome says whether the decisions of g took anything.
func (w *whole) outcome(g *group) state {
	for _, i := range g.reqs {
		if !w.decisions[i].Allowed {
			return denied
		}
	}
	return took
}

// await waits for the answer to g, and until end to know whether who hung up has ended.
func (w *whole) await(ctx context.Context, g *group, end patience) error {
	select {
	case <-g.ask.done:
		if g.ended != nil {
			g.ended(g.ask.Answer.Status, g.ask.Err)
		}
	case <-ctx.Done():
		if g.ended != nil {
			g.ended(Decided, ctx.Err())
		}
		g.ask = w.orphan(g) // the transport still has the one that was sent
		return ctx.Err()
	}
	m := w.v.members[g.to]
	if err := g.ask.Err; err != nil {
		w.n.failed(m, err)
		if w.n.isGone(m, err) || errors.Is(err, ErrPeerLost) && w.n.ends(ctx, m, &end) {
			w.lose(g, m)
		}
		return nil // that a peer is lost is an outcome here, which the state of g says
	}
	m.answered()
	switch g.ask.Answer.Status {
	case NotHolder:
		w.learn(g)
		g.state, w.moves = away, true
	case Invalid:
		g.state = denied
		return answered(g.ask)
	case Decided:
		for k, i := range g.reqs {
			w.decisions[i] = g.ask.Checks[k].Decision
			w.decisions[i].Node = string(m.ID)
		}
		g.state = w.outcome(g)
	}
	return nil
}

// learn notes what the one who was asked for g, and is not the holder of all of it, knows.
func (w *whole) learn(g *group) {
	at := g.ask.Answer
	w.n.step(func(c *core.Core, _ bucket.Instant) {
		for i := range g.ask.Checks {
			if p := g.ask.Checks[i].Partition; len(g.ask.Checks) == 1 || at.Holder == "" {
				c.Learn(p, at.Holder, at.Term)
			} else if holder, _ := c.Holder(p); holder == w.v.members[g.to].ID {
				c.Lost(p, holder) // which of them it was is not said: the targets know
			}
		}
	})
}

// lose notes that the process of m, which was asked for g, has ended: nothing of g was taken.
func (w *whole) lose(g *group, m *member) {
	g.state, w.ended = away, true
	w.n.step(func(c *core.Core, _ bucket.Instant) {
		for i := range g.ask.Checks {
			c.Lost(g.ask.Checks[i].Partition, m.ID)
		}
	})
}

// holderIn returns the index in v of whom this node takes for the holder of p; of itself if nobody else is known.
func (n *Node) holderIn(v *view, p ring.Partition) int {
	holder, _ := n.core.Route(p)
	if i := v.index(holder); i >= 0 {
		return i
	}
	return v.self
}

// orphan returns an ask with the Hold of g's.
func (w *whole) orphan(g *group) *Ask {
	a := w.n.newAsk(OpTake)
	a.Hold = g.ask.Hold
	return a
}

// degrade decides by their OnLost rules on the requests whose holders did not answer, and says whether all are allowed.
func (w *whole) degrade() bool {
	all := true
	for i := range w.groups {
		g := &w.groups[i]
		if g.state != lost && g.state != away {
			continue
		}
		for _, k := range g.reqs {
			if all {
				w.decisions[k] = w.n.degrade(w.v.table.Partition(ring.Hash(w.reqs[k].Key)), &w.reqs[k])
				all = w.decisions[k].Allowed
			}
		}
	}
	return all
}
