package peer

import (
	"github.com/noriahq/noria/cluster"
)

// opened says that a stream is there.
func (l *link) opened() {
	l.mu.Lock()
	if l.state != closed {
		l.state = open
	}
	waiting := l.queue.n > 0
	l.mu.Unlock()
	l.heard(l.t.now(), 0)
	drain(l.back)
	if waiting {
		signal(l.wake)
	}
}

// broke says that the stream is gone. What was sent is lost, because nobody knows whether the peer decided on it; what
// is queued waits for the next stream.
func (l *link) broke(err error) {
	l.flightMu.Lock()
	dead := l.flight.clear(nil)
	l.flightMu.Unlock()
	l.mu.Lock()
	if l.state == open {
		l.state = opening
	}
	l.mu.Unlock()
	l.t.count.failed.Add(uint64(len(dead)))
	finish(dead, err)
}

// lose says that the peer cannot be reached, or with state closed, that it shall not. All asks end by err and so do
// those that follow.
func (l *link) lose(state state, err error) {
	l.flightMu.Lock()
	dead := l.flight.clear(nil)
	l.mu.Lock()
	dead = l.queue.clear(dead)
	if l.state != closed {
		l.state, l.err = state, err
	}
	l.silent, l.unheard = false, 0
	l.mu.Unlock()
	l.flightMu.Unlock()
	l.t.count.failed.Add(uint64(len(dead)))
	finish(dead, err)
}

// retry says that the peer is known to be alive.
func (l *link) retry() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nextProbe = 0
	if l.state == lost {
		signal(l.back)
	}
}

// shut ends l for good: asks under way and those that follow end by err.
func (l *link) shut(err error) {
	l.lose(closed, err)
	l.mu.Lock()
	cancel := l.cancel
	l.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

func finish(asks []*cluster.Ask, err error) {
	for _, a := range asks {
		a.Done(err)
	}
}

// signal leaves a value in c, which has room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func drain(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}
