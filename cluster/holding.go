package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/ring"
)

// A holding is the node's core, which decides who holds what, and the way of its messages.
type holding struct {
	mu   sync.Mutex
	core *core.Core // guarded by mu but for what it says of itself

	tells sync.WaitGroup // messages under way; Add under mu, and not once over
	over  bool           // guarded by mu; Run ends and waits for tells
}

// beside runs f beside the caller, and says whether it does: not once Run ends.
func (h *holding) beside(f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.over {
		h.tells.Go(f)
	}
	return !h.over
}

// end waits until nothing runs beside any more.
func (h *holding) end() {
	h.mu.Lock()
	h.over = true
	h.mu.Unlock()
	h.tells.Wait()
}

// tellWait is how long the core of another node may take to answer. A node that is silent delays what needs the word of
// all by as much.
const tellWait = 500 * time.Millisecond

// coreTick is how often the core sees what is due. It is how old a replica is at most when it is sent.
const coreTick = 20 * time.Millisecond

// step lets do work on the core, and sends what comes of it.
func (n *Node) step(do func(c *core.Core, now bucket.Instant)) {
	n.holding.mu.Lock()
	do(n.core, n.now())
	out, moves := n.core.Outbox(), n.core.Moves()
	n.holding.mu.Unlock()
	n.events.move(moves)
	for i := range out {
		n.tell(out[i])
	}
}

// beat makes the core tick until ctx ends, and waits until no message is under way.
func (n *Node) beat(ctx context.Context) error {
	defer n.holding.end()
	tick := time.NewTicker(coreTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			n.step(func(c *core.Core, now bucket.Instant) { c.Tick(now) })
			n.keepLeases()
			n.events.beat(n.isGateway() || n.core.Decides(n.now()))
		}
	}
}

// tell sends a message of the core and hands it the answer.
func (n *Node) tell(o core.Out) {
	var m *member
	if v := n.view.Load(); v != nil {
		m = v.member(o.To)
	}
	if m == nil || m.Boot != o.Boot || m.peer == nil {
		n.told(o, nil)
		return
	}
	a := n.newAsk(OpTell)
	a.Body, a.Wait = o.Msg.Append(nil), tellWait
	if n.holding.beside(func() {
		<-a.done
		n.told(o, n.replied(m, a))
	}) {
		m.peer.Ask(a) // not beside: messages keep their order
	}
}

// told hands the core the answer to o, nil if there is none. A node that ends tells nobody anything more.
func (n *Node) told(o core.Out, r *core.Reply) {
	if n.ended.Load() {
		return
	}
	n.step(func(c *core.Core, now bucket.Instant) { c.Done(now, o, r) })
}

// replied returns what m answered, nil if it did not.
func (n *Node) replied(m *member, a *Ask) *core.Reply {
	defer n.free(a)
	if a.Err != nil {
		n.failed(m, a.Err)
		return nil
	}
	m.answered()
	if a.Answer.Status != Decided {
		return nil
	}
	r, err := core.ReadReply(a.Answer.Body)
	if err != nil {
		n.log.Warn("a member answers what cannot be read", "peer", m.ID, "err", err)
		return nil
	}
	return r
}

// hear answers what the core of another node tells.
func (n *Node) hear(from ring.Member, a *Ask) {
	msg, err := core.ReadMessage(a.Body)
	if err != nil {
		a.Answer.Status, a.Answer.Reason = Invalid, err.Error()
		return
	}
	n.step(func(c *core.Core, now bucket.Instant) {
		r := c.Tell(now, from, msg)
		a.Answer.Status, a.Answer.Holder, a.Answer.Body = Decided, n.name, r.Append(nil)
	})
}

// failed notes that m did not answer, and looks whether its process has ended if it hung up or its address says so.
func (n *Node) failed(m *member, err error) {
	m.failed(n.now())
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, ErrPeerLost) || m.refused.Swap(true) {
		return
	}
	select {
	case n.suspects <- m:
	default: // it will be found out again
		m.refused.Store(false)
	}
}

// suspect looks whether the processes of those have ended who hung up, until ctx ends.
func (n *Node) suspect(ctx context.Context) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m := <-n.suspects:
			asking.Go(func() { n.confirm(ctx, m) })
		}
	}
}

// confirm makes the node go on without m if nobody listens at its address. Whoever lives is not asked again at once, however
// often its connection breaks.
func (n *Node) confirm(ctx context.Context, m *member) {
	ctx, cancel := context.WithTimeout(ctx, greetWait)
	defer cancel()
	h, err := n.config.Transport.Greet(ctx, m.Member.Peer)
	lives := err == nil && h.Boot == m.Boot
	if lives {
		_ = n.sleep(ctx, 100*time.Millisecond) // an end of ctx is as good
	}
	if lives || err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
		m.refused.Store(false)
		return
	}
	select {
	case n.gone <- core.Run{ID: m.ID, Boot: m.Boot}:
	default: // it will be found out again
		m.refused.Store(false)
	}
}

// newHolding makes the core and what it works on.
func (n *Node) newHolding(partitions int) (err error) {
	c := n.config
	n.store, err = bucket.NewStore(bucket.StoreConfig{Partitions: partitions, MaxKeys: c.MaxKeys, LimitKeys: c.LimitKeys, MaxReservations: c.MaxReservations, Epoch: n.base})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	n.replicas, err = bucket.NewStore(bucket.StoreConfig{Partitions: partitions, MaxKeys: c.MaxKeys, MaxReservations: c.MaxReservations, Epoch: n.base})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	var (
		saved *bucket.Store
		epoch time.Time
	)
	if n.saving.dir != nil {
		epoch = n.base
		saved, err = bucket.NewStore(bucket.StoreConfig{Partitions: partitions, MaxKeys: c.MaxKeys, MaxReservations: c.MaxReservations, Epoch: n.base})
		if err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	n.core, err = core.New(core.Config{
		Saved: saved, Epoch: epoch,
		Self: n.name, Boot: n.boot, Gateway: n.isGateway(), Store: n.store, Replicas: n.replicas, Partitions: partitions, Tick: coreTick,
		Founder: !c.seeks() || c.Alone, Fence: c.Fence, Forget: c.ForgetAfter, Pace: c.MoveRate,
	})
	return err
}

// lacks says whether this node should hold a partition that it does not.
func (n *Node) lacks() bool {
	n.holding.mu.Lock()
	defer n.holding.mu.Unlock()
	return n.core.Lacks()
}

// drained says whether this node, which leaves, has nothing any more and takes in nothing.
func (n *Node) drained() bool {
	n.holding.mu.Lock()
	defer n.holding.mu.Unlock()
	return n.core.Drained()
}

// keeps says whether kept is more than 0.
func (n *Node) keeps() bool {
	n.holding.mu.Lock()
	defer n.holding.mu.Unlock()
	return n.core.Keeps()
}

// kept returns of how many partitions this node has a replica that others may not have yet.
func (n *Node) kept() (count int) {
	n.holding.mu.Lock()
	defer n.holding.mu.Unlock()
	return n.core.Kept()
}
