package cluster

import (
	"sync/atomic"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// A Count is how many checks were decided on, by what came of them.
type Count struct {
	Allowed uint64 `json:"allowed"`
	Denied  uint64 `json:"denied"`
}

// Total returns how many there were.
func (c Count) Total() uint64 { return c.Allowed + c.Denied }

// Decisions counts the checks that a node was asked for since it started, by who decided. Each limit of an all-or-nothing check
// counts as one where all were allowed, and those that denied where not.
type Decisions struct {
	Here     Count `json:"here"`     // by this node, as the holder
	Asked    Count `json:"asked"`    // by a holder elsewhere, that was asked
	Lease    Count `json:"lease"`    // by what a holder has lent: all were allowed
	Denial   Count `json:"denial"`   // by what a holder had denied before: none was allowed
	Degraded Count `json:"degraded"` // without the holder, by the rule on_lost

	// Peers are the checks that other nodes were asked for, and which this one decided on as the holder. They are counted there too.
	Peers Count `json:"peers"`
}

// Sum returns what came of all checks that this node was asked for.
func (d *Decisions) Sum() (allowed, denied, degraded uint64) {
	allowed = d.Here.Allowed + d.Asked.Allowed + d.Lease.Allowed + d.Denial.Allowed
	denied = d.Here.Denied + d.Asked.Denied + d.Lease.Denied + d.Denial.Denied
	return allowed, denied, d.Degraded.Total()
}

// tallies are many counters of one thing, by the hash of the key, so that cores which decide on different keys do not wait for
// each other: counting is one addition, in the cache, of some 5 ns.
type tallies [1 << 6]tally

type tally struct {
	allowed, denied atomic.Uint64
	_               [48]byte // a line of the cache for each
}

// add counts a decision on a key with the hash h.
func (t *tallies) add(h uint64, allowed bool) {
	at := &t[h>>32%uint64(len(t))]
	if allowed {
		at.allowed.Add(1)
		return
	}
	at.denied.Add(1)
}

func (t *tallies) sum() (c Count) {
	for i := range t {
		c.Allowed += t[i].allowed.Load()
		c.Denied += t[i].denied.Load()
	}
	return c
}

// A decidedChecks counts what was decided on by who is asked here.
type decidedChecks struct {
	here, asked, degraded tallies
	peers                 tally
}

// countHere counts d, which this node has decided on a key with the hash h.
func (n *Node) countHere(h uint64, d *bucket.Decision) {
	if !d.Degraded { // else the replica's keeper did not answer, and degrade has counted it
		n.decided.here.add(h, d.Allowed)
	}
}

// countAll counts what came of reqs, an all-or-nothing check.
func (n *Node) countAll(reqs []bucket.Request, ds bucket.Decisions) {
	all := true
	for i := range ds {
		all = all && ds[i].Allowed
	}
	for i := range ds {
		d := &ds[i]
		if all || !d.Allowed {
			n.see(ring.Hash(reqs[i].Key), &reqs[i], d)
		}
		if !all && d.Allowed || d.Source != bucket.FromHolder {
			continue // it took nothing; or it is counted where it was decided
		}
		h := ring.Hash(reqs[i].Key)
		if d.Node == string(n.name) {
			n.decided.here.add(h, d.Allowed)
		} else {
			n.decided.asked.add(h, d.Allowed)
		}
	}
}

// countPeers counts what this node decided for others.
func (n *Node) countPeers(asks []Ask) {
	var c Count
	for i := range asks {
		a := &asks[i]
		if a.Op != OpTake || a.Answer.Status != Decided {
			continue
		}
		for k := range a.Checks {
			if a.Checks[k].Decision.Allowed {
				c.Allowed++
			} else {
				c.Denied++
			}
		}
	}
	if c.Allowed > 0 {
		n.decided.peers.allowed.Add(c.Allowed)
	}
	if c.Denied > 0 {
		n.decided.peers.denied.Add(c.Denied)
	}
}

// Decisions returns how many checks the node was asked for, by who decided.
func (n *Node) Decisions() Decisions {
	return Decisions{
		Here: n.decided.here.sum(), Asked: n.decided.asked.sum(), Degraded: n.decided.degraded.sum(),
		Lease:  Count{Allowed: n.leases.checks()},
		Denial: Count{Denied: n.denials.repeated.Load()},
		Peers:  Count{n.decided.peers.allowed.Load(), n.decided.peers.denied.Load()},
	}
}
