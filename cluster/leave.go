package cluster

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Leave takes the node out of the cluster: it hands all that it holds to the others, who forget nothing, and then goes. It
// blocks until that is done, the replicas that it keeps are elsewhere too, for which it waits 10 s at most, and gossip has
// spread it, or ctx ends; then the rest is taken from replicas, as after a crash.
// With Config.State it saves what it has before that, and what it has yet after it: nothing where others took it over. From then
// on it decides on nothing any more, so that what is saved is the last word.
//
// The node answers peers and callers until Run's context ends, which is up to the caller; Status says at once that it is not
// ready. It returns ErrNotReady before Run has opened the ports, and ErrNotSaved where the last save failed.
func (n *Node) Leave(ctx context.Context) (err error) {
	n.leaving.Store(true)
	n.mu.Lock()
	g := n.gossip
	n.mu.Unlock()
	if g == nil {
		return ErrNotReady
	}
	n.log.Info("leaving")
	n.saveFirst(ctx)
	defer func() { err = errors.Join(err, n.saveLast()) }() //nolint:contextcheck // what is left is saved however little time there was
	n.endLeases(ctx)
	g.SetDraining(true) // so that the others claim what it holds, and do not take it for missing
	if err := n.poll(ctx, n.alone); err != nil {
		n.log.Warn("leaving before all is handed over", "err", err)
	} else if err := n.unburden(ctx); err != nil {
		n.log.Warn("leaving before the others have made all replicas anew", "replicas", n.kept())
	}
	return g.Leave(ctx)
}

// keepWait is how long a node that leaves waits for others to make anew the replicas that it keeps of what they hold. Until
// then it would be missed if their holder crashed.
const keepWait = 10 * time.Second

// unburden waits until no replica that this node keeps is the only one, or all leave: for keepWait and half of what is left of ctx at
// most.
func (n *Node) unburden(ctx context.Context) error {
	wait := keepWait
	if end, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(end)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return n.poll(ctx, func() bool { return !n.keeps() || !n.outlived() })
}

// alone says whether this node has nothing that anybody else could have.
func (n *Node) alone() bool {
	v := n.view.Load()
	if v == nil || n.drained() {
		return true
	}
	return !n.outlived()
}

// outlived says whether another member holds keys and does not leave too.
func (n *Node) outlived() bool {
	v := n.view.Load()
	return v != nil && slices.ContainsFunc(v.members, func(m *member) bool { return m.peer != nil && !m.Draining && !m.Gateway })
}
