package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/noriahq/noria/bucket"
)

// agreeWait is how long a node waits for others to follow it before it serves nevertheless.
const agreeWait = 5 * time.Second

// announce closes ready once the node has a view and the others go by the same.
func (n *Node) announce(ctx context.Context) error {
	if err := n.poll(ctx, func() bool { return n.view.Load() != nil }); err != nil {
		return err
	}
	if err := n.awaitHolder(ctx); err != nil {
		return err
	}
	if err := n.agree(ctx); err != nil {
		return err
	}
	if err := n.settled(ctx); err != nil {
		return err
	}
	close(n.ready)
	n.log.Info("serving", "members", len(n.Status().Members))
	return nil
}

// settled returns when this node has all that it should hold, and what it had saved is merged where it belongs, or after a
// while nevertheless: what it lacks others decide on.
func (n *Node) settled(ctx context.Context) error {
	soon, cancel := context.WithTimeout(ctx, 2*agreeWait)
	defer cancel()
	err := n.poll(soon, func() bool { return !n.lacks() && n.unmerged() == 0 })
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		n.log.Warn("not all partitions have come, serving nevertheless", "took", 2*agreeWait)
		return nil
	}
	return err
}

// agree returns when all holders that answer go by this node's ring. As long as they do not, two nodes may take
// themselves for the holder of one key. It gives up waiting after agreeWait, and returns an error only for ctx.
func (n *Node) agree(ctx context.Context) error {
	soon, cancel := context.WithTimeout(ctx, agreeWait)
	defer cancel()
	err := n.poll(soon, func() bool { return n.agreed(soon) })
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		n.log.Warn("other members go by another ring, serving nevertheless", "took", agreeWait)
		return nil
	}
	return err
}

// agreed asks all holders for the epoch of their ring and says whether those that answer have this node's.
func (n *Node) agreed(ctx context.Context) bool {
	v := n.view.Load()
	if v == nil {
		return false
	}
	var asks []*Ask
	for _, m := range v.holders() {
		if m.peer == nil {
			continue
		}
		a := n.newAsk(OpTake)
		a.Epoch, a.Wait = v.table.Epoch(), n.config.PeerWait
		a.Checks = append(a.Checks, Check{Request: bucket.Request{Key: "?", Limit: bucket.Limit{Burst: 1}}})
		m.peer.Ask(a)
		asks = append(asks, a)
	}
	same := true
	for _, a := range asks {
		select {
		case <-a.done:
			same = same && (a.Err != nil || a.Answer.Epoch == v.table.Epoch())
			n.free(a)
		case <-ctx.Done():
			return false
		}
	}
	return same
}
