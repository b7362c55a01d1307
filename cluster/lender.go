package cluster

import (
	"context"
	"errors"
	"strings"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/ring"
)

// lend lends to from what a asks for, and takes back what it brings.
func (n *Node) lend(now bucket.Instant, from ring.Member, a *Ask) error {
	if len(a.Checks) != 1 || a.Rest < 0 || a.Back < 0 || a.Checks[0].Request.Durability == bucket.Sync {
		return errors.New("it lends: want one check, which is not sync, and rest and back of 0 or more")
	}
	if !n.core.Decides(now + bucket.Instant(core.LeaseFor+core.LeaseFor/8)) {
		return errors.New("it lends nothing while it does not hear from more than half of the members")
	}
	c := &a.Checks[0]
	ln := bucket.Lending{To: string(from), Serial: a.Hold, Rest: a.Rest, Back: a.Back, For: core.LeaseFor}
	d, err := n.store.Lend(now, int(c.Partition), &c.Request, &ln)
	switch {
	case err != nil:
		return err
	case ln.Held < 0:
		return errors.New("it has come late")
	}
	c.Decision, a.Answer.Held, a.Answer.Next = d, ln.Held, ln.Next
	if ln.Next > 0 {
		n.copyLent(c.Partition, &c.Request, ln)
	}
	if a.Back > 0 {
		n.given.Add(1)
		if n.deniedTo.any(now, c.Request.Key) {
			n.forgetAll(c.Partition, c.Request.Key)
		}
	}
	return nil
}

// copyLent tells the heir of what was set aside by ln of the bucket of r, which is lent only then: so what is spent of a lease
// is never unknown to the next holder. It does not wait.
func (n *Node) copyLent(p ring.Partition, r *bucket.Request, ln bucket.Lending) {
	key := strings.Clone(r.Key)
	if r.Durability == bucket.Ephemeral {
		n.store.Lent(int(p), key, &ln)
		return
	}
	c := copying{part: p, req: &bucket.Request{Key: key}, end: n.now() + bucket.Instant(n.config.PeerWait)}
	if !n.copyOut(&c) { // nobody is there to keep a replica
		n.store.Lent(int(p), key, &ln)
		return
	}
	n.holding.beside(func() {
		if kept, _ := n.arrived(context.Background(), &c, 0); kept {
			n.store.Lent(int(p), key, &ln)
		}
	})
}
