package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/ring"
)

// denies answers a with a denial.
func denies(a *Ask, by ring.Member, wait time.Duration) error {
	a.Answer = Answer{Status: Decided, Holder: by, Term: 3}
	for i := range a.Checks {
		a.Checks[i].Decision = bucket.Decision{RetryAfter: wait, ResetAfter: time.Second}
	}
	return nil
}

// A denial is repeated until its RetryAfter has passed, for the same cost and more, and not for what may be allowed.
func TestDenialRepeated(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, s, r := scriptedNode(t, func(to ring.Member, a *Ask) error { return denies(a, to, 100*time.Millisecond) })
		r.Limit, r.Cost = bucket.Limit{Tokens: 10, Per: time.Second, Burst: 10}, 2
		ask := func(change func(*bucket.Request)) (d bucket.Decision, asked bool) {
			t.Helper()
			r, before := r, s.asks()
			change(&r)
			d, err := n.Check(t.Context(), r)
			if err != nil || d.Allowed {
				t.Fatalf("Check: %+v, %v, want it denied", d, err)
			}
			return d, s.asks() > before
		}
		same := func(*bucket.Request) {}
		if d, asked := ask(same); !asked || d.Source != bucket.FromHolder {
			t.Fatalf("first: %+v, asked %v", d, asked)
		}
		time.Sleep(30 * time.Millisecond)
		want := bucket.Decision{Source: bucket.FromDenial, RetryAfter: 70 * time.Millisecond, ResetAfter: 970 * time.Millisecond, Node: "b"}
		if d, asked := ask(same); asked || d != want {
			t.Errorf("again: %+v, asked %v, want %+v", d, asked, want)
		}
		if d, asked := ask(func(r *bucket.Request) { r.Cost = 5 }); asked || d.RetryAfter != 370*time.Millisecond {
			t.Errorf("for more: %+v, asked %v, want it after 370ms, not asked", d, asked)
		}
		for _, is := range []struct {
			what   string
			change func(*bucket.Request)
		}{
			{"less", func(r *bucket.Request) { r.Cost = 1 }},
			{"an id", func(r *bucket.Request) { r.ID = "id" }},
			{"nothing", func(r *bucket.Request) { r.Cost = 0 }},
			{"another limit", func(r *bucket.Request) { r.Limit.Burst++ }},
		} {
			if _, asked := ask(is.change); !asked {
				t.Errorf("%s: the holder was not asked", is.what)
			}
		}
		ask(same) // the other limit took its place
		time.Sleep(99 * time.Millisecond)
		if _, asked := ask(same); asked {
			t.Error("the holder was asked before RetryAfter had passed")
		}
		time.Sleep(time.Millisecond)
		if _, asked := ask(same); !asked {
			t.Error("the holder was not asked once RetryAfter had passed")
		}
		if got := n.Status().Repeated; got != 3 {
			t.Errorf("Status: %d repeated, want 3", got)
		}
	})
}

// A denial that never ends is asked for again after a while; and a table full of them has its bounds.
func TestDenialsBounded(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, s, r := scriptedNode(t, func(to ring.Member, a *Ask) error { return denies(a, to, bucket.Never) })
		for range 2 {
			if d, err := n.Check(t.Context(), r); err != nil || d.RetryAfter != bucket.Never {
				t.Fatalf("Check: %+v, %v, want it denied for ever", d, err)
			}
		}
		if s.asks() != 1 {
			t.Errorf("the holder was asked %d times, want once", s.asks())
		}
		time.Sleep(denialMost)
		if n.Check(t.Context(), r); s.asks() != 2 {
			t.Errorf("the holder was asked %d times after %v, want twice", s.asks(), denialMost)
		}
		for i := range 2 * denialSets * denialWays {
			key := fmt.Sprint(i)
			n.denials.put(ring.Hash(key), key, &denial{key: key, until: n.now()}, nil, n.now())
		}
		kept := 0
		for i := range n.denials.sets {
			for k := range n.denials.sets[i].ways {
				if n.denials.sets[i].ways[k].Load() != nil {
					kept++
				}
			}
		}
		if most := denialSets * denialWays; kept > most || kept < most/2 {
			t.Errorf("%d denials are kept, want at most %d, and many", kept, most)
		}
	})
}

// What is over is asked by one, and what that one hears holds for all who wait. What it is allowed the next one asks for.
func TestDenialOneAsks(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var asked, tokens atomic.Int64
		n, _, r := scriptedNode(t, func(to ring.Member, a *Ask) error {
			asked.Add(1)
			time.Sleep(5 * time.Millisecond)
			left := tokens.Add(-1)
			if left < 0 {
				return denies(a, to, 100*time.Millisecond)
			}
			decided(a, to)
			a.Checks[0].Decision.Remaining = left
			return nil
		})
		r.Limit = bucket.Limit{Burst: 100} // of a quota an answer does not tell how long the next is denied
		n.Check(t.Context(), r)
		time.Sleep(200 * time.Millisecond)
		for _, there := range []int{0, 1, 3, 50} {
			asked.Store(0)
			tokens.Store(int64(there))
			allowed := make(chan bool, 50)
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					d, err := n.Check(t.Context(), r)
					if err != nil {
						t.Error(err)
					}
					allowed <- d.Allowed
				})
			}
			all.Wait()
			close(allowed)
			got := 0
			for is := range allowed {
				if is {
					got++
				}
			}
			if got != there {
				t.Errorf("with %d tokens: %d allowed", there, got)
			}
			if most := there + 3; there < 50 && int(asked.Load()) > most {
				t.Errorf("with %d tokens: asked %d times for 50, want at most %d", there, asked.Load(), most)
			}
			time.Sleep(200 * time.Millisecond)
		}
	})
}

