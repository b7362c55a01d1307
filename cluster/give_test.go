package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// giveBack gives back at a node, and fails the test if that is an error.
func giveBack(t *testing.T, n *cluster.Node, r bucket.Request) bucket.Decision {
	t.Helper()
	d, err := n.GiveBack(context.Background(), r)
	if err != nil {
		t.Fatalf("GiveBack(%+v): %v", r, err)
	}
	return d
}

// Tokens come back to the holder whoever is asked, up to full, and everybody forgets at once what was denied.
func TestGiveBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		for _, l := range []string{"quota 10", "quota 10 per month", "window 10 per 1h", "1/h burst 10"} {
			key := c.KeyAt("b", l)
			r := bucket.Request{Key: key, Limit: limit(t, l), Cost: 1}
			if got := c.Spend(key, r.Limit, 30); got != 10 {
				t.Fatalf("%s: %d spent, want 10", l, got)
			}
			for _, name := range c.Names() { // all remember that it is empty
				if d, err := c.Node(name).Check(context.Background(), r); err != nil || d.Allowed {
					t.Fatalf("%s: %+v, %v", l, d, err)
				}
			}
			r.Cost = 3
			if d := giveBack(t, c.Node("a"), r); !d.Allowed || d.Remaining != 3 || d.Node != "b" {
				t.Errorf("%s: %+v, want 3 at b", l, d)
			}
			synctest.Wait()
			r.Cost = 1
			for _, name := range c.Names() {
				if d, err := c.Node(name).Check(context.Background(), r); err != nil || !d.Allowed {
					t.Errorf("%s: %+v, %v at %s, want one of those that were given back", l, d, err, name)
				}
			}
			r.Cost = 100
			if d := giveBack(t, c.Node("b"), r); d.Remaining != 10 {
				t.Errorf("%s: %+v, want 10 and no more", l, d)
			}
			if got := c.Spend(key, r.Limit, 30); got != 10 {
				t.Errorf("%s: %d spent afterwards, want 10", l, got)
			}
		}
	})
}

// With an id tokens are given back once, whoever is asked again, where the bucket has moved and where its holder has died.
func TestGiveBackOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		key, l := c.KeyAt("b", "key"), limit(t, "quota 10")
		if got := c.Spend(key, l, 10); got != 10 {
			t.Fatal(got)
		}
		r := bucket.Request{Key: key, Limit: l, Cost: 3, ID: "refund 1", Durability: bucket.Sync}
		again := func(when string) {
			t.Helper()
			for _, name := range c.Names() {
				if d := giveBack(t, c.Node(name), r); d.Degraded {
					t.Errorf("%s: %+v at %s", when, d, name)
				}
			}
			if d, err := c.Node("a").Peek(context.Background(), key, l); err != nil || d.Remaining != 3 {
				t.Errorf("%s: %+v, %v, want 3 left", when, d, err)
			}
		}
		again("at first")
		c.Kill("b")
		c.Settle()
		again("after the holder's death")
		c.Leave(c.Holder(key))
		c.Settle()
		for _, name := range c.Names() {
			if d := giveBack(t, c.Node(name), r); d.Remaining != 3 {
				t.Errorf("after the next one left: %+v, want 3 left", d)
			}
		}
	})
}

// With durability sync the replica knows before the answer: what was given back is there after a death in the same moment.
func TestGiveBackSync(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		key, l := c.KeyAt("b", "key"), limit(t, "quota 10")
		if got := c.Spend(key, l, 10); got != 10 {
			t.Fatal(got)
		}
		time.Sleep(time.Second)
		if d := giveBack(t, c.Node("a"), bucket.Request{Key: key, Limit: l, Cost: 4, Durability: bucket.Sync}); d.Degraded || d.Remaining != 4 {
			t.Errorf("%+v, want 4 left", d)
		}
		c.Kill("b")
		c.Settle()
		if d, err := c.Node("a").Peek(context.Background(), key, l); err != nil || d.Remaining != 4 {
			t.Errorf("after the holder's death: %+v, %v, want 4 left", d, err)
		}
	})
}

