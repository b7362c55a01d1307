package peer

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/ring"
)

// A frozen peer costs its callers their Wait once. Then asks end at once but for one in 100 ms, until it answers.
func TestFrozenPeer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const wait = 50 * time.Millisecond
		f := newFleet(t, Config{}, everyone{})
		if _, err := f.ask(newAsk("k", wait)); err != nil {
			t.Fatalf("Ask: %v", err)
		}
		f.host.freeze()
		took, err := f.ask(newAsk("k", wait))
		if !errors.Is(err, cluster.ErrPeerSilent) || took < wait || took > wait+tick {
			t.Errorf("first Ask of a frozen peer: %v after %v, want ErrPeerSilent after %v", err, took, wait)
		}
		paid, start := 0, time.Now()
		for range 1000 {
			took, err := f.ask(newAsk("k", wait))
			if !errors.Is(err, cluster.ErrPeerSilent) || took > wait+tick {
				t.Errorf("Ask of a frozen peer: %v after %v, want ErrPeerSilent after at most %v", err, took, wait)
			}
			if took > 0 {
				paid++
			}
			time.Sleep(time.Millisecond)
		}
		if most := int(time.Since(start)/probing) + 1; paid > most || paid < most/2 {
			t.Errorf("%d of 1000 asks in %v waited, want one in %v", paid, time.Since(start), probing)
		}
		f.host.thaw()
		synctest.Wait()
		if took, err := f.ask(newAsk("k", wait)); err != nil || took > 0 {
			t.Errorf("Ask after the peer thawed: %v after %v, want an answer at once", err, took)
		}
		if got := f.a.Stats().Late; got == 0 {
			t.Error("no late answers were counted")
		}
	})
}

// A peer that is slow, so that asks wait in vain for those before them, is not taken for one that is gone: each caller
// gets the time it has.
func TestSlowPeer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const wait = 50 * time.Millisecond
		f := newFleet(t, Config{}, handler{answer: func(ring.Member, []cluster.Ask) { time.Sleep(30 * time.Millisecond) }})
		var answered, late, atOnce atomic.Int64
		var running sync.WaitGroup
		for i := range 40 {
			running.Go(func() {
				time.Sleep(time.Duration(i) * 1700 * time.Microsecond) // those behind in the queue are late
				for range 50 {
					switch took, err := f.ask(newAsk("k", wait)); {
					case err == nil:
						answered.Add(1)
					case took >= wait:
						late.Add(1)
					default:
						atOnce.Add(1)
					}
				}
			})
		}
		running.Wait()
		if n := atOnce.Load(); n > 0 || answered.Load() == 0 || late.Load() == 0 {
			t.Errorf("%d asks were answered, %d too late, %d ended at once; want some, some and none", answered.Load(), late.Load(), n)
		}
	})
}

// Callers who wait for a frozen peer at the same time wait no longer than one does, even when so much is queued that a
// send blocks.
func TestFrozenPeerBlocksWriter(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const wait = 50 * time.Millisecond
		f := newFleet(t, Config{}, everyone{})
		if _, err := f.ask(newAsk("k", wait)); err != nil {
			t.Fatalf("Ask: %v", err)
		}
		f.host.freeze()
		var wg sync.WaitGroup
		key := strings.Repeat("k", bucket.MaxKey)
		for range 5000 {
			wg.Go(func() {
				took, err := f.ask(newAsk(key, wait))
				if !errors.Is(err, cluster.ErrPeerSilent) || took != wait && took != 0 {
					t.Errorf("Ask: %v after %v, want ErrPeerSilent after %v", err, took, wait)
				}
			})
		}
		wg.Wait()
		f.host.thaw()
		synctest.Wait()
		if _, err := f.ask(newAsk("k", wait)); err != nil {
			t.Errorf("Ask after the peer thawed: %v", err)
		}
	})
}

// A peer that is frozen for longer than keepalive allows is connected to again once it thaws.
func TestFrozenForLong(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, everyone{})
		if _, err := f.ask(newAsk("k", time.Second)); err != nil {
			t.Fatalf("Ask: %v", err)
		}
		f.host.freeze()
		for range 600 {
			if took, err := f.ask(newAsk("k", 50*time.Millisecond)); err == nil || took > 50*time.Millisecond+tick {
				t.Fatalf("Ask of a frozen peer: %v after %v", err, took)
			}
			time.Sleep(100 * time.Millisecond)
		}
		f.host.thaw()
		time.Sleep(2 * longPause)
		if _, err := f.ask(newAsk("k", time.Second)); err != nil {
			t.Errorf("Ask after the peer thawed: %v", err)
		}
	})
}

