package chaos_test

import (
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/e2e/chaos"
	"github.com/noriahq/noria/transport/peer"
)

// replicas are the replicas of a service that embeds the limiter, here all in one process. It is a chaos.Fleet.
type replicas struct {
	mu      sync.Mutex
	running map[string]*replica
}

// A replica is one of them.
type replica struct {
	node  *cluster.Node
	stop  context.CancelFunc
	ended chan struct{}
}

// Start implements chaos.Fleet.
func (s *replicas) Start(ctx context.Context, name string) error {
	tr, err := peer.New(peer.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	var seeds []string
	s.mu.Lock()
	for _, r := range s.running {
		gossip, _ := r.node.Addrs()
		seeds = append(seeds, gossip)
	}
	s.mu.Unlock()
	node, err := cluster.New(cluster.Config{
		Name: name, Transport: tr, Gossip: "127.0.0.1:0", Seeds: seeds, PeerWait: 5 * time.Second, Label: "chaos-example",
	})
	if err != nil {
		return err
	}
	own, stop := context.WithCancel(context.WithoutCancel(ctx))
	r := &replica{node: node, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		if err := node.Run(own); err != nil {
			log.Print(err)
		}
	}()
	s.mu.Lock()
	s.running[name] = r
	s.mu.Unlock()
	select {
	case <-node.Ready():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take returns a replica that is about to end.
func (s *replicas) take(name string) *replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.running[name]
	delete(s.running, name)
	return r
}

// Leave implements chaos.Fleet.
func (s *replicas) Leave(ctx context.Context, name string) error {
	r := s.take(name)
	err := r.node.Leave(ctx)
	r.stop()
	<-r.ended
	return err
}

// Kill implements chaos.Fleet. A process of its own would be killed by a signal; here the node's work just ends.
func (s *replicas) Kill(_ context.Context, name string) error {
	r := s.take(name)
	r.stop()
	<-r.ended
	return nil
}

// Pause implements chaos.Fleet. What shares a process cannot be frozen alone.
func (s *replicas) Pause(context.Context, string) error { return fmt.Errorf("not here") }

// Resume implements chaos.Fleet.
func (s *replicas) Resume(context.Context, string) error { return nil }

// Check implements chaos.Fleet: it asks as a client of the service would, or the node itself.
func (s *replicas) Check(ctx context.Context, name string, c chaos.Check) (chaos.Answer, error) {
	s.mu.Lock()
	r := s.running[name]
	s.mu.Unlock()
	if r == nil {
		return chaos.Answer{}, fmt.Errorf("%s is gone", name)
	}
	limit, err := bucket.ParseLimit(c.Limit)
	if err != nil {
		return chaos.Answer{}, err
	}
	d, err := r.node.Check(ctx, bucket.Request{Key: c.Key, Limit: limit, Cost: c.Cost})
	return chaos.Answer{Allowed: d.Allowed, Degraded: d.Degraded, Source: d.Source.String(), Node: d.Node, Delay: d.Delay}, err
}

// Settled implements chaos.Settler: all replicas know all.
func (s *replicas) Settled(context.Context, []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, r := range s.running {
		if got := len(r.node.Status().Members); got != len(s.running) {
			return fmt.Errorf("%s knows %d of %d", name, got, len(s.running))
		}
	}
	return nil
}

// Close implements chaos.Fleet.
func (s *replicas) Close() error {
	for _, name := range []string{"a", "b", "c"} {
		if r := s.take(name); r != nil {
			r.stop()
			<-r.ended
		}
	}
	return nil
}

// A service that embeds the limiter is put under load for two seconds, and its limits are judged.
func Example() {
	plan := chaos.New()
	plan.Nodes, plan.Keys, plan.Rate, plan.Duration = 2, 50, 100, 2*time.Second
	plan.PeerWait, plan.Timeout = 5*time.Second, 10*time.Second
	plan.Limits = []chaos.Limit{{Limit: "quota 5"}, {Limit: "2/s burst 10"}}
	// plan.Steps = []chaos.Step{{At: time.Second, Do: chaos.Restart, Node: chaos.Any, How: chaos.Leave}}

	history, err := chaos.Run(context.Background(), chaos.Config{Plan: plan, Fleet: &replicas{running: map[string]*replica{}}})
	if err != nil {
		log.Fatal(err)
	}
	verdict := chaos.Judge(history)
	for _, p := range verdict.Promises[:1] {
		fmt.Println(p.Name, "kept:", p.Kept)
	}
	// Output: steady: B + r*t kept: true
}
