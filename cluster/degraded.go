package cluster

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// degradedRetry is what a caller is told to wait when nobody can say how long.
const degradedRetry = time.Second

// lostSince returns since when p's holder has not answered, as far as this node knows, or p has had none.
func (n *Node) lostSince(now bucket.Instant, v *view, p ring.Partition) bucket.Instant {
	holder, _ := n.core.Route(p)
	if holder == n.name {
		return now // it is the replica's keeper that does not answer
	}
	orphan := n.unheld.since(now, p)
	if m := v.member(holder); m != nil && m.lost.Load() != 0 {
		return m.lostSince(now)
	}
	return orphan
}

// unheld is since when checks of each partition have been answered without a holder, one after the other, though no member is
// taken for lost: this side of a cut has none, or a gateway knows none.
type unheld struct {
	mu   sync.Mutex
	from []bucket.Instant // of the first of them; guarded by mu
	last []atomic.Int64   // Instant of the last of them + 1, 0 if the last check was decided
	some atomic.Int64     // how many of last are not 0: as long as none is, a check does not look into a table of 128 KiB
}

func (u *unheld) init(partitions int) {
	u.from, u.last = make([]bucket.Instant, partitions), make([]atomic.Int64, partitions)
}

// unheldGap is how long there may be no check: after more a holder may have come and gone.
const unheldGap = time.Second

// since notes that a check of p is answered without a holder, and returns when the first of those one after the other was.
func (u *unheld) since(now bucket.Instant, p ring.Partition) bucket.Instant {
	u.mu.Lock()
	defer u.mu.Unlock()
	at := int64(now) + 1
	last := u.last[p].Swap(at)
	if last == 0 {
		u.some.Add(1)
	}
	if last == 0 || at-last > int64(unheldGap) {
		u.from[p] = now
	}
	return min(now, u.from[p])
}

// decided notes that a holder has decided on a check of p.
func (u *unheld) decided(p ring.Partition) {
	if u.some.Load() != 0 && u.last[p].Load() != 0 && u.last[p].Swap(0) != 0 {
		u.some.Add(-1)
	}
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
	n.decided.degraded.add(ring.Hash(req.Key), d.Allowed)
	return d
}
