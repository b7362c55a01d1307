package clustertest

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
)

// A Cluster is running nodes on one Net. Its methods are for the goroutine of one test, fail it where something does not
// work, and call for a testing/synctest bubble: they sleep.
type Cluster struct {
	t     testing.TB
	Net   *Net
	setup Setup
	nodes []*running // in the order they were added; the dead are gone
}

// A Setup is what the nodes of a Cluster are made of.
type Setup struct {
	// Transport returns the transport of a node on host of n. Default: Wires.
	Transport func(n *Net, host string) cluster.Transport

	// Config, where not nil, changes the configuration of a node before it is made. Its ring has 1,024 partitions unless Config says
	// otherwise: each node computes each ring for itself and looks after each partition, which with the default for real fleets
	// takes most of the time of a test. 0 is that default.
	Config func(*cluster.Config)
}

type running struct {
	*cluster.Node
	name string
	host string
	stop context.CancelFunc
	done chan error
}

// partitions of a ring are enough for each node of 30 to have some of.
const partitions = 1024

// Start returns a cluster of nodes with these names, all of which agree. Its nodes stop when the test ends.
func Start(t testing.TB, names ...string) *Cluster { return StartWith(t, Setup{}, names...) }

// StartWith is Start with other parts.
func StartWith(t testing.TB, s Setup, names ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t, Net: NewNet(1), setup: s}
	if c.setup.Transport == nil {
		wires := NewWires(c.Net)
		c.setup.Transport = func(_ *Net, host string) cluster.Transport { return wires.Transport(host) }
	}
	t.Cleanup(c.stop)
	c.Add(names...)
	return c
}

// Add starts nodes with these names, which join the others, and returns when all agree.
func (c *Cluster) Add(names ...string) {
	c.t.Helper()
	for _, name := range names {
		c.Launch(name)
	}
	c.Settle()
}

// Launch starts a node, which joins the others, and returns at once.
func (c *Cluster) Launch(name string) {
	c.t.Helper()
	host := c.Net.Host()
	gossip := net.JoinHostPort(host, "7946")
	tr, err := c.Net.Transport(gossip)
	if err != nil {
		c.t.Fatal(err)
	}
	config := cluster.Config{Name: name, Transport: c.setup.Transport(c.Net, host), Gossip: gossip, GossipTransport: tr}
	config.Ring.Partitions = partitions
	if len(c.nodes) > 0 {
		config.Seeds = []string{net.JoinHostPort(c.nodes[0].host, "7946")}
	}
	if c.setup.Config != nil {
		c.setup.Config(&config)
	}
	n, err := cluster.New(config)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Node: n, name: name, host: host, stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- n.Run(ctx) }()
	c.nodes = append(c.nodes, r)
}

// Node returns the living node with this name.
func (c *Cluster) Node(name string) *cluster.Node { return c.running(name).Node }

func (c *Cluster) running(name string) *running {
	c.t.Helper()
	for _, r := range c.nodes {
		if r.name == name {
			return r
		}
	}
	c.t.Fatalf("no living node %q", name)
	return nil
}

// Names returns the names of the living nodes.
func (c *Cluster) Names() []string {
	names := make([]string, len(c.nodes))
	for i, r := range c.nodes {
		names[i] = r.name
	}
	return names
}

// Settle returns when all living nodes have one ring of exactly the living ones, and what they should hold. It waits a minute
// for that.
func (c *Cluster) Settle() {
	c.t.Helper()
	for range 6000 {
		if c.settled() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, r := range c.nodes {
		c.t.Logf("%s: %+v", r.name, r.Status())
	}
	c.t.Fatal("the nodes do not agree after a minute")
}

func (c *Cluster) settled() bool {
	for _, r := range c.nodes {
		s := r.Status()
		if !s.Ready || s.Wanted > 0 || len(s.Members) != len(c.nodes) || s.Epoch != c.nodes[0].Status().Epoch {
			return false
		}
	}
	return true
}

// Kill ends a node like kill -9 does. The others are not told.
func (c *Cluster) Kill(name string) {
	r := c.running(name)
	c.Net.Kill(r.host)
	c.end(r)
}

// Leave makes a node leave gracefully and returns when the others agree without it.
func (c *Cluster) Leave(name string) {
	c.t.Helper()
	r := c.running(name)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.Leave(ctx); err != nil {
		c.t.Errorf("%s.Leave: %v", name, err)
	}
	c.end(r)
	c.Settle()
}

// end stops r and waits until it has.
func (c *Cluster) end(r *running) {
	c.t.Helper()
	r.stop()
	if err := <-r.done; err != nil && !errors.Is(err, net.ErrClosed) {
		c.t.Errorf("%s.Run: %v", r.name, err)
	}
	c.nodes = slices.DeleteFunc(c.nodes, func(o *running) bool { return o == r })
}

// stop ends all nodes.
func (c *Cluster) stop() {
	c.Net.Heal()
	for len(c.nodes) > 0 {
		c.end(c.nodes[len(c.nodes)-1])
	}
	time.Sleep(time.Minute) // memberlist's last probes and dials end
}

// Cut lets nothing pass between the nodes named and all others.
func (c *Cluster) Cut(names ...string) {
	var side, rest []string
	for _, r := range c.nodes {
		if slices.Contains(names, r.name) {
			side = append(side, r.host)
		} else {
			rest = append(rest, r.host)
		}
	}
	c.Net.Cut(side, rest)
}

// Heal undoes all cuts.
func (c *Cluster) Heal() { c.Net.Heal() }

// Freeze makes a node hear and say nothing, as under SIGSTOP; Thaw undoes it.
func (c *Cluster) Freeze(name string) { c.Net.Freeze(c.running(name).host) }

// Thaw undoes Freeze.
func (c *Cluster) Thaw(name string) { c.Net.Thaw(c.running(name).host) }

// Holder returns the name of the living node that holds key, the one of the highest term if several believe so, as on two sides of
// a cut. While none does it is whom the first living node takes for the holder, who may be dead: bystanders of a move hear of it only
// when they ask.
func (c *Cluster) Holder(key string) string {
	c.t.Helper()
	var holder string
	var term cluster.Term
	for i, r := range c.nodes {
		place, err := r.Where(key)
		switch {
		case err != nil && i == 0:
			c.t.Fatal(err)
		case err != nil: // it has not joined yet
		case i == 0:
			holder = string(place.Holder)
		}
		if err == nil && string(place.Holder) == r.name && place.Term > term {
			holder, term = r.name, place.Term
		}
	}
	return holder
}

// KeyAt returns a key that begins with prefix and that the named node holds.
func (c *Cluster) KeyAt(name, prefix string) string {
	c.t.Helper()
	for i := range 100_000 {
		key := prefix + "/" + strconv.Itoa(i)
		if c.Holder(key) == name {
			return key
		}
	}
	c.t.Fatalf("%s holds none of 100,000 keys", name)
	return ""
}

// Spend asks for one token of key times times, at the living nodes in turn, and returns how many were allowed.
func (c *Cluster) Spend(key string, l bucket.Limit, times int) (allowed int) {
	c.t.Helper()
	for i := range times {
		r := c.nodes[i%len(c.nodes)]
		d, err := r.Check(context.Background(), bucket.Request{Key: key, Limit: l, Cost: 1})
		if err != nil {
			c.t.Fatalf("%s.Check(%q): %v", r.name, key, err)
		}
		if d.Allowed {
			allowed++
		}
	}
	return allowed
}
