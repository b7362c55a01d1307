package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/ring"
)

// Settle says what reservations came to, or renews them: each at the holder of its key, those of one holder in one message. A
// settlement that is repeated answers as the first did and does nothing. What was admitted without the
// holder, by an OnLost rule, is reserved only if the request reached it after all, and else not known. Where a holder cannot be reached within half a second the error wraps ErrPeerLost, and what it
// would have said is the zero Settled: it may be settled again. It takes at most MaxChecks settlements; other errors wrap
// ErrNotReady, those of bucket.Settlement.Check, or ctx's.
func (n *Node) Settle(ctx context.Context, s ...bucket.Settlement) ([]bucket.Settled, error) {
	if len(s) > MaxChecks {
		return nil, fmt.Errorf("%w: %d settlements at once, want at most %d", bucket.ErrConflict, len(s), MaxChecks)
	}
	for i := range s {
		if err := s[i].Check(); err != nil {
			return nil, err
		}
	}
	b := &bill{n: n, all: s, said: make([]bucket.Settled, len(s)), left: make([]int, len(s))}
	for i := range b.left {
		b.left[i] = i
	}
	end := n.patience(ctx).moving
	for len(b.left) > 0 {
		v := n.view.Load()
		if v == nil {
			return b.said, ErrNotReady
		}
		if err := b.settle(ctx, v, end); err != nil {
			return b.said, err
		}
		if len(b.left) > 0 && !n.pause(ctx, end) {
			if ctx.Err() != nil {
				return b.said, ctx.Err()
			}
			return b.said, fmt.Errorf("%w: of %d settlements %d reached no holder", ErrPeerLost, len(s), len(b.left))
		}
	}
	return b.said, nil
}

// A bill is settlements on their way.
type bill struct {
	n    *Node
	all  []bucket.Settlement
	said []bucket.Settled
	left []int // indexes into all of those that were not settled yet
}

// billed is what one member settles of a bill.
type billed struct {
	to  int // index of the member
	of  []int
	ask *Ask // nil for this node's own
}

// settle asks the holders of all that is left, as this node knows them, at once, and leaves what they did not settle.
func (b *bill) settle(ctx context.Context, v *view, end bucket.Instant) error {
	var groups []*billed
	by := make(map[int]*billed)
	for _, i := range b.left {
		to := b.n.holderIn(v, v.table.Partition(ring.Hash(b.all[i].Key)))
		if by[to] == nil {
			by[to] = &billed{to: to}
			groups = append(groups, by[to])
		}
		by[to].of = append(by[to].of, i)
	}
	b.left = b.left[:0]
	for _, g := range groups {
		b.send(v, g, end)
	}
	var failed error
	for _, g := range groups {
		if err := b.receive(ctx, v, g); err != nil {
			failed = err
		}
	}
	return failed
}

// send asks the member of g to settle.
func (b *bill) send(v *view, g *billed, end bucket.Instant) {
	m := v.members[g.to]
	if m.peer == nil {
		return
	}
	now := b.n.now()
	g.ask = b.n.newAsk(OpSettle)
	g.ask.Epoch, g.ask.Wait, g.ask.Most = v.table.Epoch(), b.n.config.PeerWait, max(end.Sub(now), 1)
	for _, i := range g.of {
		s := &b.all[i]
		g.ask.Checks = append(g.ask.Checks, Check{
			Partition: v.table.Partition(ring.Hash(s.Key)),
			Request:   bucket.Request{Key: s.Key, ID: s.ID, Cost: s.Cost, Reserve: s.Renew},
		})
	}
	m.peer.Ask(g.ask)
}

// receive notes what the member of g said. The error is of a settlement that breaks a rule, or ctx's.
func (b *bill) receive(ctx context.Context, v *view, g *billed) error {
	if g.ask == nil {
		return b.settleHere(v, g)
	}
	if err := g.ask.wait(ctx); err != nil {
		return err // the transport still has the ask
	}
	defer b.n.free(g.ask)
	m := v.members[g.to]
	if err := g.ask.Err; err != nil {
		b.n.failed(m, err)
		if b.n.isGone(m, err) {
			b.lost(g, m.ID)
		}
		b.left = append(b.left, g.of...)
		return nil
	}
	m.answered()
	switch g.ask.Answer.Status {
	case Decided:
		for k, i := range g.of {
			b.said[i] = g.ask.Checks[k].Settled
		}
	case NotHolder:
		b.learn(g, m.ID)
		b.left = append(b.left, g.of...)
	case Invalid:
		return answered(g.ask)
	}
	return nil
}

// settleHere settles what this node takes itself for the holder of.
func (b *bill) settleHere(v *view, g *billed) error {
	now := b.n.now()
	for _, i := range g.of {
		s := &b.all[i]
		err := bucket.ErrMoved
		if p := v.table.Partition(ring.Hash(s.Key)); b.n.core.Decides(now) {
			b.said[i], err = b.n.settleOne(now, p, s)
		}
		switch {
		case errors.Is(err, bucket.ErrMoved):
			b.left = append(b.left, i)
		case err != nil:
			return err
		}
	}
	return nil
}

// lost notes that the process of the member of g has ended.
func (b *bill) lost(g *billed, id ring.Member) {
	b.n.step(func(c *core.Core, _ bucket.Instant) {
		for i := range g.ask.Checks {
			c.Lost(g.ask.Checks[i].Partition, id)
		}
	})
}

// learn notes what the member of g, which is not the holder of all of it, knows.
func (b *bill) learn(g *billed, id ring.Member) {
	at := g.ask.Answer
	b.n.step(func(c *core.Core, _ bucket.Instant) {
		for i := range g.ask.Checks {
			if p := g.ask.Checks[i].Partition; len(g.ask.Checks) == 1 || at.Holder == "" {
				c.Learn(p, at.Holder, at.Term)
			} else if holder, _ := c.Holder(p); holder == id {
				c.Lost(p, holder) // which of them it was is not said: the targets know
			}
		}
	})
}

// settleOne settles s here, and makes everybody forget what was denied where it gives back.
func (n *Node) settleOne(now bucket.Instant, p ring.Partition, s *bucket.Settlement) (bucket.Settled, error) {
	said, err := n.store.Settle(now, int(p), s)
	if err != nil || said.Charged >= said.Reserved {
		return said, err
	}
	n.given.Add(1)
	if n.deniedTo.any(now, s.Key) {
		n.forgetAll(p, strings.Clone(s.Key))
	}
	return said, nil
}

// settleAll settles what a says.
func (n *Node) settleAll(now bucket.Instant, a *Ask) (err error) {
	for i := range a.Checks {
		c := &a.Checks[i]
		s := bucket.Settlement{Key: c.Request.Key, ID: c.Request.ID, Cost: c.Request.Cost, Renew: c.Request.Reserve}
		if c.Settled, err = n.settleOne(now, c.Partition, &s); err != nil {
			return err
		}
	}
	return nil
}
