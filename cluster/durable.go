package cluster

import (
	"context"
	"errors"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/ring"
)

// A copying is an answer that waits until the heir of its partition knows what it took.
type copying struct {
	part ring.Partition
	op   Op // by which it was taken, or given back
	req  *bucket.Request
	d    *bucket.Decision
	end  bucket.Instant // until when it may wait

	out core.Out
	m   *member
	ask *Ask // nil if nothing could be sent
}

// isDurable says whether the answer to r, decided as d by op, has to wait for a replica.
func isDurable(op Op, r *bucket.Request, d *bucket.Decision) bool {
	return r.Durability == bucket.Sync && (d.Allowed || op == OpDrain) && r.Cost > 0
}

// id returns the request id under which the replica is to remember it.
func (c *copying) id() string {
	if c.op == OpGive {
		return bucket.GiveID(c.req.ID)
	}
	return c.req.ID
}

// unkept makes the answer of c one by its OnLost rule, because no replica knows of what was taken: which stays taken, so nothing is
// admitted twice. What was given back, or drained, only says so.
func (n *Node) unkept(c *copying) {
	if c.op == OpTake {
		*c.d = n.degrade(c.part, c.req)
		return
	}
	c.d.Degraded = true
}

// copyOut sends the bucket of c, which this node holds, to its heir, and says whether there is one to send it to. c.ask is
// nil if it could not be sent.
func (n *Node) copyOut(c *copying) (needed bool) {
	n.holding.mu.Lock()
	out, ok := n.core.Copy(n.now(), c.part, c.req.Key, c.id(), c.op == OpGive)
	n.holding.mu.Unlock()
	if !ok {
		return false
	}
	c.out, c.m, c.ask = out, nil, nil
	if v := n.view.Load(); v != nil {
		c.m = v.member(out.To)
	}
	left := c.end.Sub(n.now())
	if c.m == nil || c.m.peer == nil || left <= 0 {
		n.told(out, nil)
		return true
	}
	c.ask = n.newAsk(OpTell)
	c.ask.Body, c.ask.Wait = out.Msg.Append(nil), min(n.config.PeerWait, left)
	c.m.peer.Ask(c.ask)
	return true
}

// arrived waits until the heir has the replica, for Config.PeerWait at most, and says whether it has. With again there is
// another heir in a moment: the process of this one has just ended, or it is not fresh yet and this one does not know that
// it is the heir, as when it has just joined, or knows of another holder, as when the partition has just moved.
func (n *Node) arrived(ctx context.Context, c *copying, fresh bucket.Instant) (kept, again bool) {
	if c.ask == nil {
		return false, c.out.To != "" && n.now() < fresh // else somebody else holds the partition
	}
	select {
	case <-c.ask.done:
	case <-ctx.Done():
		sent := *c // the transport still has its ask
		n.holding.beside(func() {
			<-sent.ask.done
			n.told(sent.out, n.replied(sent.m, sent.ask))
		})
		return false, false
	}
	err := c.ask.Err
	r := n.replied(c.m, c.ask)
	n.told(c.out, r)
	now := n.now()
	switch {
	case errors.Is(err, ErrPeerLost):
		return false, now.Sub(c.m.lostSince(now)) < goneWait
	case r == nil:
		return false, false
	}
	kept = r.Known && len(r.Over) == 0
	return kept, !kept && now < fresh
}

// endure waits until the heirs know what all have taken, and answers by their OnLost rules those whose heir does not say
// that it does: what was taken stays taken then, so nothing is admitted twice. All replicas are sent before the first is
// waited for. An heir whose process has ended, or who does not know yet that it is one, is followed by another one in a
// moment: for that it waits for as long as this is new, goneWait and moveWait. It writes to all.
func (n *Node) endure(ctx context.Context, all []copying) {
	fresh := n.now() + bucket.Instant(max(n.config.PeerWait, moveWait))
	for {
		sent := all[:0]
		for _, c := range all {
			if n.copyOut(&c) {
				sent = append(sent, c)
			}
		}
		all = sent[:0]
		var end bucket.Instant
		for _, c := range sent {
			kept, again := n.arrived(ctx, &c, fresh)
			switch {
			case kept:
			case again && n.now() < c.end:
				all, end = append(all, c), max(end, c.end)
			default:
				n.unkept(&c)
			}
		}
		if len(all) == 0 {
			return
		}
		if !n.pauseFor(ctx, end, pauseTold) {
			break
		}
	}
	for _, c := range all {
		n.unkept(&c)
	}
}

// endureOne is endure for the answer d to req, and returns it. With end nil its patience begins now.
func (n *Node) endureOne(ctx context.Context, p ring.Partition, req bucket.Request, d bucket.Decision, end *patience) bucket.Decision {
	if end == nil {
		now := n.patience(ctx)
		end = &now
	}
	n.endure(ctx, []copying{{part: p, req: &req, d: &d, end: end.moving}})
	return d
}

// endureAll is endure for what other nodes have asked. It leaves them time to hear of it.
func (n *Node) endureAll(asks []Ask) {
	var all []copying
	for i := range asks {
		a := &asks[i]
		if a.Op != OpTake && a.Op != OpGive && a.Op != OpDrain || a.Answer.Status != Decided {
			continue
		}
		for k := range a.Checks {
			check := &a.Checks[k]
			if !isDurable(a.Op, &check.Request, &check.Decision) {
				continue
			}
			wait := min(max(n.config.PeerWait, moveWait), a.Wait-a.Wait/8)
			all = append(all, copying{part: check.Partition, op: a.Op, req: &check.Request, d: &check.Decision, end: n.now() + bucket.Instant(wait)})
		}
	}
	if len(all) > 0 {
		n.endure(context.Background(), all)
	}
}
