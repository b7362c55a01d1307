package core

import (
	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// conclude starts what nobody has, once all members have said so, by the same view: then there is nobody else who may. All
// replicas of the last term are merged first: two have one while the heir changes, and neither need be whole.
func (n *Core) conclude(now bucket.Instant) {
	c := &n.claim
	if c.round == 0 || len(c.waiting) > 0 {
		return
	}
	round := c.round
	c.round = 0
	for i, p := range c.wanted {
		if q := &n.parts[p]; !c.silent && !c.stuck[i] && q.round == round {
			q.doubt = false
		}
	}
	if c.missing && n.plant != plantHaste || n.unsure(now) || !n.whole() || !n.Decides(now) {
		return
	}
	var fetch map[*member][]ring.Partition
	for i, p := range c.wanted {
		q := &n.parts[p]
		if c.stuck[i] || !n.wants(p) || q.round != round || q.term == 0 && !n.mayFound(now) {
			continue
		}
		best := c.copies[i]
		if best.term > 0 && best.term >= n.best(p) && n.plant != plantOldReplica {
			if fetch == nil {
				fetch = map[*member][]ring.Partition{}
			}
			fetch[best.of] = append(fetch[best.of], ring.Partition(p))
			q.expect, q.due = best.of, now+bucket.Instant(expectFor*n.Retry)
			continue
		}
		n.recover(now, p)
	}
	for _, m := range n.order {
		if ps := fetch[m]; len(ps) > 0 {
			n.send(now, m, &Message{Kind: Fetch, Round: round, Wanted: ps})
		}
	}
}

// mayFound says whether this node may start what nobody has ever held.
func (n *Core) mayFound(now bucket.Instant) bool {
	return n.founded || n.Founder || now.Sub(n.since) >= n.Found
}

// best returns the term of the newest buckets of p that this node has, 0 if it has none.
func (n *Core) best(p int) Term {
	q := &n.parts[p]
	if q.state != away {
		return max(q.copy, q.mine)
	}
	return q.copy
}

// recover starts p, which nobody has, with what this node knows of it.
func (n *Core) recover(now bucket.Instant, p int) {
	q := &n.parts[p]
	replica := n.restore(now, p)
	had := Term(0) // by which who had it last held it, as far as what is here tells
	if replica || q.state != away {
		had = q.mine
	}
	term := max(q.term, q.saved)
	how, since, cold := Promoted, now, false
	switch {
	case q.saved > 0:
		if !replica {
			since, cold = n.Saved.Cold(p)
		}
	case q.term == 0:
		how, cold = Founded, n.lost
	case !replica && q.state == away:
		how, cold = Cold, true
	}
	n.unsave(now, p, had)
	if cold {
		n.Store.SetCold(p, since, true)
	}
	n.moved(how, "")
	if !replica {
		n.hold(p, n.newEra(now, term))
		return
	}
	n.hold(p, term.next())
}

// restore merges the replica of p, if there is one, into what this node has of p.
func (n *Core) restore(now bucket.Instant, p int) bool {
	q := &n.parts[p]
	if q.copy == 0 {
		return false
	}
	_ = n.Store.Import(now, p, n.Replicas.Export(now, p)) // an error is a full store: what does not fit starts cold
	_ = n.Store.ImportIDs(now, p, n.Replicas.ExportIDs(now, p))
	n.reserve(now, n.Store, p, n.Replicas.ExportReserved(now, p))
	q.mine = max(q.mine, q.copy)
	n.forget(p)
	return true
}

// forget drops the replica of p.
func (n *Core) forget(p int) {
	n.Replicas.Drop(p)
	n.parts[p].copy, n.parts[p].copySeq = 0, 0
}
