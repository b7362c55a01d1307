package peer

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/ring"
)

const (
	slowWait = 50 * time.Millisecond
	slowMost = 500 * time.Millisecond
)

// slowFleet is a fleet whose b takes that long for each message of checks, and answers at once what it is told. tell makes
// a tell it something every few milliseconds, which is how b is heard of, for that long, and does then what is to follow.
func slowFleet(t *testing.T, takes time.Duration) (f *fleet, tell func(long time.Duration, then func())) {
	t.Helper()
	f = newFleet(t, Config{MaxBatch: cluster.MaxChecks}, handler{answer: func(_ ring.Member, asks []cluster.Ask) {
		if asks[0].Op == cluster.OpTell {
			return
		}
		if w := asks[0].Wait; w <= slowWait || w > slowMost {
			t.Errorf("the peer was told to answer within %v, want more than %v and at most %v", w, slowWait, slowMost)
		}
		time.Sleep(takes)
	}})
	var telling sync.WaitGroup
	t.Cleanup(telling.Wait)
	return f, func(long time.Duration, then func()) {
		telling.Go(func() {
			for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(7 * time.Millisecond) {
				if a := told(f.peer, time.Second); a.Err != nil {
					t.Errorf("tell: %v", a.Err)
				}
			}
			then()
		})
	}
}

func told(p cluster.Peer, wait time.Duration) *cluster.Ask {
	a := cluster.NewAsk()
	a.Op, a.Body, a.Wait = cluster.OpTell, []byte("b"), wait
	p.Ask(a)
	<-a.Finished()
	return a
}

func patientAsk() *cluster.Ask {
	a := newAsk("k", slowWait)
	a.Most = slowMost
	return a
}

// A peer that takes three times Wait, and is heard of on the other link meanwhile, is waited for.
func TestSlowPeerHeardOf(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f, tell := slowFleet(t, 3*slowWait)
		tell(3*slowWait, func() {})
		if took, err := f.ask(patientAsk()); err != nil || took != 3*slowWait {
			t.Errorf("Ask of a slow peer: %v after %v, want an answer after %v", err, took, 3*slowWait)
		}
	})
}

// Asks that wait for those before them are answered however many those are, because the peer is heard of.
func TestSlowQueue(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const takes = 30 * time.Millisecond
		f, _ := slowFleet(t, takes)
		var asks []*cluster.Ask
		for range 8 {
			a := patientAsk()
			for len(a.Checks) < cluster.MaxChecks { // so that each has a message of its own
				a.Checks = append(a.Checks, a.Checks[0])
			}
			asks = append(asks, a)
			f.peer.Ask(a)
		}
		began := time.Now()
		for i, a := range asks {
			<-a.Finished()
			if took, want := time.Since(began), time.Duration(i+1)*takes; a.Err != nil || took != want {
				t.Errorf("ask %d: %v after %v, want an answer after %v", i, a.Err, took, want)
			}
		}
	})
}

// A slow peer that is not heard of any more is waited for Wait from its last word on, and the next asks end at once.
func TestSlowPeerFallsSilent(t *testing.T) {
	for _, talks := range []time.Duration{0, 2 * slowWait} {
		bubble.Test(t, func(t *testing.T) {
			f, tell := slowFleet(t, time.Second)
			if a := told(f.peer, time.Second); a.Err != nil {
				t.Fatalf("tell: %v", a.Err)
			}
			time.Sleep(time.Second)
			tell(talks, f.host.freeze)
			took, err := f.ask(patientAsk())
			if !errors.Is(err, cluster.ErrPeerSilent) || took < max(talks, slowWait) || took > talks+slowWait+tick {
				t.Errorf("Ask of a peer that talks for %v: %v after %v, want ErrPeerSilent %v later", talks, err, took, slowWait)
			}
			if took, err := f.ask(patientAsk()); !errors.Is(err, cluster.ErrPeerSilent) || took > 0 {
				t.Errorf("next Ask of a peer that talks for %v: %v after %v, want ErrPeerSilent at once", talks, err, took)
			}
		})
	}
}

// However much is heard of a peer, an ask that it does not answer ends at its Most. A stream from which nothing came for
// that long costs no more callers as much; an ask without Most does not make it count as silent sooner.
func TestMost(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f, tell := slowFleet(t, 3*time.Second)
		tell(2*slowMost, func() {})
		first := patientAsk()
		began := time.Now()
		f.peer.Ask(first)
		synctest.Wait()
		for range 3 {
			if took, err := f.ask(newAsk("k", slowWait)); !errors.Is(err, cluster.ErrPeerSilent) || took < slowWait || took > slowWait+tick {
				t.Errorf("Ask without Most: %v after %v, want ErrPeerSilent after %v", err, took, slowWait)
			}
		}
		<-first.Finished()
		if took := time.Since(began); !errors.Is(first.Err, cluster.ErrPeerSilent) || took < slowMost || took > slowMost+tick {
			t.Errorf("Ask: %v after %v, want ErrPeerSilent after %v", first.Err, took, slowMost)
		}
		if took, err := f.ask(patientAsk()); !errors.Is(err, cluster.ErrPeerSilent) || took > 0 {
			t.Errorf("next Ask: %v after %v, want ErrPeerSilent at once", err, took)
		}
	})
}

// What is overdue when it is about to be sent is sent nevertheless to a peer that was heard of meanwhile.
func TestSlowDrop(t *testing.T) {
	for heard, want := range map[instant]int{slowWait / 2: 1, 2 * slowWait: 0} {
		b := batch{entries: []entry{newEntry(patientAsk(), moment{}, 1)}}
		if got := len(b.drop(moment{now: 2 * slowWait, wall: 2 * slowWait}, heard)); got != want {
			t.Errorf("drop, the peer heard of at %v: %d asks, want %d", heard, got, want)
		}
	}
}
