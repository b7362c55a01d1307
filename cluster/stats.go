package cluster

import (
	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/cluster/gossip"
)

// Stats are what a node has counted, beyond its Status. They are for who looks after it.
type Stats struct {
	Partitions core.Standing // that it holds, wants, keeps replicas of
	Ring       int           // partitions of the whole ring that have a target
	Buckets    bucket.Stats  // of what it holds
	Replicas   bucket.Stats  // of what others hold
	Lent       bucket.Loans  // of what it holds, to others
	Borrowed   Borrowed
	Gossip     gossip.Health

	MaxKeys, MaxReservations int // the most of Buckets.Keys and Buckets.Reservations
}

// Borrowed is what others have lent to a node, and it may spend alone.
type Borrowed struct {
	Keys   int
	Tokens int64
}

// Stats returns what the node has counted. It looks at all partitions and leases, which takes some 100 us: it is for who asks
// now and then.
func (n *Node) Stats() Stats {
	now := n.now()
	s := Stats{
		Buckets: n.store.Stats(), Replicas: n.replicas.Stats(), Lent: n.store.Loans(now), Borrowed: n.leases.borrowed(now),
	}
	s.MaxKeys, s.MaxReservations = n.store.Most()
	n.mu.Lock()
	g := n.gossip
	n.mu.Unlock()
	if g != nil {
		s.Gossip = g.Health()
	}
	if v := n.view.Load(); v != nil && len(v.table.Members()) > 0 {
		s.Ring = v.table.Params().Partitions
	}
	n.holding.mu.Lock()
	defer n.holding.mu.Unlock()
	s.Partitions = n.core.Standing(now)
	return s
}

// borrowed returns what t has at now.
func (t *leases) borrowed(now bucket.Instant) (all Borrowed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.active {
		if left := l.Left(); now < l.Until() && left > 0 {
			all.Keys++
			all.Tokens += left
		}
	}
	return all
}
