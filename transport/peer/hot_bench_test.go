package peer_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/peer"
)

// fleet starts nodes that speak over real sockets of this machine.
func fleet(b *testing.B, names ...string) []*cluster.Node {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	b.Cleanup(func() {
		cancel()
		running.Wait()
	})
	var nodes []*cluster.Node
	var seeds []string
	for _, name := range names {
		t, err := peer.New(peer.Config{Listen: "127.0.0.1:0"})
		if err != nil {
			b.Fatal(err)
		}
		n, err := cluster.New(cluster.Config{Name: name, Gossip: "127.0.0.1:0", Seeds: seeds, Transport: t, MoveRate: 1 << 30})
		if err != nil {
			b.Fatal(err)
		}
		running.Go(func() {
			if err := n.Run(ctx); err != nil {
				b.Error(err)
			}
		})
		select {
		case <-n.Ready():
		case <-time.After(time.Minute):
			b.Fatalf("%s is not ready after a minute", name)
		}
		gossip, _ := n.Addrs()
		nodes, seeds = append(nodes, n), []string{gossip}
	}
	for agreed := false; !agreed; time.Sleep(10 * time.Millisecond) {
		agreed = true
		for _, n := range nodes {
			s := n.Status()
			agreed = agreed && len(s.Members) == len(names) && s.Wanted == 0
		}
	}
	return nodes
}

// One key on three nodes with callers on all of them: local is a key of each node's own, leased the same key everywhere, and
// unleased that under a limit which is not lent, with which each check goes to the holder.
func BenchmarkHotKey(b *testing.B) {
	nodes := fleet(b, "a", "b", "c")
	ctx := context.Background()
	large := bucket.Limit{Tokens: 1_000_000_000, Per: time.Second, Burst: 1_000_000_000}
	queued := large
	queued.Queue = 1
	own := func(i int) string {
		for k := 0; ; k++ {
			key := fmt.Sprintf("local %d", k)
			d, err := nodes[i].Check(ctx, bucket.Request{Key: key, Limit: large})
			if err != nil {
				b.Fatal(err)
			}
			if d.Node == string(nodes[i].Status().Node) {
				return key
			}
		}
	}
	var mine []string
	for i := range nodes {
		mine = append(mine, own(i))
	}
	for _, c := range []struct {
		name  string
		limit bucket.Limit
		key   func(i int) string
	}{
		{"local", large, func(i int) string { return mine[i] }},
		{"leased", large, func(int) string { return mine[1] }},
		{"unleased", queued, func(int) string { return mine[1] + " unleased" }},
	} {
		for _, each := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", c.name, each*len(nodes)), func(b *testing.B) {
				check := func(i int, key string) bucket.Source {
					d, err := nodes[i].Check(ctx, bucket.Request{Key: key, Limit: c.limit, Cost: 1, OnLost: bucket.Allow})
					if err != nil || !d.Allowed {
						b.Errorf("%+v, %v", d, err)
					}
					return d.Source
				}
				for i := range nodes { // until leases have their size
					for began := time.Now(); time.Since(began) < 100*time.Millisecond; {
						check(i, c.key(i))
					}
				}
				b.ReportAllocs()
				b.ResetTimer()
				var running sync.WaitGroup
				var leased, degraded atomic.Int64
				callers := each * len(nodes)
				for k := range callers {
					running.Go(func() {
						i, key, n := k%len(nodes), c.key(k%len(nodes)), [4]int64{}
						for k := range b.N/callers + 1 {
							n[check(i, key)]++
							if k%16 == 0 { // nobody asks all the time: without it what the network brings waits 10 ms for each caller
								runtime.Gosched()
							}
						}
						leased.Add(n[bucket.FromLease])
						degraded.Add(n[bucket.FromDegraded])
					})
				}
				running.Wait()
				all := float64((b.N/callers + 1) * callers)
				b.ReportMetric(100*float64(leased.Load())/all, "%leased")
				b.ReportMetric(100*float64(degraded.Load())/all, "%degraded")
			})
		}
	}
}
