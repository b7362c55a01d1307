package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport/peer"
)

// partitions of a Store, its default.
const partitions = 16384

// openStore returns the table of buckets by itself. What a caller cannot do without is part of each check: to find the
// key's partition and to read the clock.
func openStore(_ context.Context, l limit) (limiter, error) {
	base := time.Now()
	return openClocked(l, base, func() bucket.Instant { return bucket.Instant(time.Since(base)) })
}

// openToldStore is openStore for callers that have the time at hand, as a node has that reads the clock once for a batch.
func openToldStore(_ context.Context, l limit) (limiter, error) {
	return openClocked(l, time.Now(), func() bucket.Instant { return 1 })
}

func openClocked(l limit, base time.Time, now func() bucket.Instant) (limiter, error) {
	store, err := bucket.NewStore(bucket.StoreConfig{Partitions: partitions, Epoch: base})
	if err != nil {
		return limiter{}, err
	}
	asker := func() func(string) bool {
		r := bucket.Request{Limit: l.bucket(), Cost: 1}
		return func(key string) bool {
			r.Key = key
			d, err := store.Take(now(), int(ring.Hash(key)%partitions), &r)
			return err == nil && d.Allowed
		}
	}
	return limiter{asker: asker}, nil
}

// openNode returns a node that is its whole cluster, with its ports open: what a service embeds.
func openNode(ctx context.Context, l limit) (limiter, error) {
	n, err := startNode(ctx, "alone", "")
	if err != nil {
		return limiter{}, err
	}
	asker := func() func(string) bool {
		r := bucket.Request{Limit: l.bucket(), Cost: 1}
		return func(key string) bool {
			r.Key = key
			d, err := n.Check(ctx, r)
			return err == nil && d.Allowed
		}
	}
	return limiter{asker: asker, close: n.stop}, nil
}

// A node is one that runs in this process.
type node struct {
	*cluster.Node
	stop func() // ends it and waits until it has ended
}

// startNode runs a node on free ports of this machine that joins the gossip address seed, unless that is empty, and
// returns it once it is ready. It ends with ctx at the latest.
func startNode(ctx context.Context, name, seed string) (node, error) {
	transport, err := peer.New(peer.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		return node{}, err
	}
	c := cluster.Config{Name: name, Transport: transport, Label: label, Gossip: "127.0.0.1:0"}
	if seed != "" {
		c.Seeds = []string{seed}
	}
	n, err := cluster.New(c)
	if err != nil {
		return node{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { ended <- n.Run(ctx) })
	select {
	case <-n.Ready():
		return node{Node: n, stop: func() {
			cancel()
			running.Wait()
		}}, nil
	case err = <-ended:
		if err == nil {
			err = errors.New("it ended")
		}
	case <-time.After(patience):
		err = fmt.Errorf("not ready after %v", patience)
	}
	cancel()
	return node{}, fmt.Errorf("node %s: %w", name, err)
}

// label keeps the nodes of a run from meeting others on this machine.
const label = "noria-compare"

// patience is how long anything that has to come up may take.
const patience = 30 * time.Second
