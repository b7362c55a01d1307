package limiter_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/limiter"
	"github.com/noriahq/noria/transport/peer"
)

// exampleNodes starts nodes that are one cluster, at free ports of this machine, until ctx ends. Each could be in a service of its own.
func exampleNodes(ctx context.Context, names ...string) []*cluster.Node {
	var nodes []*cluster.Node
	var seeds []string
	for _, name := range names {
		tr, err := peer.New(peer.Config{Listen: "127.0.0.1:0"})
		if err != nil {
			log.Fatal(err)
		}
		node, err := cluster.New(cluster.Config{Name: name, Transport: tr, Gossip: "127.0.0.1:0", Seeds: seeds})
		if err != nil {
			log.Fatal(err)
		}
		go node.Run(ctx)
		<-node.Ready()
		gossip, _ := node.Addrs()
		nodes, seeds = append(nodes, node), append(seeds, gossip)
	}
	return nodes
}

// newExample returns a limiter at node.
func newExample(node *cluster.Node, limit string) *limiter.Limiter {
	l, err := bucket.ParseLimit(limit)
	if err != nil {
		log.Fatal(err)
	}
	made, err := limiter.New(limiter.Config{Cluster: node, Limit: l})
	if err != nil {
		log.Fatal(err)
	}
	return made
}

// Two instances of a service share one limit.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	nodes := exampleNodes(ctx, "a", "b")
	here, there := newExample(nodes[0], "2/h"), newExample(nodes[1], "2/h")
	for _, l := range []*limiter.Limiter{here, there, here} {
		d, err := l.Allow(ctx, "user:42")
		fmt.Println(d.Allowed, d.Remaining, d.RetryAfter.Round(time.Minute), err)
	}
	// Output:
	// true 1 0s <nil>
	// true 0 0s <nil>
	// false 0 30m0s <nil>
}

// Workers take turns, so that what they call gets 100 requests a second and no more.
func ExampleLimiter_Wait() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	l := newExample(exampleNodes(ctx, "a")[0], "100/s burst 1")
	jobs := make(chan int)
	var done atomic.Int64
	var pool sync.WaitGroup
	began := time.Now()
	for range 8 {
		pool.Go(func() {
			for range jobs {
				if _, err := l.Wait(ctx, "upstream", 1); err != nil {
					log.Print(err)
					return
				}
				done.Add(1) // here the upstream is called
			}
		})
	}
	for job := range 21 {
		jobs <- job
	}
	close(jobs)
	pool.Wait()
	fmt.Println(done.Load(), "jobs done, in 200 ms at least:", time.Since(began) >= 199*time.Millisecond)
	// Output:
	// 21 jobs done, in 200 ms at least: true
}

// Who would wait in vain knows at once.
func ExampleLimiter_Wait_tooLate() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	l := newExample(exampleNodes(ctx, "a")[0], "1/h")
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for range 2 {
		_, err := l.Wait(ctx, "report", 1)
		fmt.Println(errors.Is(err, cluster.ErrTooLate))
	}
	// Output:
	// false
	// true
}

// What a call costs is known only once it is answered: it reserves an estimate, and settles.
func ExampleLimiter_Reserve() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	l := newExample(exampleNodes(ctx, "a")[0], "quota 1000")
	r, err := l.Reserve(ctx, "tenant:7", 400)
	if err != nil || !r.Decision.Allowed {
		fmt.Println("refused:", err)
		return
	}
	said, err := r.Settle(ctx, 120)
	fmt.Println("reserved", said.Reserved, "charged", said.Charged, err)
	d, err := l.Peek(ctx, "tenant:7")
	fmt.Println(d.Remaining, "left", err)
	// Output:
	// reserved 400 charged 120 <nil>
	// 880 left <nil>
}

// A flash sale: 10,000 buyers want 100 tickets, at three nodes, one of which dies. Each ticket is reserved under its buyer's id, so
// that a buyer who was not answered asks again and never gets two. Who does not pay within Keep keeps nobody from
// buying: Cancel gives the ticket back.
func Example_flashSale() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	nodes := exampleNodes(ctx, "a", "b", "c")
	var shops []*limiter.Limiter
	for _, node := range nodes {
		l, err := limiter.New(limiter.Config{
			Cluster: node, Limit: bucket.Limit{Burst: 100}, Keep: 10 * time.Minute,
			Durability: bucket.Sync, OnLost: bucket.Deny, ColdStart: bucket.Empty,
		})
		if err != nil {
			log.Fatal(err)
		}
		shops = append(shops, l)
	}
	buy := func(buyer int) bool {
		for try := buyer; ; try++ { // at the next shop
			ask, cancel := context.WithTimeout(ctx, time.Second)
			r, err := shops[try%len(shops)].ReserveOnce(ask, "ticket", fmt.Sprint("buyer:", buyer), 1)
			cancel()
			if err == nil && !r.Decision.Degraded {
				return r.Decision.Allowed
			}
			<-time.After(10 * time.Millisecond) // nobody knows yet whether there is one
		}
	}
	var sold atomic.Int64
	var all sync.WaitGroup
	buyers := make(chan int)
	for range 50 {
		all.Go(func() {
			for buyer := range buyers {
				if buy(buyer) {
					sold.Add(1)
				}
			}
		})
	}
	seller, err := nodes[0].Where("ticket")
	if err != nil {
		log.Fatal(err)
	}
	for buyer := range 10_000 {
		for _, node := range nodes {
			if buyer == 60 && node.Status().Node == seller.Holder {
				node.Close() // as a crash would
			}
		}
		buyers <- buyer
	}
	close(buyers)
	all.Wait()
	fmt.Println("more than 100 sold:", sold.Load() > 100) // and fewer only by what was in flight
	// Output:
	// more than 100 sold: false
}
