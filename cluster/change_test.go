package cluster_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// spendEach asks for one token of each of many keys so many times, and returns how often each was allowed.
func spendEach(t *testing.T, c *clustertest.Cluster, l bucket.Limit, keys, times int) map[string]int {
	t.Helper()
	allowed := map[string]int{}
	for i := range keys {
		key := fmt.Sprintf("tenant/%d", i)
		allowed[key] = c.Spend(key, l, times)
	}
	return allowed
}

// Joins, leaves and rolling restarts forget no token that was taken, and lose none that is there.
func TestChangesForgetNothing(t *testing.T) {
	for _, size := range sizes() {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				c := clustertest.Start(t, names(size)...)
				quota := limit(t, "quota 10")
				const keys = 60
				want := func(after string, got map[string]int, n int) {
					t.Helper()
					for key, allowed := range got {
						if allowed != n {
							t.Errorf("after %s: %d of %s allowed, want %d", after, allowed, key, n)
						}
					}
				}
				want("the start", spendEach(t, c, quota, keys, 4), 4)
				c.Add("z1", "z2")
				want("two joins", spendEach(t, c, quota, keys, 2), 2)
				c.Leave("n00")
				want("a leave", spendEach(t, c, quota, keys, 2), 2)
				c.Leave("n01")
				c.Add("n01")
				want("a restart", spendEach(t, c, quota, keys, 20), 2)
			})
		})
	}
}

// The death of a holder forgets nothing that was admitted some ticks before, and nothing at all with sync.
func TestHolderDies(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, names(5)...)
		quota := limit(t, "quota 10")
		key := c.KeyAt("n03", "async")
		if got := c.Spend(key, quota, 6); got != 6 {
			t.Fatalf("%d of 6 allowed", got)
		}
		time.Sleep(100 * time.Millisecond)
		n := c.Node("n01")
		sync := bucket.Request{Key: c.KeyAt("n03", "sync"), Limit: quota, Cost: 6, Durability: bucket.Sync}
		if d, err := n.Check(context.Background(), sync); err != nil || !d.Allowed || d.Degraded {
			t.Fatalf("Check(%+v) = %+v, %v, want it allowed by the holder", sync, d, err)
		}
		c.Kill("n03")
		c.Settle()
		if got := c.Spend(key, quota, 20); got != 4 {
			t.Errorf("%d more tokens spent after the death of the holder, want 4", got)
		}
		if got := c.Spend(sync.Key, quota, 20); got != 4 {
			t.Errorf("%d more tokens spent after the death of the holder right after a sync admission, want 4", got)
		}
	})
}

// Who asks right after the death of a holder, or of an heir who was to keep a sync admission, waits a moment for the next
// one, and is not answered without it.
func TestNobodyNoticesADeath(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, names(5)...)
		time.Sleep(2 * time.Second)
		quota := limit(t, "quota 10")
		n := c.Node("n01")
		held := bucket.Request{Key: c.KeyAt("n03", "held"), Limit: quota, Cost: 1}
		kept := bucket.Request{Limit: quota, Cost: 1, Durability: bucket.Sync}
		for i := 0; ; i++ {
			kept.Key = c.KeyAt("n02", strconv.Itoa(i))
			if at, err := n.Where(kept.Key); err != nil {
				t.Fatal(err)
			} else if at.Heir == "n03" {
				break
			}
		}
		c.Kill("n03")
		var asked sync.WaitGroup
		for _, r := range []bucket.Request{held, kept} {
			asked.Go(func() {
				began := time.Now()
				if d, err := n.Check(context.Background(), r); err != nil || !d.Allowed || d.Degraded || time.Since(began) > 200*time.Millisecond {
					t.Errorf("Check(%+v) = %+v, %v after %v, want the answer of a holder within 200ms", r, d, err, time.Since(began))
				}
			})
		}
		asked.Wait()
	})
}

// The same holds for who asks a node that has heard of the death sooner than the heir.
func TestNobodyNoticesADeathThatIsKnown(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, names(5)...)
		time.Sleep(2 * time.Second)
		n := c.Node("n01")
		r := bucket.Request{Key: c.KeyAt("n03", "held"), Limit: limit(t, "quota 10"), Cost: 1}
		other := r
		other.Key = c.KeyAt("n03", "other")
		c.Kill("n03")
		go n.Check(context.Background(), other) // finds out
		for len(n.Status().Members) == 5 {
			time.Sleep(time.Millisecond)
		}
		if d, err := n.Check(context.Background(), r); err != nil || !d.Allowed || d.Degraded {
			t.Errorf("Check = %+v, %v, want the answer of a holder", d, err)
		}
	})
}

