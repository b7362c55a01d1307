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

// benchNode returns a node that holds every third partition or, alone, all of them, and n keys that it holds.
func benchNode(b *testing.B, n int, members ...ring.Member) (*Node, []string) {
	b.Helper()
	node, err := New(Config{Name: "a", Transport: &scripted{}, MoveRate: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	var set []gossip.Member
	for _, id := range members {
		set = append(set, gossip.Member{ID: id, Peer: string(id) + ":1"})
	}
	for _, set := range [][]gossip.Member{set[:1], set} { // it starts alone, and so holds all
		if err := node.follow(set, nil); err != nil {
			b.Fatal(err)
		}
	}
	claimAll(b, node)
	v := node.view.Load()
	var keys []string
	for i := 0; len(keys) < n; i++ {
		key := fmt.Sprintf("tenant:%017d", i)
		if node.core.Holds(v.table.Partition(ring.Hash(key))) {
			keys = append(keys, key)
		}
	}
	return node, keys
}

// A check of a key held here, beside the store's own work with the clock read for each of them.
func BenchmarkHere(b *testing.B) {
	limit, err := bucket.ParseLimit("1000000/s burst 1000000")
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 10_000} {
		node, keys := benchNode(b, n, "a", "b", "c")
		b.Run(fmt.Sprintf("Take/keys=%d", n), func(b *testing.B) {
			v := node.view.Load()
			parts := make([]uint16, len(keys))
			for i := range keys {
				parts[i] = uint16(v.table.Partition(ring.Hash(keys[i])))
			}
			base := time.Now()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i++; i == n {
					i = 0
				}
				r := bucket.Request{Key: keys[i], Limit: limit, Cost: 1}
				if _, err := node.store.Take(bucket.Instant(time.Since(base)), int(parts[i]), &r); err != nil {
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
				if _, err := node.Check(ctx, bucket.Request{Key: keys[i], Limit: limit, Cost: 1}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
