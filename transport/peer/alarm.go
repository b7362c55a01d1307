package peer

import (
	"sync/atomic"
	"time"
)

// tick is the grain of deadlines: an ask ends up to this much after its Wait, or its Most. Less wakes the processor more often while
// peers are silent.
const tick = 2 * time.Millisecond

// While asks wait the alarm looks at the clock every stride. Where it comes more than slack too late the process did not
// run, because the machine had other things to do: that time is not counted as silence of peers, whose answers may lie in
// the sockets unread.
const (
	stride = 10 * time.Millisecond
	slack  = 2 * time.Millisecond
)

// alarm ends what is overdue on all links of a Transport, with one goroutine and one timer, however many asks there
// are. Each link knows an instant before which none of its asks is due; nearly always its asks are answered long before
// and the instant is only moved on. So an ask costs the alarm a comparison and a link one pass over its asks per Wait,
// where a timing wheel would put each ask into a list and take it out again.
type alarm struct {
	time    func() instant
	stalled atomic.Int64 // how much of time does not count, in nanoseconds
	next    atomic.Int64 // when run looks next, as an instant
	kick    chan struct{}
}

// newAlarm returns an alarm that goes by time, which does not stand still.
func newAlarm(time func() instant) *alarm {
	a := &alarm{time: time, kick: make(chan struct{}, 1)}
	a.next.Store(int64(never))
	return a
}

// clock returns how long this process has run: it may step back by as much as it stood still.
func (a *alarm) clock() instant { return a.time() - instant(a.stalled.Load()) }

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
	wake := never // when the timer is set to
	for {
		select {
		case <-done:
			return
		case <-timer.C:
		case <-a.kick:
		}
		now := a.clock()
		if late := now - wake; late > slack {
			a.stalled.Add(int64(late))
			now = wake
		}
		// Who sets an earlier instant while we look sees that we look never, and kicks.
		a.next.Store(int64(never))
		next := look(now, links())
		a.next.Store(int64(next))
		if wake = next; next != never {
			wake = min(next, now+stride)
		}
		timer.Reset(wake - now)
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
