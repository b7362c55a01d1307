package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
)

// watch makes a new view of each member set that gossip settles on, until ctx ends.
func (n *Node) watch(ctx context.Context, g *gossip.Gossip) error {
	defer n.closePeers()
	var members []gossip.Member
	ended := endedRuns{}
	joined := n.joined
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-joined:
			joined = nil // the view may be published now
		case members = <-g.Updates():
		case run := <-n.gone:
			ended.add(run)
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
		if err := n.follow(members, ended); err != nil {
			return err
		}
		n.bury(ended)
		ended.forget(members)
	}
}

// endedRuns are the last runs of members whose processes have ended, and which gossip still takes for members.
//
// That a run has ended says nothing of an older one: that of a node whose name another one took for a moment lives.
type endedRuns map[core.Run]struct{}

// add notes that run has ended.
func (e endedRuns) add(run core.Run) { e[core.Run{ID: run.ID, Boot: run.Boot}] = struct{}{} }

// has says whether the process of m has ended.
func (e endedRuns) has(m gossip.Member) bool {
	_, ok := e[core.Run{ID: m.ID, Boot: m.Boot}]
	return ok
}

// forget forgets all who are not among members any more: gossip knows it too.
func (e endedRuns) forget(members []gossip.Member) {
	maps.DeleteFunc(e, func(r core.Run, _ struct{}) bool {
		return !slices.ContainsFunc(members, func(m gossip.Member) bool { return m.ID == r.ID && m.Boot == r.Boot })
	})
}

// bury tells the core whose processes have ended.
func (n *Node) bury(ended endedRuns) {
	if len(ended) == 0 {
		return
	}
	n.step(func(c *core.Core, now bucket.Instant) {
		for run := range ended {
			c.Gone(now, run)
		}
	})
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

// follow makes a view of members, but for those whose processes have ended, and goes by it from now on.
func (n *Node) follow(members []gossip.Member, ended endedRuns) error {
	began := time.Now()
	members = slices.DeleteFunc(slices.Clone(members), func(m gossip.Member) bool {
		return m.ID != n.name && ended.has(m)
	})
	old := n.view.Load()
	v, err := n.newView(old, members)
	if err != nil {
		return err
	}
	if old != nil && old.same(v) {
		return nil
	}
	n.view.Store(v)
	n.events.change(old, v)
	n.step(func(c *core.Core, now bucket.Instant) { c.View(now, v.core()) })
	n.retire(old, v)
	n.log.Info("members changed", "members", len(v.members), "took", time.Since(began))
	return nil
}

// core returns v as a core wants it.
func (v *view) core() core.View {
	w := core.View{Table: v.table, Heirs: v.heirs}
	for _, m := range v.members {
		w.Members = append(w.Members, core.Member{ID: m.ID, Boot: m.Boot, Draining: m.Draining, Gateway: m.Gateway})
	}
	return w
}

// newView returns the view of members, with the connections of old to those that stay.
func (n *Node) newView(old *view, members []gossip.Member) (*view, error) {
	holders := slices.DeleteFunc(slices.Clone(members), func(m gossip.Member) bool { return m.Gateway })
	stay := slices.DeleteFunc(slices.Clone(holders), func(m gossip.Member) bool { return m.Draining })
	if len(stay) == 0 {
		stay = holders
	}
	ids := idsOf(stay)
	table, err := n.rings.of(ids)
	if err != nil {
		return nil, fmt.Errorf("ring of %d members: %w", len(stay), err)
	}
	v := &view{table: table, self: -1, since: n.now()}
	if v.heirs, err = n.rings.without(table, n.name); err != nil {
		return nil, err
	}
	for i := range members {
		v.members = append(v.members, n.memberOf(old, members[i]))
	}
	slices.SortFunc(v.members, func(a, b *member) int { return cmp.Compare(a.ID, b.ID) })
	if v.self = v.index(n.name); v.self < 0 {
		return nil, fmt.Errorf("%w: this node is not a member of its own set", ErrMismatch)
	}
	return v, nil
}

func idsOf(members []gossip.Member) []ring.Member {
	ids := make([]ring.Member, len(members))
	for i := range members {
		ids[i] = members[i].ID
	}
	return ids
}

// memberOf returns m with old's connection, if old has that run of m, or a new one.
func (n *Node) memberOf(old *view, m gossip.Member) *member {
	made := &member{Member: m}
	if old != nil {
		if was := old.member(m.ID); was != nil && was.Boot == m.Boot && was.Member.Peer == m.Peer {
			if was.Member == m {
				return was
			}
			made.peer = was.peer
			made.lost.Store(was.lost.Load())
			return made
		}
	}
	if m.ID != n.name {
		made.peer = n.config.Transport.Peer(m.ID, m.Peer)
	}
	return made
}

// same says whether v and o have the same members, boots and addresses, so that nothing is to be done.
func (v *view) same(o *view) bool { return slices.Equal(v.members, o.members) }

// retire closes the connections of old that v does not use.
func (n *Node) retire(old, v *view) {
	if old == nil {
		return
	}
	for _, m := range old.members {
		uses := func(o *member) bool { return o.peer == m.peer }
		if m.peer != nil && !slices.ContainsFunc(v.members, uses) {
			m.peer.Close()
		}
	}
}

func (n *Node) closePeers() {
	if v := n.view.Load(); v != nil {
		n.retire(v, &view{})
	}
}
