package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

func limit(t testing.TB, s string) bucket.Limit {
	t.Helper()
	l, err := bucket.ParseLimit(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("n%02d", i)
	}
	return all
}

// Clusters of 3, 10 and 30 nodes limit exactly: of a quota, asked for at all nodes at once, as much is allowed as there is.
func TestExact(t *testing.T) {
	for _, size := range sizes() {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				c := clustertest.Start(t, names(size)...)
				quota := limit(t, "quota 100")
				for _, key := range []string{"a", "b", "user:42", "10.0.0.1"} {
					if got := spendAtOnce(t, c, key, quota, 1000); got != 100 {
						t.Errorf("%d of 1000 checks of %q allowed, want 100", got, key)
					}
				}
			})
		})
	}
}

// sizes are of clusters that are tried: what 30 nodes do that 10 do not is no race.
func sizes() []int {
	if raceEnabled {
		return []int{3, 10}
	}
	return []int{3, 10, 30}
}

// spendAtOnce asks for one token times times, all at once and at all nodes, and returns how many were allowed.
func spendAtOnce(t *testing.T, c *clustertest.Cluster, key string, l bucket.Limit, times int) int64 {
	t.Helper()
	var allowed atomic.Int64
	var wg sync.WaitGroup
	all := c.Names()
	for i := range times {
		n := c.Node(all[i%len(all)])
		wg.Go(func() {
			d, err := n.Check(context.Background(), bucket.Request{Key: key, Limit: l, Cost: 1})
			if err != nil || d.Degraded {
				t.Errorf("Check(%q) = %+v, %v, want an answer of the holder", key, d, err)
			}
			if d.Allowed {
				allowed.Add(1)
			}
		})
	}
	wg.Wait()
	return allowed.Load()
}

// All nodes name one holder for a key, and every decision on it comes from there.
func TestOneHolder(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ofFleets := func(c *cluster.Config) { c.Ring.Partitions = 0 }
		c := clustertest.StartWith(t, clustertest.Setup{Config: ofFleets}, names(5)...)
		for i := range 200 {
			key := fmt.Sprintf("account:%d", i)
			holder := c.Holder(key)
			for _, name := range c.Names() {
				d, err := c.Node(name).Check(context.Background(), bucket.Request{Key: key, Limit: limit(t, "10/s"), Cost: 1})
				if err != nil || d.Node != holder || d.Source != bucket.FromHolder {
					t.Fatalf("%s.Check(%q) = %+v, %v, want an answer of %s", name, key, d, err, holder)
				}
			}
		}
	})
}

// A rate holds over the whole cluster: after the burst no more than the refill is allowed, and no less.
func TestSteady(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		l := limit(t, "50/s burst 20")
		allowed := 0
		for range 1000 { // 10 s
			allowed += c.Spend("tenant", l, 3)
			time.Sleep(10 * time.Millisecond)
		}
		if want := 20 + 50*10; allowed < want-1 || allowed > want {
			t.Errorf("%d allowed in 10 s of 50/s with a burst of 20, want %d", allowed, want)
		}
	})
}

// An all-or-nothing check that one limit denies charges none of the others, wherever they are held.
func TestCheckAllDeniedChargesNothing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		c.Net.SetLatency(time.Millisecond)
		ctx := context.Background()
		n := c.Node("a")
		var reqs []bucket.Request
		for _, at := range c.Names() {
			reqs = append(reqs, bucket.Request{Key: c.KeyAt(at, "open"), Limit: limit(t, "quota 1000"), Cost: 7})
		}
		spent := bucket.Request{Key: c.KeyAt("b", "spent"), Limit: limit(t, "quota 20"), Cost: 7}
		reqs = append(reqs, spent)
		for i := range 10 {
			ds, err := n.CheckAll(ctx, reqs)
			if err != nil {
				t.Fatal(err)
			}
			if want := i < 2; ds.Allowed() != want {
				t.Fatalf("CheckAll %d allowed: %v, want %v", i, ds.Allowed(), want)
			}
			if !ds.Allowed() && ds.DeniedBy() != 3 {
				t.Errorf("CheckAll %d denied by request %d, want 3", i, ds.DeniedBy())
			}
		}
		for _, r := range reqs[:3] {
			d, err := n.Peek(ctx, r.Key, r.Limit)
			if err != nil || d.Remaining != 1000-2*7 {
				t.Errorf("Peek(%q) = %+v, %v, want %d remaining", r.Key, d, err, 1000-2*7)
			}
		}
	})
}

