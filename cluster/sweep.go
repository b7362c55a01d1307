package cluster

import (
	"context"
	"time"
)

const (
	sweepTick = 250 * time.Millisecond
	sweepTime = 30 * time.Second // in which each partition is swept once

	// clockStep is how far the wall clock may be off the monotonic one before windows follow it.
	clockStep = 20 * time.Millisecond
)

// sweep drops full buckets and reservations whose time is over, and makes windows follow the wall clock when it was set.
func (n *Node) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepTick)
	defer tick.Stop()
	each := n.core.Partitions/int(sweepTime/sweepTick) + 1
	epoch := n.base
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			now := n.now()
			n.store.Sweep(now, each)
			n.store.Expire(now)
			n.replicas.Expire(now)
			n.replicas.Sweep(now, each)
			n.shares.sweep(now)
			n.hot.look(now, n.store)
			n.watches.sweep(now)
			is := time.Now().Round(0).Add(-time.Duration(now))
			if step := is.Sub(epoch.Round(0)); step.Abs() > clockStep {
				epoch = is
				n.store.SetEpoch(epoch)
				n.replicas.SetEpoch(epoch)
				n.log.Info("wall clock was set", "took", step)
			}
		}
	}
}
