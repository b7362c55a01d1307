package cluster

import (
	"errors"
	"fmt"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// Hello implements Handler: it refuses nodes that do not fit this cluster.
func (n *Node) Hello(h Hello) error {
	mine := n.hello()
	switch {
	case !h.meets(mine):
		return fmt.Errorf("%w: %s speaks protocol %s, %s speaks %s", ErrMismatch, h.ID, h.spoken(), mine.ID, mine.spoken())
	case h.Label != mine.Label:
		return fmt.Errorf("%w: %s is of cluster %q, %s of %q", ErrMismatch, h.ID, h.Label, mine.ID, mine.Label)
	case h.Ring != mine.Ring:
		return fmt.Errorf("%w: %s has the ring %q, %s has %q", ErrMismatch, h.ID, h.Ring, mine.ID, mine.Ring)
	}
	return nil
}

// Answer implements Handler: it decides on asks of another node, all at one reading of the clock.
func (n *Node) Answer(from ring.Member, asks []Ask) {
	now := n.now()
	v := n.view.Load()
	for i := range asks {
		a := &asks[i]
		if a.Op == OpTell {
			a.Answer = Answer{}
			n.hear(from, a)
			continue
		}
		if a.Op == OpReport {
			a.Answer = Answer{}
			n.report(a)
			continue
		}
		if v == nil {
			a.Answer = Answer{Status: NotHolder}
			continue
		}
		n.answer(now, v, from, a)
	}
	if v != nil {
		n.countPeers(asks)
		n.endureAll(asks)
	}
}

// answer decides on a.
func (n *Node) answer(now bucket.Instant, v *view, from ring.Member, a *Ask) {
	a.Answer = Answer{Epoch: v.table.Epoch()}
	if reason := n.flaw(a); reason != "" {
		a.Answer.Status, a.Answer.Reason, a.Answer.Flaw = Invalid, reason, FlawOther
		return
	}
	if a.Op == OpForget {
		for i := range a.Checks {
			n.denials.forget(n.now(), a.Checks[i].Request.Key)
		}
		a.Answer.Status, a.Answer.Holder = Decided, n.name
		return
	}
	if p, away := n.notMine(now, a); away {
		a.Answer.Status = NotHolder
		if a.Answer.Holder, a.Answer.Term = n.core.Route(p); a.Answer.Holder == n.name {
			a.Answer.Holder = "" // it may not decide
		}
		return
	}
	_, a.Answer.Term = n.core.Route(a.Checks[0].Partition)
	var err error
	switch a.Op {
	case OpTake:
		err = n.takeTold(now, takenKey{from, a.Hold}, a)
	case OpRefund:
		n.refund(now, n.taken.undo(now, takenKey{from, a.Hold}))
	case OpReset:
		err = n.reset(a)
	case OpLend:
		err = n.lend(now, from, a)
	case OpSettle:
		err = n.settleAll(now, a)
	case OpCharge:
		err = n.charge(now, a)
	case OpGive, OpDrain:
		err = n.move(now, a)
	default:
		err = fmt.Errorf("unknown operation %d", a.Op)
	}
	switch {
	case err == nil:
		a.Answer.Status, a.Answer.Holder = Decided, n.name
	case errors.Is(err, bucket.ErrMoved): // between two views: who holds it now will be known soon
		a.Answer.Status = NotHolder
	default:
		a.Answer.Status, a.Answer.Reason, a.Answer.Flaw = Invalid, err.Error(), flawOf(err)
	}
}

// flaw returns what is wrong with the outline of a, "" if nothing is. The store looks at the requests themselves.
func (n *Node) flaw(a *Ask) string {
	if len(a.Checks) == 0 || len(a.Checks) > MaxChecks {
		return fmt.Sprintf("%d checks, want 1 to %d", len(a.Checks), MaxChecks)
	}
	for i := range a.Checks {
		c := &a.Checks[i]
		if int(c.Partition) >= n.core.Partitions {
			return fmt.Sprintf("partition %d, want 0 to %d", c.Partition, n.core.Partitions-1)
		}
	}
	return ""
}

// notMine returns the first of a's partitions that this node may not decide on, and whether there is one.
func (n *Node) notMine(now bucket.Instant, a *Ask) (ring.Partition, bool) {
	decides := n.core.Decides(now)
	for i := range a.Checks {
		if p := a.Checks[i].Partition; !decides || !n.core.Holds(p) {
			return p, true
		}
	}
	return 0, false
}

// charge charges what was admitted without the holder.
func (n *Node) charge(now bucket.Instant, a *Ask) error {
	for i := range a.Checks {
		c := &a.Checks[i]
		if err := n.store.Charge(now, int(c.Partition), &c.Request); err != nil {
			return err
		}
	}
	return nil
}

// take takes what a asks for.
func (n *Node) take(now bucket.Instant, k takenKey, a *Ask) error {
	if len(a.Checks) == 1 && k.hold == 0 {
		c := &a.Checks[0]
		return n.store.TakeInto(now, int(c.Partition), &c.Request, &c.Decision)
	}
	if k.hold != 0 && n.taken.undone(k) {
		return errors.New("the take was given back before it came")
	}
	items := itemsOf(a.Checks)
	holds, err := n.store.TakeAll(now, items, k.hold != 0)
	if err != nil {
		return err
	}
	for i := range items {
		a.Checks[i].Decision = items[i].Decision
	}
	if len(holds) > 0 && !n.taken.add(now, k, holds) {
		n.refund(now, holds)
		return errors.New("the take was given back before it came")
	}
	return nil
}

// itemsOf returns checks as the store wants them. The items point into checks.
func itemsOf(checks []Check) []bucket.Item {
	items := make([]bucket.Item, len(checks))
	for i := range checks {
		items[i] = bucket.Item{Partition: int(checks[i].Partition), Request: &checks[i].Request}
	}
	return items
}

func (n *Node) reset(a *Ask) error {
	for i := range a.Checks {
		c := &a.Checks[i]
		if err := n.resetHere(c.Partition, c.Request.Key); err != nil {
			return err
		}
	}
	return nil
}
