package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
)

// benchNode returns a node that holds every third partition or, alone, all of them, and n requests for keys it holds.
func benchNode(b *testing.B, n int, members ...ring.Member) (*Node, []bucket.Request) {
	b.Helper()
	node, err := New(Config{Name: "a", Transport: &scripted{}})
	if err != nil {
		b.Fatal(err)
	}
	var set []gossip.Member
	for _, id := range members {
		set = append(set, gossip.Member{ID: id, Peer: string(id) + ":1"})
	}
	if err := node.follow(set); err != nil {
		b.Fatal(err)
	}
	limit, err := bucket.ParseLimit("1000000/s burst 1000000")
	if err != nil {
		b.Fatal(err)
	}
	v := node.view.Load()
	var reqs []bucket.Request
	for i := 0; len(reqs) < n; i++ {
		key := fmt.Sprintf("tenant:%017d", i)
		if v.mine(v.table.Partition(ring.Hash(key))) {
			reqs = append(reqs, bucket.Request{Key: key, Limit: limit, Cost: 1})
		}
	}
	return node, reqs
}

// A check of a key held here, beside the store's own work with the clock read for each of them.
func BenchmarkHere(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		node, reqs := benchNode(b, n, "a", "b", "c")
		b.Run(fmt.Sprintf("Take/keys=%d", n), func(b *testing.B) {
			v := node.view.Load()
			parts := make([]int, len(reqs))
			for i := range reqs {
				parts[i] = int(v.table.Partition(ring.Hash(reqs[i].Key)))
			}
			base := time.Now()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i++; i == n {
					i = 0
				}
				if _, err := node.store.Take(bucket.Instant(time.Since(base)), parts[i], &reqs[i]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("Check/keys=%d", n), func(b *testing.B) {
			ctx := context.Background()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i++; i == n {
					i = 0
				}
				if _, err := node.Check(ctx, reqs[i]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
