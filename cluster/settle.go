package cluster

import (
	"context"
	"errors"
	"time"
)

const (
	settleTick  = 50 * time.Millisecond
	settleMost  = 500 // charges at a time
	settleTries = 3   // that fail before the others wait for the next time
)

// settle charges holders for what was admitted without them, until ctx ends.
func (n *Node) settle(ctx context.Context) error {
	tick := time.NewTicker(settleTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			failed := 0
			for _, d := range n.shares.dues(settleMost) {
				if failed == settleTries || n.chargeHolder(ctx, d) != nil {
					n.shares.owe(d)
					failed = min(failed+1, settleTries)
				}
			}
		}
	}
}

// chargeHolder charges the holder for d.
func (n *Node) chargeHolder(ctx context.Context, d due) error {
	a := n.newAsk(OpCharge)
	a.Checks = append(a.Checks, Check{Partition: d.part, Request: d.req})
	end := n.patience(ctx)
	err := n.ask(ctx, a, d.part, &end)
	if errors.Is(err, errSelf) {
		if now := n.now(); n.core.Holds(d.part) && n.core.Decides(now) {
			return n.store.Charge(now, int(d.part), &d.req)
		}
	}
	return err
}
