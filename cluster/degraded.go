package cluster

import (
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// degradedRetry is what a caller is told to wait when nobody can say how long.
const degradedRetry = time.Second

// lostSince returns since when p's holder has not answered, as far as this node knows.
func (n *Node) lostSince(now bucket.Instant, v *view, p ring.Partition) bucket.Instant {
	if holder, _ := n.core.Route(p); holder != "" {
		if m := v.member(holder); m != nil {
			return m.lostSince(now)
		}
	}
	return now
}

// degrade answers req, whose holder does not, by its OnLost rule.
func (n *Node) degrade(p ring.Partition, req *bucket.Request) bucket.Decision {
	n.degraded.Add(1)
	d := bucket.Decision{Allowed: req.Cost == 0}
	switch req.OnLost {
	case bucket.Deny: // d says it already
	case bucket.Allow:
		d.Allowed = true
	case bucket.Share:
		if v := n.view.Load(); v != nil {
			now := n.now()
			d = n.shares.take(now, n.lostSince(now, v, p), max(n.core.Counted(), 1), p, req)
		}
	}
	if !d.Allowed && d.RetryAfter == 0 {
		d.RetryAfter = degradedRetry
	}
	d.Degraded, d.Source, d.Node = true, bucket.FromDegraded, string(n.name)
	return d
}
