package peer_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport/peer"
)

// overGRPC makes clusters whose nodes speak to each other as real ones do, but for the network under it.
var overGRPC = clustertest.Setup{Transport: func(n *clustertest.Net, host string) cluster.Transport {
	return &lateListener{net: n, host: host}
}}

// A lateListener is a peer.Transport that opens its address of a clustertest.Net when it is told to listen.
type lateListener struct {
	net  *clustertest.Net
	host string
	*peer.Transport

	dialed func(from, to string) // where not nil, it is told of each connection
}

// Listen implements cluster.Transport.
func (l *lateListener) Listen() (string, error) {
	listener, err := l.net.Listen(net.JoinHostPort(l.host, "7947"))
	if err != nil {
		return "", err
	}
	l.Transport, err = peer.New(peer.Config{Listener: listener, Dialer: func(ctx context.Context, addr string) (net.Conn, error) {
		if to, _, err := net.SplitHostPort(addr); err == nil && l.dialed != nil {
			l.dialed(l.host, to)
		}
		return l.net.Dial(ctx, l.host, addr)
	}})
	if err != nil {
		return "", err
	}
	return l.Transport.Listen()
}

func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("n%02d", i)
	}
	return all
}

func parse(t *testing.T, s string) bucket.Limit {
	t.Helper()
	l, err := bucket.ParseLimit(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Clusters of 3, 10 and 30 nodes over real gossip and real gRPC limit exactly, also when all ask at once.
func TestClusterExact(t *testing.T) {
	sizes := []int{3, 10, 30}
	if raceEnabled {
		sizes = sizes[:2] // what 30 nodes do that 10 do not is no race
	}
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				c := clustertest.StartWith(t, overGRPC, names(size)...)
				for _, key := range []string{"a", "user:42"} {
					if got := spendAtOnce(t, c, key, parse(t, "quota 100"), 1000); got != 100 {
						t.Errorf("%d of 1000 checks of %q allowed, want 100", got, key)
					}
				}
			})
		})
	}
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

// All-or-nothing checks over the keys of three nodes give back what they took when one denies.
func TestClusterCheckAll(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.StartWith(t, overGRPC, "a", "b", "c")
		reqs := []bucket.Request{{Key: c.KeyAt("c", "scarce"), Limit: parse(t, "quota 30"), Cost: 1}}
		for _, at := range c.Names() {
			reqs = append(reqs, bucket.Request{Key: c.KeyAt(at, "plenty"), Limit: parse(t, "quota 1000"), Cost: 1})
		}
		var allowed atomic.Int64
		var wg sync.WaitGroup
		for i := range 200 {
			n := c.Node(c.Names()[i%3])
			wg.Go(func() {
				ds, err := n.CheckAll(context.Background(), reqs)
				if err != nil {
					t.Error(err)
				}
				if ds.Allowed() {
					allowed.Add(1)
				}
			})
		}
		wg.Wait()
		if got := allowed.Load(); got != 30 {
			t.Errorf("%d of 200 all-or-nothing checks allowed, want 30", got)
		}
		for _, r := range reqs[1:] {
			if d, err := c.Node("b").Peek(context.Background(), r.Key, r.Limit); err != nil || d.Remaining != 970 {
				t.Errorf("Peek(%q) = %+v, %v, want 970 remaining", r.Key, d, err)
			}
		}
	})
}

// A frozen holder costs its callers PeerWait once. From then on they are answered at once, until it is back.
func TestClusterFrozenHolder(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.StartWith(t, overGRPC, "a", "b", "c")
		r := bucket.Request{Key: c.KeyAt("b", "key"), Limit: parse(t, "100/s"), Cost: 1, OnLost: bucket.Allow}
		check := func() (bucket.Decision, time.Duration) {
			began := time.Now()
			d, err := c.Node("a").Check(context.Background(), r)
			if err != nil {
				t.Fatal(err)
			}
			return d, time.Since(began)
		}
		if d, _ := check(); d.Degraded {
			t.Fatalf("Check before the freeze = %+v, want an answer of the holder", d)
		}
		c.Freeze("b")
		if d, took := check(); !d.Degraded || took < 40*time.Millisecond || took > 60*time.Millisecond {
			t.Errorf("first Check of a frozen holder = %+v after %v, want it degraded after 50ms", d, took)
		}
		waited := time.Duration(0)
		for range 100 {
			d, took := check()
			if waited += took; !d.Degraded {
				t.Errorf("Check of a frozen holder = %+v, want it degraded", d)
			}
		}
		if waited > 60*time.Millisecond {
			t.Errorf("100 more checks waited %v together, want at most one probe's 50ms", waited)
		}
		c.Thaw("b")
		time.Sleep(time.Second)
		check() // the probe that finds it alive
		time.Sleep(time.Second)
		if d, _ := check(); d.Degraded {
			t.Errorf("Check after the thaw = %+v, want an answer of the holder", d)
		}
	})
}

// After a death the others decide in full once they know, and a node that comes back under its name is asked again.
func TestClusterKillAndReturn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.StartWith(t, overGRPC, names(5)...)
		key := c.KeyAt("n03", "key")
		c.Kill("n03")
		c.Settle()
		if got := spendAtOnce(t, c, key, parse(t, "quota 10"), 50); got != 10 {
			t.Errorf("%d allowed after the holder's death, want 10", got)
		}
		c.Add("n03")
		if at := c.Holder(key); at != "n03" {
			t.Errorf("after its return %s holds the key, want n03", at)
		}
		if got := spendAtOnce(t, c, key, parse(t, "quota 10"), 50); got != 0 {
			t.Errorf("%d more allowed after the holder's return, want none: it was handed the bucket", got)
		}
		if got := spendAtOnce(t, c, c.KeyAt("n03", "fresh"), parse(t, "quota 10"), 50); got != 10 {
			t.Errorf("%d of a fresh key allowed after the holder's return, want 10", got)
		}
	})
}
