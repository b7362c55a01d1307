package peer

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// skips returns how far the clock of a is ahead of the bubble's. It is called before anything runs by that.
func (f *fleet) skips() (ahead *atomic.Int64) {
	ahead = new(atomic.Int64)
	base := time.Now()
	f.a.alarm.time = func() instant { return time.Since(base) + instant(ahead.Load()) }
	return ahead
}

const longStall = 10 * time.Second

// A process that stood still does not count that time as silence of its peer, whose answer may have arrived meanwhile; it
// does count what comes after.
func TestStall(t *testing.T) {
	for _, c := range []struct {
		name         string
		stall, takes time.Duration
		want         error
	}{
		{"a stall longer than the wait", 4 * slowWait, slowWait - stride, nil},
		{"and a peer that is silent after it", 4 * slowWait, 2 * slowWait, cluster.ErrPeerSilent},
		{"no stall", 0, 2 * slowWait, cluster.ErrPeerSilent},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				f, _ := slowFleet(t, c.takes)
				ahead := f.skips()
				if a := told(f.peer, time.Second); a.Err != nil {
					t.Fatalf("tell: %v", a.Err)
				}
				time.AfterFunc(stride/2, func() { ahead.Add(int64(c.stall)) })
				took, err := f.ask(patientAsk())
				if !errors.Is(err, c.want) || took > slowWait+2*tick {
					t.Errorf("Ask = %v after %v of the process's time, want %v", err, took, c.want)
				}
			})
		})
	}
}

// Who asks after a stall and before the alarm has run does not wait for what the clock stood still, and a peer that is
// silent is tried again as if there had been none.
func TestStallBeforeAlarm(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f, _ := slowFleet(t, 0)
		ahead := f.skips()
		if a := told(f.peer, time.Second); a.Err != nil {
			t.Fatalf("tell: %v", a.Err)
		}
		f.host.freeze()
		if took, err := f.ask(patientAsk()); !errors.Is(err, cluster.ErrPeerSilent) || took < slowWait {
			t.Fatalf("Ask of a frozen peer: %v after %v, want ErrPeerSilent after %v", err, took, slowWait)
		}
		waits := cluster.NewAsk() // so that the alarm looks all the time
		waits.Op, waits.Wait = cluster.OpTell, time.Hour
		f.peer.Ask(waits)
		time.Sleep(2*probing + stride/2)
		ahead.Add(int64(longStall))
		for _, probe := range []string{"the first", "the next"} {
			if took, err := f.ask(patientAsk()); !errors.Is(err, cluster.ErrPeerSilent) || took < slowWait || took > slowWait+stride+tick {
				t.Errorf("%s Ask after a stall: %v after %v, want ErrPeerSilent after %v", probe, err, took, slowWait)
			}
			time.Sleep(2 * probing)
		}
	})
}

// However often the process stands still, an ask ends stallMost after its Wait or its Most.
func TestStallsManyTimes(t *testing.T) {
	const stall = 30 * time.Millisecond
	for name, talks := range map[string]time.Duration{"a silent peer": 0, "a peer that is heard of": 3 * slowMost} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				f, tell := slowFleet(t, time.Minute)
				ahead := f.skips()
				tell(talks, func() {})
				a := patientAsk()
				if talks == 0 {
					a.Wait = slowMost - 1
				}
				began := f.a.alarm.time()
				f.peer.Ask(a)
				for done := false; !done; {
					select {
					case <-a.Finished():
						done = true
					case <-time.After(stride / 2):
						ahead.Add(int64(stall))
					}
				}
				took, most := f.a.alarm.time()-began, slowMost+stallMost
				if !errors.Is(a.Err, cluster.ErrPeerSilent) || took < most || took > most+3*(stall+stride) {
					t.Errorf("Ask: %v after %v of real time, want ErrPeerSilent after %v", a.Err, took, most)
				}
			})
		})
	}
}

// A stall before a peer is asked does not make its answer come sooner, whether the alarm looks before that or after: the
// peer is not near, so two batches may be under way.
func TestStallIsNotNear(t *testing.T) {
	for name, at := range map[string]time.Duration{"the alarm looks after the answer": 1, "the alarm looks before the answer": stride - 1} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				f, _ := slowFleet(t, stride/2)
				ahead := f.skips()
				if a := told(f.peer, slowWait); a.Err != nil { // for that long the alarm looks every stride
					t.Fatalf("tell: %v", a.Err)
				}
				time.Sleep(at)
				ahead.Add(int64(longStall))
				if took, err := f.ask(patientAsk()); err != nil || took != stride/2 {
					t.Fatalf("Ask: %v after %v, want an answer after %v", err, took, stride/2)
				}
				before := f.a.count.batches.Load()
				for range 2 {
					f.peer.Ask(patientAsk())
					synctest.Wait()
				}
				if got := f.a.count.batches.Load() - before; got != 2 {
					t.Errorf("%d batches are under way to a peer that is not near, want 2", got)
				}
			})
		})
	}
}

// The clock stands still when the alarm is late, goes on from there, and never steps back, whatever the alarm does.
func TestClock(t *testing.T) {
	var wall atomic.Int64
	a := newAlarm(func() instant { return instant(wall.Load()) })
	var readers sync.WaitGroup
	var done atomic.Bool
	for range 2 {
		readers.Go(func() {
			for last := instant(0); !done.Load(); {
				now := a.clock()
				if now < last {
					t.Errorf("the clock steps back from %v to %v", last, now)
					return
				}
				last = now
			}
		})
	}
	for i := range 10_000 {
		wake := a.clock() + stride
		if i%7 == 0 {
			wake = never
		}
		now := a.expect(wake)
		wall.Add(int64(longStall))
		want := after(now, longStall)
		if wake != never {
			want = wake + slack
		}
		if got := a.clock(); got != want {
			t.Fatalf("%v after the alarm set its timer from %v to %v the clock is %v, want %v", longStall, now, wake, got, want)
		}
	}
	done.Store(true)
	readers.Wait()
}

// A stall between the first ask and the alarm's first look does not count either.
func TestStallAtFirstAsk(t *testing.T) {
	wall := instant(0)
	a := newAlarm(func() instant { return wall })
	a.by(after(a.clock(), slowWait))
	wall = longStall
	if got := a.clock(); got != stride+slack {
		t.Errorf("the clock is %v after a stall, want %v", got, stride+slack)
	}
}

// Who read the clock's time while the alarm set its timer does not read past where the clock stands still since.
func TestClockReadMeanwhile(t *testing.T) {
	var a *alarm
	wall, meanwhile := instant(0), func() {}
	a = newAlarm(func() instant {
		f := meanwhile
		meanwhile = func() {}
		f()
		return wall
	})
	meanwhile = func() {
		a.expect(stride)
		wall = longStall
	}
	if got := a.clock(); got != stride+slack {
		t.Errorf("the clock is %v after a stall, want %v", got, stride+slack)
	}
}