// Who asks and goes away leaves the turn to the next.
func TestDenialTurnPasses(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, s, r := scriptedNode(t, func(to ring.Member, a *Ask) error { return denies(a, to, 100*time.Millisecond) })
		n.Check(t.Context(), r)
		time.Sleep(100 * time.Millisecond)
		_, _, turn := n.recall(t.Context(), ring.Hash(r.Key), &r, n.now()+bucket.Instant(time.Second), false)
		if turn == nil {
			t.Fatal("nobody asks, and there is no turn")
		}
		got := make(chan bucket.Decision, 2)
		for range 2 {
			go func() {
				d, _ := n.Check(t.Context(), r)
				got <- d
			}()
		}
		gone, cancel := context.WithCancel(t.Context())
		go n.Check(gone, r)
		synctest.Wait()
		cancel()
		n.pass(turn)
		first, second := <-got, <-got
		if first.Allowed || second.Allowed || s.asks() > 3 {
			t.Errorf("%+v and %+v after %d asks, want two denials", first, second, s.asks())
		}
	})
}

// Who waits for another one who asks does so for no longer than for a holder that is silent: there is time left to answer.
func TestDenialWaitEnds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, s, r := scriptedNode(t, func(to ring.Member, a *Ask) error { return denies(a, to, 100*time.Millisecond) })
		n.Check(t.Context(), r)
		time.Sleep(100 * time.Millisecond)
		if _, _, turn := n.recall(t.Context(), ring.Hash(r.Key), &r, n.now()+bucket.Instant(time.Second), false); turn == nil {
			t.Fatal("nobody asks, and there is no turn") // and it is never handed on
		}
		for _, most := range []time.Duration{n.config.PeerWait, 20 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), most)
			began := time.Now()
			if d, err := n.Check(ctx, r); err != nil || d.Allowed || time.Since(began) >= most {
				t.Errorf("%+v, %v after %v, want an answer before %v", d, err, time.Since(began), most)
			}
			cancel()
		}
		if s.asks() != 2 { // what the first heard is remembered
			t.Errorf("the holder was asked %d times, want 2", s.asks())
		}
	})
}

// What was asked before tokens came is not remembered, and what is remembered is forgotten then.
func TestDenialForgotten(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var n *Node
		forget := func(r bucket.Request) {
			asks := []Ask{{Op: OpForget, Wait: time.Second, Checks: []Check{{Request: bucket.Request{Key: r.Key}}}}}
			if n.Answer("b", asks); asks[0].Answer.Status != Decided {
				t.Errorf("OpForget: %+v", asks[0].Answer)
			}
		}
		meanwhile := false
		n, s, r := scriptedNode(t, func(to ring.Member, a *Ask) error {
			if meanwhile {
				forget(a.Checks[0].Request)
			}
			return denies(a, to, time.Second)
		})
		for i, want := range []int{1, 1, 2, 3, 4, 4} {
			switch meanwhile = i == 3 || i == 2; {
			case i == 2:
				forget(r)
			}
			time.Sleep(time.Millisecond)
			if n.Check(t.Context(), r); s.asks() != want {
				t.Errorf("check %d: the holder was asked %d times, want %d", i, s.asks(), want)
			}
		}
	})
}

// A holder that gives back tells those whom it has denied, and nobody else.
func TestRefundIsTold(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var told []string
		n, _, r := scriptedNode(t, func(to ring.Member, a *Ask) error {
			if a.Op == OpForget {
				told = append(told, string(to)+" "+a.Checks[0].Request.Key)
			}
			return decided(a, to)
		})
		r.Limit = bucket.Limit{Burst: 10}
		keys := map[bool]string{}
		for i := 0; len(keys) < 2; i++ {
			if place, err := n.Where(fmt.Sprint("own", i)); err == nil && place.Holder == "a" {
				keys[len(keys) == 0] = fmt.Sprint("own", i)
			}
		}
		answer := func(from ring.Member, op Op, hold uint64, cost int64, key string) bucket.Decision {
			t.Helper()
			r.Key, r.Cost = key, cost
			p := n.view.Load().table.Partition(ring.Hash(r.Key))
			asks := []Ask{{Op: op, Hold: hold, Wait: time.Second, Checks: []Check{{Partition: p, Request: r}}}}
			if n.Answer(from, asks); asks[0].Answer.Status != Decided {
				t.Fatalf("%+v", asks[0].Answer)
			}
			synctest.Wait()
			return asks[0].Checks[0].Decision
		}
		hold := uint64(0)
		for _, key := range keys {
			hold++
			answer("b", OpTake, hold, 8, key)
			if key == keys[true] {
				if d := answer("c", OpTake, 0, 8, key); d.Allowed {
					t.Fatalf("%+v, want it denied", d)
				}
			}
			answer("b", OpRefund, hold, 8, key)
		}
		slices.Sort(told)
		k := keys[true]
		if want := []string{"b " + k, "c " + k, "d " + k, "e " + k}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

// A table is safe for all who use it at once.
func TestDenialsConcurrent(t *testing.T) {
	n, _, r := scriptedNode(t, nil)
	table := n.view.Load().table
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			r := r
			for k := range 2000 {
				r.Key = fmt.Sprint(k % 5)
				h, now := ring.Hash(r.Key), n.now()
				e := &denial{key: r.Key, limit: r.Limit, cost: 1, table: table, until: now + bucket.Instant(i), heard: make(chan struct{})}
				switch (k + i) % 3 {
				case 0:
					n.denials.put(h, r.Key, e, nil, now)
				case 1:
					n.denials.forget(now, r.Key)
				default:
					if got := n.denials.find(h, &r); got != nil && got.key != r.Key {
						t.Errorf("found %q for %q", got.key, r.Key)
					}
				}
			}
		})
	}
	all.Wait()
}