// Concurrent all-or-nothing checks over keys of several holders take exactly what there is of the scarcest.
func TestCheckAllConcurrent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		ctx := context.Background()
		scarce := c.KeyAt("b", "scarce")
		plenty := []string{c.KeyAt("a", "p"), c.KeyAt("b", "p"), c.KeyAt("c", "p")}
		var allowed atomic.Int64
		var wg sync.WaitGroup
		for i := range 300 {
			n := c.Node(c.Names()[i%3])
			wg.Go(func() {
				reqs := []bucket.Request{{Key: scarce, Limit: limit(t, "quota 50"), Cost: 1}}
				for _, key := range plenty {
					reqs = append(reqs, bucket.Request{Key: key, Limit: limit(t, "quota 1000"), Cost: 1})
				}
				ds, err := n.CheckAll(ctx, reqs)
				if err != nil {
					t.Error(err)
				}
				if ds.Allowed() {
					allowed.Add(1)
				}
			})
		}
		wg.Wait()
		if got := allowed.Load(); got != 50 {
			t.Errorf("%d all-or-nothing checks allowed, want 50", got)
		}
		for _, key := range plenty {
			if d, err := c.Node("a").Peek(ctx, key, limit(t, "quota 1000")); err != nil || d.Remaining != 950 {
				t.Errorf("Peek(%q) = %+v, %v, want 950 remaining", key, d, err)
			}
		}
	})
}

// A check that is sent again under its id, at whatever node, is charged once.
func TestIDChargedOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		l := limit(t, "quota 10")
		for i := range 9 {
			r := bucket.Request{Key: "ticket", Limit: l, Cost: 1, ID: "order-7"}
			d, err := c.Node(c.Names()[i%3]).Check(context.Background(), r)
			if err != nil || !d.Allowed || d.Remaining != 9 {
				t.Errorf("Check %d under one id = %+v, %v, want it allowed with 9 remaining", i, d, err)
			}
		}
		if d, err := c.Node("a").Peek(context.Background(), "ticket", l); err != nil || d.Remaining != 9 {
			t.Errorf("Peek = %+v, %v, want 9 remaining", d, err)
		}
	})
}

// While a holder does not answer, its keys are answered by their OnLost rules and marked; other keys are not touched.
func TestOnLost(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		c.Spend(c.KeyAt("b", "warm"), limit(t, "10/s"), 3)
		key := c.KeyAt("b", "key")
		other := c.KeyAt("c", "key")
		c.Freeze("b")
		ask := func(key string, rule bucket.OnLost) bucket.Decision {
			t.Helper()
			r := bucket.Request{Key: key, Limit: limit(t, "30/s"), Cost: 1, OnLost: rule}
			d, err := c.Node("a").Check(context.Background(), r)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		if d := ask(key, bucket.Deny); d.Allowed || !d.Degraded || d.Source != bucket.FromDegraded || d.RetryAfter <= 0 {
			t.Errorf("with Deny: %+v, want it denied, degraded, with a RetryAfter", d)
		}
		if d := ask(key, bucket.Allow); !d.Allowed || !d.Degraded {
			t.Errorf("with Allow: %+v, want it allowed and degraded", d)
		}
		if d := ask(key, bucket.Share); !d.Degraded {
			t.Errorf("with Share: %+v, want it degraded", d)
		}
		if d := ask(other, bucket.Deny); d.Degraded || !d.Allowed {
			t.Errorf("key of a living holder: %+v, want it allowed and not degraded", d)
		}
	})
}

// In the gap the shares of all nodes together admit no more than the refill, and no burst.
func TestSharesAddUpToTheRefill(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		key := c.KeyAt("b", "key")
		l := limit(t, "300/s burst 1000")
		c.Freeze("b")
		began, allowed := time.Now(), 0
		for time.Since(began) < time.Second {
			for _, name := range []string{"a", "c"} {
				d, err := c.Node(name).Check(context.Background(), bucket.Request{Key: key, Limit: l, Cost: 1})
				if err != nil {
					t.Fatal(err)
				}
				if d.Degraded && d.Allowed {
					allowed++
				}
			}
		}
		if most := int(300*time.Since(began)/time.Second) + 1; allowed > most || allowed == 0 {
			t.Errorf("%d allowed in a gap of %v without the holder, want 1 to %d", allowed, time.Since(began), most)
		}
	})
}

// A node that dies is replaced: its keys are decided on elsewhere, in full, once gossip knows.
func TestKill(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, names(5)...)
		key := c.KeyAt("n03", "key")
		c.Kill("n03")
		c.Settle()
		d, err := c.Node("n00").Check(context.Background(), bucket.Request{Key: key, Limit: limit(t, "10/s"), Cost: 1})
		if err != nil || !d.Allowed || d.Degraded || d.Node == "n03" {
			t.Errorf("Check after its holder's death = %+v, %v, want a full answer", d, err)
		}
		c.Add("n03")
		c.Leave("n01")
		if got := c.Spend(key, limit(t, "quota 5"), 20); got != 5 {
			t.Errorf("%d allowed after a join and a leave, want 5", got)
		}
	})
}

