package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// maxRedirects is how often an ask is sent on to whom the asked node takes for the holder.
const maxRedirects = 2

// errSelf is ask's answer when the holder turns out to be this node.
var errSelf = errors.New("this node is the holder")

// checkAway is Check for a key that another node holds.
func (n *Node) checkAway(ctx context.Context, p ring.Partition, req bucket.Request) (bucket.Decision, error) {
	if err := n.store.Check(&req); err != nil {
		return bucket.Decision{}, err
	}
	v := n.view.Load()
	if v == nil {
		return bucket.Decision{}, ErrNotReady
	}
	a := n.newAsk(OpTake)
	a.Checks = append(a.Checks, Check{Partition: p, Term: n.terms.of(p), Request: req})
	err := n.ask(ctx, a, v.target(p))
	switch {
	case err == nil:
		d := a.Checks[0].Decision
		d.Node = string(a.Answer.Holder)
		n.free(a)
		return d, nil
	case errors.Is(err, errSelf):
		n.free(a)
		d, err := n.store.Take(n.now(), int(p), &req)
		d.Node = string(n.name)
		if !errors.Is(err, bucket.ErrMoved) {
			return d, err
		}
	case ctx.Err() != nil:
		return bucket.Decision{}, ctx.Err()
	case errors.Is(err, ErrAskInvalid):
		return bucket.Decision{}, err
	}
	return n.degrade(p, &req), nil
}

// newAsk returns an empty Ask.
func (n *Node) newAsk(op Op) *Ask {
	a := n.asks.Get().(*Ask)
	*a = Ask{Op: op, Checks: a.Checks[:0], done: a.done}
	return a
}

// free makes a, which is done and which nobody uses any more, available again.
func (n *Node) free(a *Ask) {
	clear(a.Checks)
	n.asks.Put(a)
}

// ask sends a to the member with index to and follows where it is told to, until it has an answer that is not NotHolder
// or Config.PeerWait has passed. It returns errSelf if this node turns out to be the holder, ctx's error if that ends
// first, and otherwise an error of the Transport. After ctx's error a still belongs to the transport.
func (n *Node) ask(ctx context.Context, a *Ask, to int) error {
	v := n.view.Load()
	if v == nil {
		return ErrNotReady
	}
	if to == v.self {
		return errSelf
	}
	m := v.members[to]
	end := n.now() + bucket.Instant(n.patience(ctx))
	for redirects := 0; ; redirects++ {
		a.Epoch = v.table.Epoch()
		if err := n.askOne(ctx, a, m, end); err != nil {
			return err
		}
		n.learn(a)
		if a.Answer.Status != NotHolder {
			return answered(a)
		}
		if redirects == maxRedirects {
			return fmt.Errorf("%w: no holder after %d redirects", ErrPeerLost, redirects)
		}
		if a.Answer.Holder == n.name {
			return errSelf
		}
		v = n.view.Load()
		if v == nil {
			return ErrNotReady
		}
		next := v.member(a.Answer.Holder)
		if next == nil || next == m {
			return fmt.Errorf("%w: %s does not know the holder", ErrPeerLost, m.ID)
		}
		m = next
		a.Hop++
	}
}

// learn notes the term that the answer to a tells.
func (n *Node) learn(a *Ask) {
	if len(a.Checks) == 1 {
		n.terms.hear(a.Checks[0].Partition, a.Answer.Term)
	}
}

// answered returns what the answer to a amounts to.
func answered(a *Ask) error {
	if a.Answer.Status == Invalid {
		return fmt.Errorf("%w: %s", ErrAskInvalid, a.Answer.Reason)
	}
	return nil
}

// patience is how long an ask may take: Config.PeerWait, or most of what is left until ctx ends, so that there is time
// to answer without the holder.
func (n *Node) patience(ctx context.Context) time.Duration {
	wait := n.config.PeerWait
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		wait = min(wait, left-left/8)
	}
	return wait
}

// askOne sends a to m and waits until it is done, or ctx ends. A request with an id may be sent a second time when the
// stream broke under it.
func (n *Node) askOne(ctx context.Context, a *Ask, m *member, end bucket.Instant) error {
	for again := false; ; again = true {
		now := n.now()
		if a.Wait = end.Sub(now); a.Wait <= 0 {
			return ErrPeerSilent
		}
		if m.peer == nil {
			return errSelf
		}
		a.Answer = Answer{}
		m.peer.Ask(a)
		select {
		case <-a.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if a.Err == nil {
			m.answered()
			return nil
		}
		m.failed(now)
		if again || !errors.Is(a.Err, ErrPeerLost) || !a.repeatable() {
			return a.Err
		}
	}
}

// repeatable says whether a may be sent twice and is still charged once.
func (a *Ask) repeatable() bool {
	for i := range a.Checks {
		if r := &a.Checks[i].Request; r.ID == "" && r.Cost != 0 {
			return false
		}
	}
	return a.Hold == 0
}
