package cluster

import (
	"context"
	"slices"
)

// Leave takes the node out of the cluster: it hands all that it holds to the others, who forget nothing, and then goes. It
// blocks until that is done and gossip has spread it, or ctx ends; then the rest is taken from replicas, as after a crash.
// The node answers peers and callers until Run's context ends, which is up to the caller; Status says at once that it is not
// ready. It returns ErrNotReady before Run has opened the ports.
func (n *Node) Leave(ctx context.Context) error {
	n.leaving.Store(true)
	n.mu.Lock()
	g := n.gossip
	n.mu.Unlock()
	if g == nil {
		return ErrNotReady
	}
	n.log.Info("leaving")
	g.SetDraining(true) // so that the others claim what it holds, and do not take it for missing
	if err := n.poll(ctx, n.alone); err != nil {
		n.log.Warn("leaving before all is handed over", "err", err)
	}
	return g.Leave(ctx)
}

// alone says whether this node has nothing that anybody else could have.
func (n *Node) alone() bool {
	v := n.view.Load()
	if v == nil || n.has() == 0 {
		return true
	}
	return !slices.ContainsFunc(v.members, func(m *member) bool { return m.peer != nil && !m.Draining })
}
