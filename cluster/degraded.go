package cluster

import (
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// degradedRetry is what a caller is told to wait when nobody can say how long.
const degradedRetry = time.Second

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
			d = n.shares.take(now, v.members[v.target(p)].lostSince(now), len(v.members), req)
		}
	}
	if !d.Allowed && d.RetryAfter == 0 {
		d.RetryAfter = degradedRetry
	}
	d.Degraded, d.Source, d.Node = true, bucket.FromDegraded, string(n.name)
	return d
}
