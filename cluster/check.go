package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// Check decides on req: here if this node holds its key, otherwise at the holder. It waits Config.PeerWait for one that
// is silent, half a second for one that is slow or about to change, and then answers by req.OnLost. Errors wrap
// ErrNotReady, those of bucket.Request.Check, or ctx's; a refusal is a Decision. What the holder has denied is denied
// here until its RetryAfter has passed, and of a key that is asked for often here what the holder has lent is admitted here,
// both without asking it and in some 100 ns.
func (n *Node) Check(ctx context.Context, req bucket.Request) (d bucket.Decision, err error) {
	v := n.view.Load()
	if v == nil {
		return d, ErrNotReady
	}
	h := ring.Hash(req.Key)
	p := v.table.Partition(h)
	if n.core.Holds(p) {
		err = n.takeHere(ctx, p, &req, nil, &d)
		if err == nil {
			n.countHere(h, &d)
			n.see(h, &req, &d)
			return d, nil
		}
		if !errors.Is(err, bucket.ErrMoved) {
			return d, err
		}
	}
	if n.spend(h, &req, &d) {
		n.see(h, &req, &d)
		return d, nil
	}
	d, err = n.checkAway(ctx, h, p, req)
	if err == nil {
		n.see(h, &req, &d)
	}
	return d, err
}

// Peek tells the level of key's bucket under limit l and takes nothing. Errors are those of Check.
func (n *Node) Peek(ctx context.Context, key string, l bucket.Limit) (bucket.Decision, error) {
	return n.Check(ctx, bucket.Request{Key: key, Limit: l})
}

// Wait is Check for those who would rather wait than be denied: it returns once req is allowed, and after any
// Decision.Delay. It returns an error that wraps ErrTooLate, at once and with nothing taken, if ctx ends before that can
// be, or if no waiting helps; and those of Check. Callers that wait for one key are not served in any order.
func (n *Node) Wait(ctx context.Context, req bucket.Request) (bucket.Decision, error) {
	for {
		d, err := n.Check(ctx, req)
		if err != nil {
			return d, err
		}
		if d.Allowed {
			return d, n.sleep(ctx, d.Delay)
		}
		if d.RetryAfter == bucket.Never {
			return d, fmt.Errorf("%w: the tokens never will be", ErrTooLate)
		}
		if end, ok := ctx.Deadline(); ok && time.Until(end) < d.RetryAfter {
			return d, fmt.Errorf("%w: %v from now", ErrTooLate, d.RetryAfter)
		}
		if err := n.sleep(ctx, max(d.RetryAfter, minRetry)); err != nil {
			return d, err
		}
	}
}

// minRetry keeps those who wait from asking more often than a clock ticks.
const minRetry = time.Millisecond

// sleep waits for d, or until ctx ends.
func (n *Node) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Reset makes the bucket of key full again. It returns an error that wraps ErrPeerLost or another of the Transport's
// errors if the holder could not be told, ErrNotReady, bucket.ErrKey, or ctx's.
func (n *Node) Reset(ctx context.Context, key string) error {
	v := n.view.Load()
	if v == nil {
		return ErrNotReady
	}
	if err := bucket.CheckKey(key); err != nil {
		return err
	}
	p := v.table.Partition(ring.Hash(key))
	end := n.patience(ctx)
	for {
		a := n.newAsk(OpReset)
		a.Checks = append(a.Checks, Check{Partition: p, Request: bucket.Request{Key: key}})
		err := n.ask(ctx, a, p, &end)
		if !errors.Is(err, errSelf) {
			n.denials.forget(n.now(), key)
			return err
		}
		n.free(a)
		if err := n.resetHere(p, key); !errors.Is(err, bucket.ErrMoved) {
			return err
		}
		if !n.pause(ctx, end.moving) {
			return fmt.Errorf("%w: partition %d is on its way", ErrPeerLost, p)
		}
	}
}
