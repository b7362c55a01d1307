package cluster

import "context"

// Leave takes the node out of the cluster: the others follow at once, instead of missing it some seconds later. It blocks
// until gossip has spread that, or ctx ends. The node answers peers and callers until Run's context ends, which is up to
// the caller; Status says at once that it is not ready. It returns ErrNotReady before Run has opened the ports.
func (n *Node) Leave(ctx context.Context) error {
	n.leaving.Store(true)
	n.mu.Lock()
	g := n.gossip
	n.mu.Unlock()
	if g == nil {
		return ErrNotReady
	}
	n.log.Info("leaving")
	g.SetDraining(true) // so that nobody takes it for missing
	return g.Leave(ctx)
}
