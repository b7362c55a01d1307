package cluster

import (
	"context"
	"fmt"
	"math/bits"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
)

// benchNode returns a node that holds every third partition or, alone, all of them, and n keys that it holds.
func benchNode(b *testing.B, n int, members ...ring.Member) (*Node, []string) {
	b.Helper()
	return benchNodeOf(b, Config{}, n, members...)
}

// benchNodeOf is benchNode with more of its configuration.
func benchNodeOf(b *testing.B, c Config, n int, members ...ring.Member) (*Node, []string) {
	b.Helper()
	c.Name, c.Transport, c.MoveRate, c.Fence = "a", &scripted{}, 1<<30, time.Hour // it hears nobody
	node, err := New(c)
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
		if p := v.table.Partition(ring.Hash(key)); v.table.Target(p) == node.name && node.core.Holds(p) { // what others are to have moves yet
			keys = append(keys, key)
		}
	}
	return node, keys
}

// A check of a key held here, beside the store's own work with the clock read for each of them, and beside the floor: to hash the
// key, find a word by the hash, read the clock and exchange the word. No limiter does with less that keeps one word for a key.
func BenchmarkHere(b *testing.B) {
	limit, err := bucket.ParseLimit("1000000/s burst 1000000")
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 10_000, 1_000_000} {
		node, keys := benchNode(b, n, "a", "b", "c")
		base, ctx := time.Now(), context.Background()
		words := newWords(keys)
		benchTour(b, fmt.Sprintf("Floor/keys=%d", n), keys, func(key string) {
			words.charge(ring.Hash(key), time.Since(base))
		})
		table := node.view.Load().table
		benchTour(b, fmt.Sprintf("Take/keys=%d", n), keys, func(key string) {
			r := bucket.Request{Key: key, Limit: limit, Cost: 1}
			p := table.Partition(ring.Hash(key))
			if _, err := node.store.Take(bucket.Instant(time.Since(base)), int(p), &r); err != nil {
				b.Fatal(err)
			}
		})
		benchTour(b, fmt.Sprintf("Check/keys=%d", n), keys, func(key string) {
			if _, err := node.Check(ctx, bucket.Request{Key: key, Limit: limit, Cost: 1}); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// A check of three keys held here, all or nothing, as a gateway asks for each request.
func BenchmarkAllHere(b *testing.B) {
	limit, err := bucket.ParseLimit("1000000/s burst 1000000")
	if err != nil {
		b.Fatal(err)
	}
	node, keys := benchNode(b, 10_002, "a", "b", "c")
	ctx, at := context.Background(), 0
	reqs := make([]bucket.Request, 3)
	benchTour(b, "keys=3", keys[2:], func(string) {
		for i := range reqs {
			reqs[i] = bucket.Request{Key: keys[at+i], Limit: limit, Cost: 1}
		}
		if at++; at+3 > len(keys) {
			at = 0
		}
		if _, err := node.CheckAll(ctx, reqs); err != nil {
			b.Fatal(err)
		}
	})
}

// benchTour calls ask with each of keys in turn.
func benchTour(b *testing.B, name string, keys []string, ask func(key string)) {
	b.Run(name, func(b *testing.B) {
		for _, key := range keys { // so that each is known
			ask(key)
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if i++; i >= len(keys) {
				i = 0
			}
			ask(keys[i])
		}
	})
}

// words are a table of a word for each hash.
type words []word

type word struct {
	hash uint64
	word atomic.Int64
}

func newWords(keys []string) words {
	w := make(words, 1<<bits.Len(uint(2*len(keys))))
	for _, key := range keys {
		w.at(ring.Hash(key)).hash = ring.Hash(key)
	}
	return w
}

// at returns where hash is, or may be.
func (w words) at(hash uint64) *word {
	for i := hash; ; i++ {
		at := &w[i&uint64(len(w)-1)]
		if at.hash == hash || at.hash == 0 {
			return at
		}
	}
}

func (w words) charge(hash uint64, now time.Duration) {
	at := w.at(hash)
	for {
		if was := at.word.Load(); at.word.CompareAndSwap(was, max(was, int64(now))+1) {
			return
		}
	}
}