// Each ask ends at most a tick after its Wait, whatever other asks wait for.
func TestWaits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, everyone{})
		f.host.setDeaf(true)
		var wg sync.WaitGroup
		for i := range 200 {
			wait := time.Duration(1+(i*7919)%2000) * 100 * time.Microsecond
			a := newAsk("k", wait)
			start := time.Now()
			f.peer.Ask(a)
			wg.Go(func() {
				<-a.Finished()
				if took := time.Since(start); !errors.Is(a.Err, cluster.ErrPeerSilent) || took < wait || took > wait+tick {
					t.Errorf("Ask with Wait %v: %v after %v", wait, a.Err, took)
				}
			})
		}
		wg.Wait()
	})
}

// Asks of an address that swallows everything wait once, not each for itself.
func TestDeafAddress(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, everyone{})
		f.host.setDeaf(true)
		const wait = 50 * time.Millisecond
		if took, err := f.ask(newAsk("k", wait)); !errors.Is(err, cluster.ErrPeerSilent) || took > wait+tick {
			t.Errorf("first Ask: %v after %v, want ErrPeerSilent after %v", err, took, wait)
		}
		start, waited := time.Now(), time.Duration(0)
		for time.Since(start) < 20*time.Second {
			took, err := f.ask(newAsk("k", wait))
			if err == nil || took > wait+tick {
				t.Errorf("Ask: %v after %v", err, took)
			}
			waited += took
			time.Sleep(10 * time.Millisecond)
		}
		if waited > 2*time.Second {
			t.Errorf("asks waited %v in 20s, want at most 2s", waited)
		}
		f.host.setDeaf(false)
		time.Sleep(4 * time.Second)
		if _, err := f.ask(newAsk("k", wait)); err != nil {
			t.Errorf("Ask once the address answers: %v", err)
		}
	})
}

// A peer whose address refuses connections costs nothing but the first try, and the errors say that it is gone.
func TestDeadPeer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, everyone{})
		if _, err := f.ask(newAsk("k", time.Second)); err != nil {
			t.Fatalf("Ask: %v", err)
		}
		f.kill()
		synctest.Wait()
		for range 100 {
			took, err := f.ask(newAsk("k", time.Second))
			if took > 0 || !errors.Is(err, cluster.ErrPeerLost) || !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("Ask of a dead peer: %v after %v, want ErrPeerLost with ECONNREFUSED at once", err, took)
			}
			time.Sleep(13 * time.Millisecond)
		}
		f.start(everyone{})
		time.Sleep(longPause)
		if _, err := f.ask(newAsk("k", time.Second)); err != nil {
			t.Errorf("Ask %v after the peer's return: %v", longPause, err)
		}
	})
}

// Who knows that the peer is back need not wait for the next try.
func TestBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, everyone{})
		f.kill()
		f.ask(newAsk("k", time.Second))
		time.Sleep(10 * time.Second)
		f.start(everyone{})
		synctest.Wait()
		f.peer.Back()
		synctest.Wait()
		if took, err := f.ask(newAsk("k", time.Second)); err != nil || took > 0 {
			t.Errorf("Ask after Back: %v after %v, want an answer at once", err, took)
		}
	})
}

// What was sent on a stream that breaks ends at once and is not sent again; what was not is sent on the next stream.
func TestStreamBreaks(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		seen := map[string]int{}
		f := newFleet(t, Config{}, handler{answer: func(_ ring.Member, asks []cluster.Ask) {
			for i := range asks {
				seen[strings.Clone(asks[i].Checks[0].Request.Key)]++
			}
		}})
		f.ask(newAsk("first", time.Second))
		time.Sleep(2 * settled)
		f.host.freeze()
		var asks []*cluster.Ask
		for i := range 10 { // two batches of one are in flight then, the others are queued
			asks = append(asks, newAsk(fmt.Sprint(i), time.Second))
			f.peer.Ask(asks[i])
			synctest.Wait()
		}
		f.host.thaw()
		f.host.cut()
		start := time.Now()
		lost := 0
		for i, a := range asks {
			<-a.Finished()
			switch {
			case errors.Is(a.Err, cluster.ErrPeerLost):
				lost++
			case a.Err != nil:
				t.Errorf("ask %d: %v", i, a.Err)
			}
		}
		if took := time.Since(start); took > 0 || lost > inFlight {
			t.Errorf("%d asks were lost after %v, want at most %d at once", lost, took, inFlight)
		}
		for key, n := range seen {
			if n != 1 {
				t.Errorf("the peer was asked %q %d times, want once", key, n)
			}
		}
	})
}
