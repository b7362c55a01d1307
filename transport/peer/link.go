package peer

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
)

// state is what a link knows of its peer.
type state uint8

const (
	idle    state = iota // nothing was asked yet
	opening              // a stream is being opened, and was not lost before: asks wait for it
	open                 // a stream is there
	lost                 // the last try to open a stream failed: asks end at once while more tries are made
	closed               // Close was called
)

// String returns the word for s in Stats.
func (s state) String() string {
	return [...]string{"idle", "opening", "open", "lost", "closed"}[s]
}

// A peer is silent when an ask was not answered in time and nothing else was either: for as long as that ask waited, for
// silence at least, and for slowness times as long as it took the peer to answer of late, up to patience, so that one
// that is only slow, or has to wait for a processor, is not taken for one that is gone. How often one ask then tries
// whether it still is silent is probing.
const (
	silence  = 40 * time.Millisecond
	slowness = 3
	patience = 250 * time.Millisecond
	probing  = 100 * time.Millisecond
)

// link is one stream's way to one member, for checks or for what is told.
//
// Locks are taken in the order flight, queue. No lock is held while Done is called or gRPC is.
type link struct {
	t     *Transport
	id    ring.Member
	addr  string
	tells bool // carries what is told

	wake chan struct{} // has a value when the queue may have asks and the writer did not look since
	back chan struct{} // has a value when a lost peer is known to be alive

	answered atomic.Int64  // asks in the batch that was answered last
	trips    *sizes        // how long batches took, there and back
	batches  *sizes        // how many asks they had
	latest   *atomic.Int64 // when the peer was last heard of, on this link or the other of its pair; as an instant, 0 if never

	flightMu sync.Mutex
	flight   flight // guarded by flightMu

	mu        sync.Mutex
	queue     queue        // guarded by mu
	state     state        // guarded by mu
	err       error        // guarded by mu; with which asks end when lost or closed
	pace      instant      // guarded by mu; how long the peer took to answer of late, nearer to the longest
	said      instant      // guarded by mu; when the peer was last heard of on this link, 0 if never
	unheard   instant      // guarded by mu; when was first asked after said, 0 if not
	silent    bool         // guarded by mu; asks end at once until the peer is heard of again
	nextProbe instant      // guarded by mu; when an ask is let through nevertheless
	cancel    func()       // guarded by mu; ends run, nil while idle
	due       atomic.Int64 // written under mu; no ask is due before this instant
}

func newLink(t *Transport, id ring.Member, addr string, tells bool, latest *atomic.Int64) *link {
	l := &link{
		t: t, id: id, addr: addr, tells: tells, latest: latest, trips: newTrips(), batches: newBatches(),
		wake: make(chan struct{}, 1), back: make(chan struct{}, 1),
	}
	l.flight.next = 1
	l.due.Store(int64(never))
	return l
}

// ask sends a, or ends it.
func (l *link) ask(a *cluster.Ask) {
	if err := l.take(a); err != nil {
		l.t.count.failed.Add(1)
		a.Done(err)
	}
}

// take puts a into the queue, or returns why it ends at once.
func (l *link) take(a *cluster.Ask) error {
	size, err := measure(a)
	if err != nil {
		return err
	}
	if a.Wait <= 0 {
		return fmt.Errorf("%w: nobody waits for it", cluster.ErrPeerSilent)
	}
	m := l.t.alarm.read()
	e := newEntry(a, m, size)
	first, sooner, err := l.enqueue(e, m.now)
	if err != nil {
		return err
	}
	if first {
		signal(l.wake)
	}
	if sooner {
		l.t.alarm.by(e.deadline)
	}
	return nil
}

// enqueue says whether e is the first in the queue and whether it is due sooner than all else.
func (l *link) enqueue(e entry, now instant) (first, sooner bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.admit(e, now); err != nil {
		return false, false, err
	}
	l.queue.push(e)
	if l.unheard == 0 {
		l.unheard = max(now, 1)
	}
	if int64(e.deadline) < l.due.Load() {
		l.due.Store(int64(e.deadline))
		sooner = true
	}
	return l.queue.n == 1, sooner, nil
}

// admit returns why e must not wait, and starts l if nothing was asked before.
func (l *link) admit(e entry, now instant) error {
	switch {
	case l.state == closed || l.state == lost:
		return l.err
	case l.queue.n >= l.t.cfg.MaxQueue, l.tells && l.queue.n > 0 && l.queue.bytes+int(e.bytes) > l.t.cfg.MaxTold:
		l.t.count.full.Add(1)
		return cluster.ErrPeerBusy
	case l.silent && now < l.nextProbe:
		return cluster.ErrPeerSilent
	case l.silent:
		l.nextProbe = max(now+probing, e.deadline+tick)
	case l.state == idle:
		return l.start()
	}
	return nil
}

// start is called under mu.
func (l *link) start() error {
	ctx, cancel := context.WithCancel(context.Background())
	if !l.t.start(func() { l.run(ctx) }) {
		cancel()
		return cluster.ErrPeerShutdown
	}
	l.state, l.cancel = opening, cancel
	return nil
}

// expire ends the asks that are due, but for those whose peer was heard of meanwhile, and returns an instant before which
// no other is as long as the clock does not stand still. stalled says that it did, which makes asks due sooner.
func (l *link) expire(m moment, stalled bool) instant {
	if due := instant(l.due.Load()); due > m.now && (!stalled || due == never) {
		return due
	}
	// Both locks, because an ask that moves from the queue to a batch in between would be overlooked.
	l.flightMu.Lock()
	heard := l.lastHeard()
	dead, nextSent := l.flight.expire(m, heard, nil)
	l.mu.Lock()
	dead, nextQueued := l.queue.expire(m, heard, dead)
	next := min(nextSent, nextQueued)
	l.due.Store(int64(next))
	l.hush(m.now, dead)
	l.mu.Unlock()
	l.flightMu.Unlock()
	l.t.count.expired.Add(uint64(len(dead)))
	finish(dead, cluster.ErrPeerSilent)
	return next
}

// hush makes the peer count as silent if one of the dead asks shows it: by its Wait if nothing was heard on the other link
// either, and else by its Most, of which it may have been asked a little before the last word, because then it is this
// stream that nothing comes from. It is called under mu.
func (l *link) hush(now instant, dead []*cluster.Ask) {
	if l.silent {
		return
	}
	least := max(silence, min(slowness*l.pace, patience))
	mute := now - cmp.Or(l.unheard, l.said)
	quiet := min(mute, now-l.lastHeard())
	for _, a := range dead {
		if quiet >= max(least, a.Wait) || a.Most > a.Wait && mute >= max(patience, a.Most-a.Wait) {
			l.silent, l.nextProbe = true, now+probing
			return
		}
	}
}

// heard says that the peer said something now, after it took that long.
func (l *link) heard(now, took instant) {
	l.latest.Store(int64(now))
	l.mu.Lock()
	l.silent, l.said, l.unheard = false, now, 0
	l.pace = max(took, l.pace-(l.pace-took)/8)
	l.mu.Unlock()
}

// lastHeard returns when the peer was last heard of on either link of the pair.
func (l *link) lastHeard() instant { return instant(l.latest.Load()) }
