package cluster

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/ring"
)

// maxRedirects is how often an ask is sent on to whom the asked node takes for the holder.
const maxRedirects = 2

// errSelf is ask's answer when the holder turns out to be this node.
var errSelf = errors.New("this node is the holder")

// checkAway is Check for a key, with the hash h, that another node holds, or nobody at the moment.
func (n *Node) checkAway(ctx context.Context, h uint64, p ring.Partition, req bucket.Request) (bucket.Decision, error) {
	if err := n.store.Check(&req); err != nil {
		return bucket.Decision{}, err
	}
	sent := n.now()
	var turn *denial
	if n.denials.find(h, &req) != nil {
		d, denied, mine := n.recall(ctx, h, &req, n.patienceAt(ctx, sent).silent, false)
		if denied {
			return d, nil
		}
		turn, sent = mine, n.now() // it may have waited
	}
	d, next, err := n.checkHolder(ctx, h, p, req, sent)
	n.warm(sent, h, p, &req, &d)
	if turn == nil && next == nil {
		return d, err
	}
	left := d.Remaining
	if d.Degraded || err != nil && ctx.Err() == nil { // nobody gains by waiting for another one who hears the same
		left = math.MaxInt64
	}
	n.heard(h, req.Key, sent, turn, next, left)
	return d, err
}

// checkHolder asks the holder of p at sent, which is now, for a decision on req, whose key has the hash h, and returns what is to be
// remembered of it, nil if nothing is.
func (n *Node) checkHolder(ctx context.Context, h uint64, p ring.Partition, req bucket.Request, sent bucket.Instant) (d bucket.Decision, next *denial, err error) {
	a := n.newAsk(OpTake)
	a.Checks = append(a.Checks, Check{Partition: p, Request: req})
	for end := n.patienceAt(ctx, sent); ; {
		err := n.ask(ctx, a, p, &end)
		switch {
		case err == nil:
			d = a.Checks[0].Decision
			d.Node = string(a.Answer.Holder)
			n.decided.asked.add(h, d.Allowed)
			next = n.learn(sent, p, &req, &d, &a.Answer)
			n.unheld.decided(p)
			n.free(a)
			return d, next, nil
		case errors.Is(err, errSelf):
			if err := n.takeHere(ctx, p, &req, &end, &d); !errors.Is(err, bucket.ErrMoved) {
				n.free(a)
				if err == nil {
					n.countHere(h, &d)
				}
				return d, nil, err
			}
			if n.pause(ctx, end.moving) {
				continue
			}
		case ctx.Err() != nil:
			return bucket.Decision{}, nil, ctx.Err()
		case errors.Is(err, ErrAskInvalid):
			return bucket.Decision{}, nil, err
		}
		return n.degrade(p, &req), nil, nil
	}
}

// takeHere decides on req in this node's own store, and makes *d the decision. The error wraps bucket.ErrMoved if this node may
// not. With end nil its patience begins now.
func (n *Node) takeHere(ctx context.Context, p ring.Partition, req *bucket.Request, end *patience, d *bucket.Decision) error {
	now := n.now()
	if !n.core.Decides(now) {
		return bucket.ErrMoved
	}
	if err := n.store.TakeInto(now, int(p), req, d); err != nil {
		return err
	}
	n.unheld.decided(p)
	d.Node = string(n.name)
	if isDurable(OpTake, req, d) {
		*d = n.endureOne(ctx, p, *req, *d, end)
	}
	return nil
}

const (
	// pauseMin is how long at least somebody pauses who asks for a partition that is on its way.
	pauseMin = 500 * time.Microsecond

	// pauseTold is the same for who tells an heir something.
	pauseTold = 5 * time.Millisecond
)

// pause waits for a moment, and says whether there is time for more. The holder is about to be known.
func (n *Node) pause(ctx context.Context, end bucket.Instant) bool {
	return n.pauseFor(ctx, end, pauseMin)
}

// pauseFor is pause of least to twice as long.
func (n *Node) pauseFor(ctx context.Context, end bucket.Instant, least time.Duration) bool {
	wait := least + time.Duration(rand.Int64N(int64(least)))
	if n.now()+bucket.Instant(wait) >= end {
		return false
	}
	return n.sleep(ctx, wait) == nil
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

// ask sends a, which is about p, to its holder, and follows where it is told to, until it has an answer that is not
// NotHolder, or has run out of patience. It returns errSelf if this node turns out to be the holder, ctx's error if
// that ends first, and otherwise an error of the Transport. After ctx's error a still belongs to the transport.
func (n *Node) ask(ctx context.Context, a *Ask, p ring.Partition, end *patience) error {
	for {
		v := n.view.Load()
		if v == nil {
			return ErrNotReady
		}
		holder, _ := n.core.Route(p)
		if holder == n.name {
			return errSelf
		}
		err := n.chase(ctx, a, p, v.member(holder), end)
		if !errors.Is(err, errMoving) {
			return err
		}
		if errors.Is(err, errOnItsWay) {
			n.extend(end, 0)
		}
		if !n.pause(ctx, end.silent) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("%w: partition %d has no holder yet", ErrPeerLost, p)
		}
	}
}

// isGone says whether err of m means that m has nothing any more: its process has ended, or it has left. The ask can go to
// another one then; what m may have taken for it before is lost to the caller, and nobody is admitted twice.
func (n *Node) isGone(m *member, err error) bool {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return true
	}
	v := n.view.Load()
	return errors.Is(err, ErrPeerLost) && v != nil && (m.Draining || v.member(m.ID) != m)
}

