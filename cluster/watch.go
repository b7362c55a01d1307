package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
)

// watch makes a new view of each member set that gossip settles on, until ctx ends.
func (n *Node) watch(ctx context.Context, g *gossip.Gossip) error {
	defer n.closePeers()
	var members []gossip.Member
	joined := n.joined
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-joined:
			joined = nil // the view may be published now
		case members = <-g.Updates():
		}
		if err := n.contest(ctx, g.View().Conflicts); err != nil {
			return err
		}
		if joined != nil && len(members) > 1 {
			n.setJoined() // others have found this node
			joined = nil
		}
		if joined != nil || len(members) == 0 {
			continue
		}
		if err := n.follow(members); err != nil {
			return err
		}
	}
}

// contest returns an error that wraps ErrNameTaken if this node is the newer of two that have its name and the older one
// is alive. Who is only not missed yet, because the node came back elsewhere, does not answer.
func (n *Node) contest(ctx context.Context, conflicts []gossip.Conflict) error {
	for _, c := range conflicts {
		if c.Newer.ID != n.name || c.Newer.Boot != n.boot {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, greetWait)
		h, err := n.config.Transport.Greet(ctx, c.Older.Peer)
		cancel()
		if err == nil && h.ID == n.name && h.Boot == c.Older.Boot {
			return fmt.Errorf("%w: %q lives at %s; every node needs a name of its own", ErrNameTaken, n.name, c.Older.Gossip)
		}
	}
	return nil
}

// greetWait is how long a node is given to say that it lives.
const greetWait = time.Second

// follow makes a view of members and goes by it from now on.
func (n *Node) follow(members []gossip.Member) error {
	began := time.Now()
	old := n.view.Load()
	v, err := n.newView(old, members)
	if err != nil {
		return err
	}
	if old != nil && old.same(v) {
		return nil
	}
	moved := n.rehold(old, v)
	n.view.Store(v)
	n.retire(old, v)
	n.log.Info("members changed", "members", len(v.members), "moved", moved, "took", time.Since(began))
	return nil
}

// newView returns the view of members, with the connections of old to those that stay.
func (n *Node) newView(old *view, members []gossip.Member) (*view, error) {
	ids := make([]ring.Member, len(members))
	for i := range members {
		ids[i] = members[i].ID
	}
	table, err := n.builder.Table(ids)
	if err != nil {
		return nil, fmt.Errorf("ring of %d members: %w", len(members), err)
	}
	v := &view{table: table, members: make([]*member, len(table.Members()))}
	for i := range members {
		at, _ := table.Index(members[i].ID)
		v.members[at] = n.memberOf(old, members[i])
	}
	self, ok := table.Index(n.name)
	if !ok {
		return nil, fmt.Errorf("%w: this node is not a member of its own set", ErrMismatch)
	}
	v.self = self
	return v, nil
}

// memberOf returns m with old's connection, if old has m as it is, or a new one.
func (n *Node) memberOf(old *view, m gossip.Member) *member {
	if old != nil {
		if was := old.member(m.ID); was != nil && was.Boot == m.Boot && was.Member.Peer == m.Peer {
			return was
		}
	}
	made := &member{Member: m}
	if m.ID != n.name {
		made.peer = n.config.Transport.Peer(m.ID, m.Peer)
	}
	return made
}

// same says whether v and o have the same members, boots and addresses, so that nothing is to be done.
func (v *view) same(o *view) bool { return slices.Equal(v.members, o.members) }

// rehold makes the store hold what v names this node for and nothing else. It returns how many partitions came or went.
//
// This is the one place where buckets are forgotten: what comes starts empty-handed, with full buckets, and what goes is
// dropped instead of being handed on.
func (n *Node) rehold(old, v *view) (moved int) {
	for i := range n.terms {
		p := ring.Partition(i)
		had, has := old != nil && old.mine(p), v.mine(p)
		switch {
		case has && !had:
			n.terms.begin(p)
			n.store.Hold(i)
			moved++
		case had && !has:
			n.store.Freeze(i)
			n.store.Drop(i)
			moved++
		}
	}
	return moved
}

// retire closes the connections of old that v does not use.
func (n *Node) retire(old, v *view) {
	if old == nil {
		return
	}
	for _, m := range old.members {
		if m.peer != nil && !slices.Contains(v.members, m) {
			m.peer.Close()
		}
	}
}

func (n *Node) closePeers() {
	if v := n.view.Load(); v != nil {
		n.retire(v, &view{})
	}
}
