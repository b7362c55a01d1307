package cluster

import "github.com/noriahq/noria/ring"

// Missing returns the ids of those that were members in the last 24 hours and went without a farewell: dead, or cut off. They
// may come back. Before Run has opened the node's ports there are none.
func (n *Node) Missing() []ring.Member {
	n.mu.Lock()
	g := n.gossip
	n.mu.Unlock()
	if g == nil {
		return nil
	}
	var ids []ring.Member
	for _, m := range g.View().Missing {
		ids = append(ids, m.ID)
	}
	return ids
}
