package cluster

import (
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// deniedTo is until when others remember what this node has denied them, by groups of keys: if one of these is given tokens other
// than by refill they are told to forget that. It may tell too much, and never too little.
type deniedTo [1 << 13]atomic.Int64

func (t *deniedTo) of(key string) *atomic.Int64 { return &t[ring.Hash(key)>>40%uint64(len(t))] }

// note notes that somebody remembers until then what key was denied.
func (t *deniedTo) note(key string, until bucket.Instant) {
	for at := t.of(key); ; {
		was := at.Load()
		if was >= int64(until) || at.CompareAndSwap(was, int64(until)) {
			return
		}
	}
}

// any says whether somebody may remember what key was denied.
func (t *deniedTo) any(now bucket.Instant, key string) bool { return t.of(key).Load() > int64(now) }

// heldOff returns for how long after d, the holder's answer to r, r is denied: for so long others remember it.
func heldOff(r *bucket.Request, d *bucket.Decision) time.Duration {
	wait := d.RetryAfter
	switch {
	case r.Cost == 0 || r.ID != "" || d.Degraded || d.Source != bucket.FromHolder: // one with an id may have been allowed before
		return 0
	case d.Allowed:
		wait = d.Short(&r.Limit, r.Cost)
	}
	return min(wait, denialMost)
}

// takeTold takes what a, which another node asks, wants, and notes what that one will remember. Tokens that come while it does
// may be missed by one who gives them and looks who remembers: so it looks too.
func (n *Node) takeTold(now bucket.Instant, k takenKey, a *Ask) error {
	given := n.given.Load()
	if err := n.take(now, k, a); err != nil {
		return err
	}
	for i := range a.Checks {
		c := &a.Checks[i]
		wait := heldOff(&c.Request, &c.Decision)
		if wait <= 0 {
			continue
		}
		n.deniedTo.note(c.Request.Key, now+bucket.Instant(wait))
		if n.given.Load() != given {
			n.forgetAll(c.Partition, c.Request.Key)
		}
	}
	return nil
}

// refund gives holds back here.
func (n *Node) refund(now bucket.Instant, holds []bucket.Hold) {
	n.store.Refund(now, holds)
	n.given.Add(1)
	for i := range holds {
		if part, key := holds[i].Of(); n.deniedTo.any(now, key) {
			n.forgetAll(ring.Partition(part), key)
		}
	}
}

// resetHere makes the bucket of key full again, and everybody forget what was denied.
func (n *Node) resetHere(p ring.Partition, key string) error {
	if err := n.store.Reset(int(p), key); err != nil {
		return err
	}
	n.given.Add(1)
	n.forgetAll(p, key)
	return nil
}

// forgetAll tells everybody to forget that key was denied. It does not wait.
func (n *Node) forgetAll(p ring.Partition, key string) {
	n.denials.forget(n.now(), key)
	v := n.view.Load()
	if v == nil {
		return
	}
	for _, m := range v.members {
		if m.peer == nil {
			continue
		}
		a := n.newAsk(OpForget)
		a.Checks = append(a.Checks, Check{Partition: p, Request: bucket.Request{Key: key}})
		a.Wait = denialMost
		if n.holding.beside(func() {
			<-a.done // an error leaves a denial remembered for its time
			n.free(a)
		}) {
			m.peer.Ask(a)
		}
	}
}
