package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// GiveBack gives req.Cost tokens back to the bucket of req.Key, for who was charged for more than it came to and has no reservation of
// it (see Settle, which knows what was charged). The bucket is filled up to full and no further, or to what is lent of it. The
// Decision is allowed and says what is there afterwards. Whoever may call this may have as many tokens as there are, so it is not
// for clients to ask for: of the network's APIs only those have it whose users expect it.
//
// It is done at the holder alone, and by no OnLost rule. Where that cannot be reached within half a second the error wraps
// ErrPeerLost or another of the Transport's errors, and what became of it is not known: with an ID it may be said again, and gives
// once. Where the Durability is Sync and the replica does not say that it knows, the Decision is Degraded: the tokens are back, and
// may be missing again if the holder dies now. Other errors wrap ErrNotReady, ErrOld, those of bucket.Request.CheckGive, or ctx's.
func (n *Node) GiveBack(ctx context.Context, req bucket.Request) (bucket.Decision, error) {
	return n.moveAt(ctx, OpGive, &req)
}

// Drain takes as much of req.Cost as is there, at the holder and as one decision: it is allowed if that was all of it. The Cost may be
// more than the limit ever has. It is for those who count what was refused as used up. Errors are those of GiveBack.
func (n *Node) Drain(ctx context.Context, req bucket.Request) (bucket.Decision, error) {
	return n.moveAt(ctx, OpDrain, &req)
}

// moveAt does op with r at its holder.
func (n *Node) moveAt(ctx context.Context, op Op, r *bucket.Request) (d bucket.Decision, err error) {
	v := n.view.Load()
	if v == nil {
		return d, ErrNotReady
	}
	if err := r.CheckGive(); err != nil {
		return d, err
	}
	p := v.table.Partition(ring.Hash(r.Key))
	for end := n.patience(ctx); ; {
		a := n.newAsk(op)
		a.Checks = append(a.Checks, Check{Partition: p, Request: *r})
		err := n.ask(ctx, a, p, &end)
		switch {
		case err == nil:
			d = a.Checks[0].Decision
			d.Node = string(a.Answer.Holder)
			n.free(a)
			n.denials.forget(n.now(), r.Key)
			return d, nil
		case !errors.Is(err, errSelf):
			return d, err // after ctx's error the transport still has the ask
		}
		n.free(a)
		if d, err = n.moveHere(ctx, op, p, r, &end); !errors.Is(err, bucket.ErrMoved) {
			return d, err
		}
		if !n.pause(ctx, end.moving) {
			if ctx.Err() != nil {
				return bucket.Decision{}, ctx.Err()
			}
			return bucket.Decision{}, fmt.Errorf("%w: partition %d is on its way", ErrPeerLost, p)
		}
	}
}

// moveHere does op with r in this node's own store. The error wraps bucket.ErrMoved if this node may not.
func (n *Node) moveHere(ctx context.Context, op Op, p ring.Partition, r *bucket.Request, end *patience) (d bucket.Decision, err error) {
	now := n.now()
	if !n.core.Decides(now) {
		return d, bucket.ErrMoved
	}
	if d, err = n.moveOne(now, op, p, r); err != nil {
		return d, err
	}
	d.Node = string(n.name)
	if isDurable(op, r, &d) {
		n.endure(ctx, []copying{{part: p, op: op, req: r, d: &d, end: end.moving}})
	}
	return d, nil
}

// move does what a, which another node asks, wants of its only check.
func (n *Node) move(now bucket.Instant, a *Ask) (err error) {
	if len(a.Checks) != 1 {
		return fmt.Errorf("it gives or drains: want one check, not %d", len(a.Checks))
	}
	c := &a.Checks[0]
	c.Decision, err = n.moveOne(now, a.Op, c.Partition, &c.Request)
	return err
}

// moveOne does op with r, and makes everybody forget what was denied where it gives back.
func (n *Node) moveOne(now bucket.Instant, op Op, p ring.Partition, r *bucket.Request) (d bucket.Decision, err error) {
	if op == OpDrain {
		_, d, err = n.store.Drain(now, int(p), r)
		return d, err
	}
	given, d, err := n.store.Give(now, int(p), r)
	if err != nil || given == 0 {
		return d, err
	}
	n.given.Add(1)
	if n.deniedTo.any(now, r.Key) {
		n.forgetAll(p, strings.Clone(r.Key))
	}
	return d, nil
}
