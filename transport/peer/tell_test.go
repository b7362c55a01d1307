package peer

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/ring"
)

func newTell(body []byte, wait time.Duration) *cluster.Ask {
	a := cluster.NewAsk()
	a.Op, a.Body, a.Wait = cluster.OpTell, body, wait
	return a
}

// echo answers what it is told with the same, and allows everything.
var echo = handler{answer: func(_ ring.Member, asks []cluster.Ask) {
	for i := range asks {
		asks[i].Answer.Body = bytes.Clone(asks[i].Body)
	}
}}

// bodyOf returns n bytes that no other seed has.
func bodyOf(seed, n int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%d,", seed), n)[:n] }

// What is told arrives, and so does what is answered, up to the largest bodies and more of them than a message holds.
// The answers stay what they are when other messages follow.
func TestTell(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, echo)
		var told []*cluster.Ask
		for _, n := range []int{1, 127, 128, 5000, cluster.MaxBody, cluster.MaxBody, cluster.MaxBody, cluster.MaxBody, cluster.MaxBody, 7} {
			told = append(told, newTell(bodyOf(len(told), n), time.Second))
		}
		for range 3 {
			for _, a := range told {
				f.peer.Ask(a)
			}
			for i, a := range told {
				if <-a.Finished(); a.Err != nil {
					t.Fatalf("tell %d: %v", i, a.Err)
				}
			}
		}
		for i, a := range told {
			if want := bodyOf(i, len(a.Body)); !bytes.Equal(a.Answer.Body, want) || a.Answer.Holder != "b" {
				t.Errorf("tell %d: %s answers with %d bytes, want b with the %d that it was told", i, a.Answer.Holder, len(a.Answer.Body), len(want))
			}
		}
	})
}

// An answer that is too long, or a body for a check, is an answer that says so, and the stream goes on.
func TestBadAnswerBody(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, handler{answer: func(_ ring.Member, asks []cluster.Ask) {
			asks[0].Answer.Body = make([]byte, cluster.MaxBody+1)
		}})
		for what, a := range map[string]*cluster.Ask{"check": newAsk("k", time.Second), "tell": newTell([]byte("b"), time.Second)} {
			_, err := f.ask(a)
			if err != nil || a.Answer.Status != cluster.Invalid || a.Answer.Reason == "" || a.Answer.Body != nil {
				t.Errorf("%s: %v, %+v, want Invalid with a reason", what, err, a.Answer)
			}
		}
		if s := f.a.Stats(); s.Opened != 2 {
			t.Errorf("%d streams were opened, want 2: one for checks, one to tell", s.Opened)
		}
	})
}

// Checks are answered while bodies wait that the peer does not take in, and the bodies that wait are bounded.
func TestChecksPassTells(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		f := newFleet(t, Config{MaxTold: 4 << 20}, handler{answer: func(_ ring.Member, asks []cluster.Ask) {
			if asks[0].Op == cluster.OpTell {
				<-stuck
			}
		}})
		told := make([]*cluster.Ask, 40)
		for i := range told {
			told[i] = newTell(bodyOf(i, cluster.MaxBody), time.Second)
			f.peer.Ask(told[i])
		}
		synctest.Wait()
		if took, err := f.ask(newAsk("k", time.Second)); err != nil || took > 0 {
			t.Errorf("a check took %v, %v; want none of the bubble's time", took, err)
		}
		close(stuck)
		busy := 0
		for _, a := range told {
			switch <-a.Finished(); {
			case errors.Is(a.Err, cluster.ErrPeerBusy):
				busy++
			case a.Err != nil:
				t.Errorf("tell: %v", a.Err)
			}
		}
		if busy == 0 || busy > 40-15 { // with what is around it a body is a little more than a sixteenth of the queue
			t.Errorf("%d of 40 tells found the queue full, want those beyond 4 MiB and what was sent", busy)
		}
		want := []LinkStats{{ID: "b", Addr: "b", State: "open"}, {ID: "b", Addr: "b", Tells: true, State: "open"}}
		stats := f.a.Stats()
		if diff := cmp.Diff(stats.Peers, want, cmpopts.IgnoreFields(LinkStats{}, "Trips", "Batches")); diff != "" {
			t.Errorf("links (-got +want):\n%s", diff)
		}
		var batches, trips uint64
		var asks float64
		for _, l := range stats.Peers {
			batches, trips, asks = batches+l.Batches.Count(), trips+l.Trips.Count(), asks+l.Batches.Sum
		}
		if batches != stats.Batches || trips != batches || asks != float64(stats.Asks) {
			t.Errorf("links count %d batches with %v asks and %d round trips, want %d, %d and as many", batches, asks, trips, stats.Batches, stats.Asks)
		}
		if stats.Full != uint64(busy) || stats.MaxQueue == 0 {
			t.Errorf("%d asks found a full queue by Stats, and %d by their errors", stats.Full, busy)
		}
	})
}

// Telling ends as checks do when the peer is gone, frozen or given up.
func TestTellEnds(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*fleet)
		want error
	}{
		"killed": {func(f *fleet) { f.host.cut(); f.kill() }, cluster.ErrPeerLost},
		"frozen": {func(f *fleet) { f.host.freeze() }, cluster.ErrPeerSilent},
		"closed": {func(f *fleet) { f.peer.Close() }, cluster.ErrPeerLost},
		"shut":   {func(f *fleet) { f.a.Close() }, cluster.ErrPeerShutdown},
	} {
		bubble.Test(t, func(t *testing.T) {
			f := newFleet(t, Config{}, echo)
			if _, err := f.ask(newTell([]byte("b"), time.Second)); err != nil {
				t.Fatalf("tell: %v", err)
			}
			var running sync.WaitGroup
			for range 8 {
				running.Go(func() {
					for range 3 {
						a := newTell(bodyOf(1, cluster.MaxBody), 100*time.Millisecond)
						if took, err := f.ask(a); err != nil && (!errors.Is(err, c.want) || took > 110*time.Millisecond) {
							t.Errorf("%s: tell ended after %v with %v, want %v", name, took, err, c.want)
						}
					}
				})
			}
			c.do(f)
			running.Wait()
			a := newTell([]byte("b"), 100*time.Millisecond)
			if _, err := f.ask(a); !errors.Is(err, c.want) {
				t.Errorf("%s: tell ended with %v, want %v", name, err, c.want)
			}
		})
	}
}
