package peer

import (
	"sync/atomic"
	"time"
)

// tick is the grain of deadlines: an ask ends up to this much after its Wait, or its Most. Less wakes the processor more often while
// peers are silent.
const tick = 2 * time.Millisecond

// alarm ends what is overdue on all links of a Transport, with one goroutine and one timer, however many asks there
// are. Each link knows an instant before which none of its asks is due; nearly always its asks are answered long before
// and the instant is only moved on. So an ask costs the alarm a comparison and a link one pass over its asks per Wait,
// where a timing wheel would put each ask into a list and take it out again.
type alarm struct {
	clock func() instant
	next  atomic.Int64 // when run looks next, as an instant
	kick  chan struct{}
}

func newAlarm(clock func() instant) *alarm {
	a := &alarm{clock: clock, kick: make(chan struct{}, 1)}
	a.next.Store(int64(never))
	return a
}

// by makes run look at its links at due or before.
func (a *alarm) by(due instant) {
	if int64(due) >= a.next.Load() {
		return
	}
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// run looks at links whenever one of them may have asks that are due, until done is closed.
func (a *alarm) run(done <-chan struct{}, links func() []*link) {
	timer := time.NewTimer(never)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return
		case <-timer.C:
		case <-a.kick:
		}
		// Who sets an earlier instant while we look sees that we look never, and kicks.
		a.next.Store(int64(never))
		now := a.clock()
		next := look(now, links())
		a.next.Store(int64(next))
		timer.Reset(next - now)
	}
}

// look ends what is due on links and returns when to look again, on a whole tick.
func look(now instant, links []*link) instant {
	next := never
	for _, l := range links {
		next = min(next, l.expire(now))
	}
	if next >= never-tick {
		return never
	}
	return (next + tick - 1) / tick * tick
}
