package cluster

import (
	"context"
	"errors"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/ring"
)

// A copying is the replica of one bucket that an answer waits for.
type copying struct {
	out core.Out
	m   *member
	ask *Ask
}

// isDurable says whether the answer to r, decided as d, has to wait for a replica.
func isDurable(r *bucket.Request, d *bucket.Decision) bool {
	return r.Durability == bucket.Sync && d.Allowed && r.Cost > 0
}

// copyOut sends the bucket of key, which this node holds, to its heir, and returns nil if there is none to send it to. ok is
// false if it could not be sent.
func (n *Node) copyOut(p ring.Partition, key string) (c *copying, ok bool) {
	n.holding.mu.Lock()
	out, ok := n.core.Copy(n.now(), p, key)
	n.holding.mu.Unlock()
	if !ok {
		return nil, true
	}
	c = &copying{out: out}
	if v := n.view.Load(); v != nil {
		c.m = v.member(out.To)
	}
	if c.m == nil || c.m.peer == nil {
		n.told(out, nil)
		return nil, false
	}
	c.ask = n.newAsk(OpTell)
	c.ask.Body, c.ask.Wait = out.Msg.Append(nil), n.config.PeerWait
	c.m.peer.Ask(c.ask)
	return c, true
}

// arrived waits until the heir has the replica, for Config.PeerWait at most, and says whether it has. silent says that the
// heir did not answer at all.
func (n *Node) arrived(c *copying) (ok, silent bool) {
	<-c.ask.done
	silent = errors.Is(c.ask.Err, ErrPeerSilent)
	r := n.replied(c.m, c.ask)
	n.told(c.out, r)
	return r != nil && r.Known && len(r.Over) == 0, silent
}

// endure waits until the heir of p knows what d has taken, and answers by the OnLost rule of req if it does not answer: what
// was taken stays taken then, so nothing is admitted twice. An heir whose process has ended, or who does not know yet that
// it is one, is followed by another one in a moment: for that it waits until end.
func (n *Node) endure(p ring.Partition, req *bucket.Request, d bucket.Decision, end bucket.Instant) bucket.Decision {
	for {
		c, ok := n.copyOut(p, req.Key)
		if ok && c == nil {
			return d
		}
		if ok {
			arrived, silent := n.arrived(c)
			if arrived {
				return d
			}
			if silent {
				break
			}
		}
		if !n.pauseFor(context.Background(), end, pauseTold) {
			break
		}
	}
	return n.degrade(p, req)
}

// endureEnd returns until when an answer may wait for somebody to keep what it took.
func (n *Node) endureEnd() bucket.Instant {
	return n.now() + bucket.Instant(max(n.config.PeerWait, moveWait))
}

// endureAll is endure for what other nodes have asked: all replicas are sent before the first is waited for.
func (n *Node) endureAll(asks []Ask) {
	type waiting struct {
		check *Check
		c     *copying
	}
	var all []waiting
	for i := range asks {
		if asks[i].Op != OpTake || asks[i].Answer.Status != Decided {
			continue
		}
		for k := range asks[i].Checks {
			check := &asks[i].Checks[k]
			if !isDurable(&check.Request, &check.Decision) {
				continue
			}
			if c, ok := n.copyOut(check.Partition, check.Request.Key); !ok || c != nil {
				all = append(all, waiting{check, c})
			}
		}
	}
	if len(all) == 0 {
		return
	}
	end := n.endureEnd()
	for _, w := range all {
		arrived, silent := false, false
		if w.c != nil {
			arrived, silent = n.arrived(w.c)
		}
		switch {
		case arrived:
		case silent:
			w.check.Decision = n.degrade(w.check.Partition, &w.check.Request)
		default:
			w.check.Decision = n.endure(w.check.Partition, &w.check.Request, w.check.Decision, end)
		}
	}
}
