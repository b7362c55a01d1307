package peer

import (
	"sync"
	"sync/atomic"
	"time"
)

// tick is the grain of deadlines: an ask ends up to this much after its Wait, or its Most. Less wakes the processor more often while
// peers are silent.
const tick = 2 * time.Millisecond

// While asks wait the alarm looks at the clock every stride. Where it comes more than slack too late the process did not
// run, because the machine had other things to do: that time is not counted as silence of peers, whose answers may lie in
// the sockets unread. Of one ask's time no more than stallMost is excused, because its caller goes by the real time.
const (
	stride    = 10 * time.Millisecond
	slack     = 2 * time.Millisecond
	stallMost = 250 * time.Millisecond
)

// alarm ends what is overdue on all links of a Transport, with one goroutine and one timer, however many asks there
// are. Each link knows an instant before which none of its asks is due; nearly always its asks are answered long before
// and the instant is only moved on. So an ask costs the alarm a comparison and a link one pass over its asks per Wait,
// where a timing wheel would put each ask into a list and take it out again.
type alarm struct {
	time func() instant
	next atomic.Int64 // when run looks next, as an instant
	kick chan struct{}

	mu   sync.Mutex
	span atomic.Pointer[span] // written under mu, nil while it is replaced
}

// span is what the clock goes by until the alarm looks again.
type span struct {
	stalled instant // how much of time does not count
	most    instant // where the clock stands still until the alarm has looked, never if it need not
}

// moment is one reading of the clock.
type moment struct {
	now  instant // how long this process has run
	wall instant // how long it has been there
}

// stalled returns how much of wall does not count.
func (m moment) stalled() instant { return m.wall - m.now }

func (s *span) at(wall instant) moment { return moment{now: min(wall-s.stalled, s.most), wall: wall} }

// newAlarm returns an alarm that goes by time, which does not stand still.
func newAlarm(time func() instant) *alarm {
	a := &alarm{time: time, kick: make(chan struct{}, 1)}
	a.next.Store(int64(never))
	a.span.Store(&span{most: never})
	return a
}

// read reads the clock. It stands still for as long as this process did, and never steps back: who runs sooner after a
// stall than the alarm reads what the alarm will go on from.
func (a *alarm) read() moment {
	if s := a.span.Load(); s != nil {
		// A span that is still the one after time was read was so then.
		if m := s.at(a.time()); a.span.Load() == s {
			return m
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.span.Load().at(a.time())
}

// clock returns how long this process has run.
func (a *alarm) clock() instant { return a.read().now }

// expect says that the alarm looks again at wake, and returns the present. What the clock stood still until now does not
// count for good.
func (a *alarm) expect(wake instant) (now instant) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.span.Load()
	a.span.Store(nil) // so that nobody reads by it a time after the one below
	m := s.at(a.time())
	most := never
	if wake != never {
		most = after(max(wake, m.now), slack)
	}
	a.span.Store(&span{stalled: m.stalled(), most: most})
	return m.now
}

// by makes run look at its links at due or before.
func (a *alarm) by(due instant) {
	if int64(due) >= a.next.Load() {
		return
	}
	if s := a.span.Load(); s != nil && s.most == never {
		a.expect(a.clock() + stride) // a stall before run gets its turn does not count either
	}
	signal(a.kick)
}

// run looks at links whenever one of them may have asks that are due, until done is closed.
func (a *alarm) run(done <-chan struct{}, links func() []*link) {
	timer := time.NewTimer(never)
	defer timer.Stop()
	defer a.expect(never)
	stalled := instant(0)
	for {
		select {
		case <-done:
			return
		case <-timer.C:
		case <-a.kick:
		}
		m := a.read()
		// Who sets an earlier instant while we look sees that we look never, and kicks.
		a.next.Store(int64(never))
		next := look(m, links(), m.stalled() != stalled)
		a.next.Store(int64(next))
		stalled = m.stalled()
		wake := next
		if next != never {
			wake = min(next, m.now+stride)
		}
		timer.Reset(wake - a.expect(wake))
	}
}

// look ends what is due on links and returns when to look again, on a whole tick. stalled says that the clock stood still
// since the last look.
func look(m moment, links []*link, stalled bool) instant {
	next := never
	for _, l := range links {
		next = min(next, l.expire(m, stalled))
	}
	if next >= never-tick {
		return never
	}
	return (next + tick - 1) / tick * tick
}
