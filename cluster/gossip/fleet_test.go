package gossip_test

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
)

// A fleet is nodes in one network, in a synctest bubble.
type fleet struct {
	testing.TB
	net   *clustertest.Net
	nodes []*node
}

// A node is a Gossip that runs, and the sets it has told.
type node struct {
	*gossip.Gossip
	host string

	mu   sync.Mutex
	sets [][]gossip.Member // guarded by mu
}

func newFleet(t testing.TB) *fleet {
	f := &fleet{TB: t, net: clustertest.NewNet(1)}
	f.net.SetLatency(200 * time.Microsecond)
	t.Cleanup(func() {
		for _, n := range f.nodes {
			n.Close()
		}
		time.Sleep(15 * time.Second) // of the bubble: for the last goroutines of memberlist, and for streams that hang
	})
	return f
}

// start runs a node at host, a new one if that is "", and follows what it tells.
func (f *fleet) start(id ring.Member, host string, options ...func(*gossip.Config)) *node {
	f.Helper()
	n, done := f.run(id, host, options...)
	go n.follow(done)
	return n
}

// startUnread runs a node whose Updates nobody receives.
func (f *fleet) startUnread(id ring.Member) *node {
	f.Helper()
	n, _ := f.run(id, "")
	return n
}

func (f *fleet) run(id ring.Member, host string, options ...func(*gossip.Config)) (*node, <-chan struct{}) {
	f.Helper()
	if host == "" {
		host = f.net.Host()
	}
	transport, err := f.net.Transport(host + ":7946")
	if err != nil {
		f.Fatal(err)
	}
	config := gossip.Config{
		ID: id, PeerAddr: host + ":7947", Label: "test", RingParams: "partitions 16384", Protocol: 1, Transport: transport,
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, option := range options {
		option(&config)
	}
	g, err := gossip.New(config)
	if err != nil {
		f.Fatal(err)
	}
	if err := g.Start(); err != nil {
		f.Fatal(err)
	}
	n := &node{Gossip: g, host: host}
	f.nodes = append(f.nodes, n)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := g.Run(f.Context()); err != nil {
			f.Errorf("Run of %s: %v", id, err)
		}
	}()
	return n, done
}

func (n *node) follow(done <-chan struct{}) {
	for {
		select {
		case set := <-n.Updates():
			n.mu.Lock()
			n.sets = append(n.sets, set)
			n.mu.Unlock()
		case <-done:
			return
		}
	}
}

// last returns the last set that was told.
func (n *node) last() []gossip.Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.sets) == 0 {
		return nil
	}
	return n.sets[len(n.sets)-1]
}

// all returns the sets that were told.
func (n *node) all() [][]gossip.Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.sets)
}

// many starts count nodes n00, n01, ... which all join by the first.
func (f *fleet) many(count int, options ...func(*gossip.Config)) []*node {
	f.Helper()
	nodes := make([]*node, count)
	for i := range nodes {
		nodes[i] = f.start(ring.Member(fmt.Sprintf("n%02d", i)), "", options...)
		if i > 0 {
			f.join(nodes[i], nodes[0])
		}
	}
	f.agree(nodes, nodes...)
	return nodes
}

func (f *fleet) join(n *node, seeds ...*node) {
	f.Helper()
	addrs := make([]string, len(seeds))
	for i := range seeds {
		addrs[i] = seeds[i].Addr()
	}
	if k, err := n.Join(f.Context(), addrs); err != nil || k != len(seeds) {
		f.Fatalf("Join %v: %d, %v", addrs, k, err)
	}
}

// agree waits until the last set that each of nodes told is want, and returns how long it took.
func (f *fleet) agree(nodes []*node, want ...*node) time.Duration {
	f.Helper()
	ids := make([]string, len(want))
	for i, n := range want {
		ids[i] = string(n.id())
	}
	return f.wait(fmt.Sprintf("all nodes tell %v", ids), func() bool {
		for _, n := range nodes {
			if !slices.Equal(names(n.last()), ids) {
				return false
			}
		}
		return true
	})
}

// wait waits until what is true, and returns how long it took.
func (f *fleet) wait(what string, is func() bool) time.Duration {
	f.Helper()
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if is() {
			return time.Since(start)
		}
		if time.Since(start) > 2*time.Minute {
			for _, n := range f.nodes {
				f.Logf("%s told %v, knows %+v", n.host, names(n.last()), n.View())
			}
			f.Fatalf("not after two minutes: %s", what)
		}
	}
}

// id returns the node's own, which its address tells.
func (n *node) id() ring.Member {
	for _, m := range n.Members() {
		if m.Gossip == n.Addr() {
			return m.ID
		}
	}
	return ""
}

func names(members []gossip.Member) []string {
	ids := make([]string, len(members))
	for i, m := range members {
		ids[i] = string(m.ID)
	}
	return ids
}

// kill ends a node as kill -9 does.
func (f *fleet) kill(n *node) {
	f.net.Kill(n.host)
	n.Close()
}

// hosts returns the hosts of nodes.
func hosts(nodes []*node) []string {
	list := make([]string, len(nodes))
	for i, n := range nodes {
		list[i] = n.host
	}
	return list
}

func without(nodes []*node, gone *node) []*node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return n == gone })
}