// While a cluster is cut in two the larger side goes on and the smaller one denies by the rule; after the heal each key has
// one holder, and both sides together have admitted no more than the quota and what the cut took some time to be seen.
func TestCutAndHeal(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, names(5)...)
		quota := limit(t, "quota 100")
		small, large := c.Node("n00"), c.Node("n04")
		keys := []string{c.KeyAt("n00", "small"), c.KeyAt("n03", "large")}
		ask := func(n *cluster.Node, key string, times int) (allowed, degraded int) {
			for range times {
				d, err := n.Check(context.Background(), bucket.Request{Key: key, Limit: quota, Cost: 1, OnLost: bucket.Deny})
				if err != nil {
					t.Fatal(err)
				}
				if d.Allowed {
					allowed++
				}
				if d.Degraded {
					degraded++
				}
			}
			return allowed, degraded
		}
		spent := map[string]int{}
		for _, key := range keys {
			spent[key], _ = ask(large, key, 30)
		}
		time.Sleep(100 * time.Millisecond)
		c.Cut("n00", "n01")
		time.Sleep(15 * time.Second)
		for _, key := range keys {
			if allowed, degraded := ask(small, key, 10); allowed != 0 || degraded != 10 {
				t.Errorf("%s on the smaller side: %d of 10 allowed, %d degraded; want all denied by the rule", key, allowed, degraded)
			}
			allowed, degraded := ask(large, key, 10)
			if allowed != 10 || degraded != 0 {
				t.Errorf("%s on the larger side: %d of 10 allowed, %d degraded; want all allowed in full", key, allowed, degraded)
			}
			spent[key] += allowed
		}
		c.Heal()
		time.Sleep(30 * time.Second) // memberlist looks for the lost every 10 to 15 s
		c.Settle()
		for _, key := range keys {
			for _, n := range []*cluster.Node{small, large} {
				allowed, degraded := ask(n, key, 100)
				if degraded != 0 {
					t.Errorf("%s after the heal: %d of 100 degraded, want none", key, degraded)
				}
				spent[key] += allowed
			}
			if spent[key] != 100 {
				t.Errorf("%s: %d allowed in all, want the quota of 100", key, spent[key])
			}
		}
	})
}

// A node that stands still for longer than others wait for it decides on nothing when it goes on, before it has heard who
// holds what it held.
func TestFrozenHolderComesBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, names(4)...)
		quota := limit(t, "quota 50")
		key := c.KeyAt("n02", "frozen")
		frozen := c.Node("n02")
		spent := c.Spend(key, quota, 10)
		time.Sleep(100 * time.Millisecond)
		c.Freeze("n02")
		time.Sleep(10 * time.Second)
		d, err := c.Node("n00").Check(context.Background(), bucket.Request{Key: key, Limit: quota, Cost: 10})
		if err != nil || !d.Allowed || d.Degraded {
			t.Errorf("Check while the former holder is frozen = %+v, %v; want it allowed by the next one", d, err)
		}
		if d, err := frozen.Check(context.Background(), bucket.Request{Key: key, Limit: quota, Cost: 1, OnLost: bucket.Deny}); err != nil || !d.Degraded || d.Allowed {
			t.Errorf("Check at a node that nobody hears = %+v, %v; want it denied by the rule", d, err)
		}
		c.Thaw("n02")
		time.Sleep(30 * time.Second)
		c.Settle()
		if got := c.Spend(key, quota, 100); spent+10+got != 50 {
			t.Errorf("%d allowed in all, want the quota of 50", spent+10+got)
		}
	})
}

// A node that crashes and comes back under its name before anybody missed it gets its partitions' replicas back.
func TestCrashAndBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, names(3)...)
		quota := limit(t, "quota 10")
		key := c.KeyAt("n01", "back")
		if got := c.Spend(key, quota, 7); got != 7 {
			t.Fatalf("%d of 7 allowed", got)
		}
		time.Sleep(100 * time.Millisecond)
		c.Kill("n01")
		c.Add("n01")
		if got := c.Spend(key, quota, 20); got != 3 {
			t.Errorf("%d more tokens after the crash, want 3", got)
		}
	})
}