// What a holder has lent stays lent: bucket and leases together have no more than the limit.
func TestGiveBackWithLeases(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		c.Net.SetLatency(200 * time.Microsecond)
		key, l := c.KeyAt("b", "hot"), limit(t, "1000/s burst 1000")
		began, allowed, given := time.Now(), 0, 0
		for time.Since(began) < 2*time.Second {
			for _, name := range []string{"a", "c"} {
				d, err := c.Node(name).Check(context.Background(), bucket.Request{Key: key, Limit: l, Cost: 1})
				if err != nil || d.Degraded {
					t.Fatal(d, err)
				}
				if d.Allowed {
					allowed++
				}
			}
			if allowed%100 == 0 {
				before, err := c.Node("b").Peek(context.Background(), key, l)
				if err != nil {
					t.Fatal(err)
				}
				after := giveBack(t, c.Node("a"), bucket.Request{Key: key, Limit: l, Cost: 5000})
				given += int(after.Remaining-before.Remaining) + 1
			}
			time.Sleep(200 * time.Microsecond)
		}
		took := time.Since(began).Seconds()
		if most := 1000 + 1000*took + float64(given); float64(allowed) > most {
			t.Errorf("%d allowed in %v s, of which %d were given back, want at most %v", allowed, took, given, most)
		}
		if c.Node("a").Status().Leased+c.Node("c").Status().Leased == 0 {
			t.Error("nothing was lent")
		}
	})
}

// What is there is taken at once, whoever asks, and never more than that by many who ask at the same time.
func TestDrain(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		key, l := c.KeyAt("b", "key"), limit(t, "quota 10")
		d, err := c.Node("a").Drain(context.Background(), bucket.Request{Key: key, Limit: l, Cost: 25})
		if err != nil || d.Allowed || d.Remaining != 0 || d.RetryAfter != bucket.Never || d.Node != "b" {
			t.Errorf("%+v, %v, want it refused and all taken at b", d, err)
		}
		giveBack(t, c.Node("a"), bucket.Request{Key: key, Limit: l, Cost: 10})
		var mu sync.Mutex
		allowed := 0
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				d, err := c.Node(c.Names()[i%3]).Drain(context.Background(), bucket.Request{Key: key, Limit: l, Cost: 3})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if d.Allowed {
					allowed++
				}
			})
		}
		all.Wait()
		if d, err := c.Node("a").Peek(context.Background(), key, l); allowed != 3 || err != nil || d.Remaining != 0 {
			t.Errorf("%d of 3 each were allowed of 10, %+v, %v, want 3 and nothing left", allowed, d, err)
		}
	})
}

// What a remote holder finds wrong is told by its own error.
func TestRemoteErrors(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.StartWith(t, clustertest.Setup{Config: func(k *cluster.Config) { k.MaxReservations = 1 }}, "a", "b", "c")
		key, l := c.KeyAt("b", "key"), limit(t, "quota 10")
		reserve := func(i int) error {
			_, err := c.Node("a").Check(context.Background(), bucket.Request{Key: key, Limit: l, Cost: 1, ID: fmt.Sprint(i), Reserve: time.Minute})
			return err
		}
		if err := reserve(1); err != nil {
			t.Fatal(err)
		}
		if err := reserve(2); !errors.Is(err, bucket.ErrFull) || !errors.Is(err, cluster.ErrAskInvalid) {
			t.Errorf("a reservation too many at another node: %v, want ErrFull", err)
		}
	})
}

// Where nobody can be asked nothing is given back, and who asked is told.
func TestGiveBackLost(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		key, l := c.KeyAt("b", "key"), limit(t, "quota 10 per day")
		c.Freeze("b")
		began := time.Now()
		_, err := c.Node("a").GiveBack(context.Background(), bucket.Request{Key: key, Limit: l, Cost: 1})
		if !errors.Is(err, cluster.ErrPeerSilent) && !errors.Is(err, cluster.ErrPeerLost) {
			t.Errorf("GiveBack = %v, want ErrPeerSilent", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v, want at most half a second", took)
		}
		for _, bad := range []bucket.Request{{Key: key, Limit: limit(t, "concurrency 3"), Cost: 1}, {Key: key, Limit: l, Cost: -1}, {Limit: l, Cost: 1}} {
			if _, err := c.Node("a").GiveBack(context.Background(), bad); err == nil {
				t.Errorf("GiveBack(%+v) is fine, want an error", bad)
			}
		}
		c.Thaw("b")
	})
}