// Wait returns when its turn has come, and at once when that is too late.
func TestWait(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b")
		ctx := context.Background()
		r := bucket.Request{Key: "k", Limit: limit(t, "10/s burst 1"), Cost: 1}
		began := time.Now()
		for range 11 {
			if _, err := c.Node("a").Wait(ctx, r); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < time.Second || took > 1100*time.Millisecond {
			t.Errorf("11 turns of 10/s took %v, want 1s", took)
		}
		soon, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		began = time.Now()
		if _, err := c.Node("a").Wait(soon, r); !errors.Is(err, cluster.ErrTooLate) || time.Since(began) > 10*time.Millisecond {
			t.Errorf("Wait past its deadline = %v after %v, want ErrTooLate at once", err, time.Since(began))
		}
		never := bucket.Request{Key: "q", Limit: limit(t, "quota 1"), Cost: 1}
		c.Spend("q", never.Limit, 1)
		if _, err := c.Node("b").Wait(ctx, never); !errors.Is(err, cluster.ErrTooLate) {
			t.Errorf("Wait on a spent quota = %v, want ErrTooLate", err)
		}
	})
}

// Reset fills a bucket, from any node.
func TestReset(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		l := limit(t, "quota 5")
		for _, name := range c.Names() {
			if got := c.Spend("k", l, 9); got != 5 {
				t.Errorf("%d allowed, want 5", got)
			}
			if err := c.Node(name).Reset(context.Background(), "k"); err != nil {
				t.Errorf("%s.Reset: %v", name, err)
			}
		}
	})
}

// Bad requests get an error that says what is wrong, wherever the key is held, and take nothing.
func TestBadRequests(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b")
		ok := limit(t, "10/s")
		for _, at := range c.Names() {
			key := c.KeyAt(at, "k")
			for _, tt := range []struct {
				r    bucket.Request
				want error
			}{
				{bucket.Request{Key: "", Limit: ok, Cost: 1}, bucket.ErrKey},
				{bucket.Request{Key: string(make([]byte, 513)), Limit: ok, Cost: 1}, bucket.ErrKey},
				{bucket.Request{Key: "a\xff", Limit: ok, Cost: 1}, bucket.ErrKey},
				{bucket.Request{Key: key, Limit: ok, Cost: -1}, bucket.ErrCost},
				{bucket.Request{Key: key, Limit: ok, Cost: 11}, bucket.ErrCost},
				{bucket.Request{Key: key, Limit: bucket.Limit{}, Cost: 1}, bucket.ErrLimit},
				{bucket.Request{Key: key, Limit: ok, Cost: 1, ID: string(make([]byte, 65))}, bucket.ErrID},
			} {
				if d, err := c.Node("a").Check(context.Background(), tt.r); !errors.Is(err, tt.want) {
					t.Errorf("Check(%+v) = %+v, %v, want %v", tt.r, d, err, tt.want)
				}
				if ds, err := c.Node("a").CheckAll(context.Background(), []bucket.Request{tt.r}); !errors.Is(err, tt.want) {
					t.Errorf("CheckAll(%+v) = %+v, %v, want %v", tt.r, ds, err, tt.want)
				}
			}
			if d, err := c.Node("b").Peek(context.Background(), key, ok); err != nil || d.Remaining != 10 {
				t.Errorf("Peek = %+v, %v, want 10 remaining", d, err)
			}
		}
	})
}

// When a node says that it is ready, all others go by the ring that has it in it.
func TestReadyMeansAllAgree(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, names(5)...)
		for range 5 {
			name := fmt.Sprintf("m%d", len(c.Names()))
			c.Launch(name)
			<-c.Node(name).Ready()
			epoch := c.Node(name).Status().Epoch
			for _, other := range c.Names() {
				if got := c.Node(other).Status().Epoch; got != epoch {
					t.Errorf("%s is ready with epoch %s while %s has %s", name, epoch, other, got)
				}
			}
		}
	})
}

// A node whose only seed is itself is the first of its cluster.
func TestItsOwnSeed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := clustertest.NewNet(1)
		host := net.Host()
		tr, err := net.Transport(host + ":7946")
		if err != nil {
			t.Fatal(err)
		}
		n, err := cluster.New(cluster.Config{
			Name: "a", Transport: clustertest.NewWires(net).Transport(host), GossipTransport: tr, Gossip: host + ":7946",
			Seeds: []string{host + ":7946"},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		done := make(chan error)
		go func() { done <- n.Run(ctx) }()
		select {
		case <-n.Ready():
		case <-ctx.Done():
			t.Error("a node whose seed is itself is not ready after a minute")
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		time.Sleep(time.Minute)
	})
}