// ends waits until it is known whether the process of m, which hung up, has ended, and says so. Of who has been lost for
// longer than that takes it is not waited for.
func (n *Node) ends(ctx context.Context, m *member, end *patience) bool {
	for {
		if v := n.view.Load(); v == nil || v.member(m.ID) != m {
			return v != nil
		}
		now := n.now()
		if now.Sub(m.lostSince(now)) > goneWait || !n.pause(ctx, end.silent) {
			return false
		}
	}
}

// errMoving says that nobody who was asked knows where a partition is; errOnItsWay, which wraps it, that one member takes
// another one for the holder, and neither is: it moves.
var (
	errMoving   = errors.New("the holder is not known")
	errOnItsWay = fmt.Errorf("the partition is on its way: %w", errMoving)
)

// chase asks m, and whom it and the next ones take for the holder.
func (n *Node) chase(ctx context.Context, a *Ask, p ring.Partition, m *member, end *patience) error {
	unknown := errMoving
	for a.Hop = 0; ; a.Hop++ {
		switch {
		case m == nil:
			if v := n.view.Load(); v != nil && n.now().Sub(v.since) < goneWait {
				n.awaitHeir(end) // this node has heard sooner than the heir that the holder's process has ended
			}
			return unknown
		case m.peer == nil:
			return errSelf
		}
		if err := n.askOne(ctx, a, m, end); err != nil {
			if n.isGone(m, err) || errors.Is(err, ErrPeerLost) && n.ends(ctx, m, end) {
				n.awaitHeir(end)
				n.step(func(c *core.Core, _ bucket.Instant) { c.Lost(p, m.ID) })
				return errMoving
			}
			return err
		}
		if a.Answer.Status != NotHolder {
			return answered(a)
		}
		next := a.Answer.Holder
		if a.Hop > 0 {
			unknown = errOnItsWay // the one before took this one for the holder
		}
		n.step(func(c *core.Core, _ bucket.Instant) { c.Learn(p, next, a.Answer.Term) })
		if next == m.ID || a.Hop == maxRedirects {
			return unknown
		}
		v := n.view.Load()
		if v == nil {
			return ErrNotReady
		}
		m = v.member(next)
	}
}

// A patience is until when an ask may take.
type patience struct {
	silent bucket.Instant // if the holder is not heard of, or not known
	moving bucket.Instant // if it changes or is slow: its answer is there in a moment, and nothing is lost
	heir   bool           // silent leaves time for the heir of a holder whose process has ended
}

// moveWait is how long a check waits for a partition that is on its way, or for a holder that is slow, at most.
const moveWait = 500 * time.Millisecond

// patience returns until when an ask may take: Config.PeerWait, or most of what is left until ctx ends, so that there is
// time to answer without the holder.
func (n *Node) patience(ctx context.Context) patience { return n.patienceAt(ctx, n.now()) }

// patienceAt is patience where it is known what time it is.
func (n *Node) patienceAt(ctx context.Context, now bucket.Instant) patience {
	wait, move := n.config.PeerWait, max(n.config.PeerWait, moveWait)
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		left -= left / 8
		wait, move = min(wait, left), min(move, left)
	}
	return patience{silent: now + bucket.Instant(wait), moving: now + bucket.Instant(move)}
}

// goneWait is how long a check waits for the heir of a holder whose process has ended, from when it finds out, and for how
// long a loss is so new that an heir may be on its way.
const goneWait = 200 * time.Millisecond

// awaitHeir leaves goneWait for the heir of a holder whose process has ended: once, as who asks the ended one again has
// waited already.
func (n *Node) awaitHeir(end *patience) {
	if !end.heir {
		end.heir = true
		n.extend(end, goneWait)
	}
}

// extend lets who is asked next have that long, or Config.PeerWait, as far as end goes.
func (n *Node) extend(end *patience, least time.Duration) {
	end.silent = max(end.silent, min(end.moving, n.now()+bucket.Instant(max(least, n.config.PeerWait))))
}

// askOne sends a to m and waits until it is done, or ctx ends. What m takes longer than end.silent because it is slow it
// does not take from those who are asked after it. A request with an id may be sent a second time when the
// stream broke under it.
func (n *Node) askOne(ctx context.Context, a *Ask, m *member, end *patience) error {
	for again := false; ; again = true {
		now := n.now()
		if a.Wait, a.Most = end.silent.Sub(now), end.moving.Sub(now); a.Wait <= 0 {
			return ErrPeerSilent
		}
		if m.peer == nil {
			return errSelf
		}
		a.Answer = Answer{}
		ended := n.trace(ctx, a, m)
		m.peer.Ask(a)
		if err := a.wait(ctx); err != nil {
			if ended != nil {
				ended(Decided, err)
			}
			return err
		}
		if ended != nil {
			ended(a.Answer.Status, a.Err)
		}
		if n.now() > end.silent {
			n.extend(end, 0)
		}
		if a.Err == nil {
			m.answered()
			return nil
		}
		n.failed(m, a.Err)
		if again || !errors.Is(a.Err, ErrPeerLost) || !a.repeatable() {
			return a.Err
		}
	}
}

// wait waits until a is done. It returns ctx's error if that ends first; then a still belongs to the transport.
func (a *Ask) wait(ctx context.Context) error {
	end := ctx.Done()
	if end == nil { // it never ends; waiting for one channel takes half the time of waiting for two
		<-a.done
		return nil
	}
	select {
	case <-a.done:
		return nil
	case <-end:
		return ctx.Err()
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
