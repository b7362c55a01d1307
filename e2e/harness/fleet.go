package harness

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Options say how the nodes of a fleet are started. The zero value is ready for use.
type Options struct {
	Gateways int // nodes beside the others that hold no keys, with the names that follow

	Args []string // further flags of noria serve
	Env  []string // environment variables, NAME=value, beside the test's own

	Binary string // of the nodes; Build's by default
}

// A Fleet is a cluster of real processes. Its methods are called by the test's goroutine alone; what they return may be
// used by any.
type Fleet struct {
	t       testing.TB
	options Options
	holders int     // how many nodes, the first ones by name, hold keys at first
	nodes   []*Node // in the order in which they were started, the dead among them
}

// Start starts n nodes named a, b, c and so on, and o's gateways after them, up to 26, and returns when they agree on who they are.
func Start(t testing.TB, n int, o Options) *Fleet {
	t.Helper()
	f := &Fleet{t: t, options: o, holders: n}
	// A label of its own keeps a fleet from meeting one whose ports it was given.
	f.options.Args = append([]string{"--label", fmt.Sprintf("%.40s-%d", fileName(t.Name()), time.Now().UnixNano())}, o.Args...)
	f.start("a").WaitReady()
	for i := 1; i < n+o.Gateways; i++ {
		f.start(string(rune('a' + i)))
	}
	for _, node := range f.nodes[1:] {
		node.WaitReady()
	}
	f.WaitAgreed()
	return f
}

// start starts a node that joins those that live.
func (f *Fleet) start(name string) *Node {
	f.t.Helper()
	args := f.options.Args
	if f.isGateway(name) {
		args = append(slices.Clone(args), "--role", "gateway")
	}
	if f.options.Binary == "" {
		f.options.Binary = Build(f.t)
	}
	node := serve(f.t, f.options.Binary, name, f.Seeds(), f.options.Env, args...)
	f.nodes = append(f.nodes, node)
	return node
}

// Use makes nodes that are started from now on run another binary.
func (f *Fleet) Use(binary string) { f.options.Binary = binary }

// isGateway says whether a node of that name holds no keys.
func (f *Fleet) isGateway(name string) bool {
	i := int(name[0]) - 'a' - f.holders
	return len(name) == 1 && i >= 0 && i < f.options.Gateways
}

// Seeds returns the gossip addresses of the nodes that live and have been ready.
func (f *Fleet) Seeds() []string {
	var seeds []string
	for _, n := range f.Alive() {
		if n.Addr.Gossip != "" {
			seeds = append(seeds, n.Addr.Gossip)
		}
	}
	return seeds
}

// Label returns the label of the fleet's cluster.
func (f *Fleet) Label() string { return f.options.Args[1] }

// Alive returns the nodes whose processes have not ended, the frozen ones among them.
func (f *Fleet) Alive() []*Node {
	return slices.DeleteFunc(slices.Clone(f.nodes), func(n *Node) bool { return !n.Alive() })
}

// Node returns the node with the name that was started last.
func (f *Fleet) Node(name string) *Node {
	f.t.Helper()
	for _, n := range slices.Backward(f.nodes) {
		if n.Name == name {
			return n
		}
	}
	f.t.Fatalf("no node is named %q", name)
	return nil
}

// Others returns the living nodes but n.
func (f *Fleet) Others(n *Node) []*Node {
	return slices.DeleteFunc(f.Alive(), func(o *Node) bool { return o == n })
}

// Join starts one more node and returns when it is ready and all agree.
func (f *Fleet) Join(name string) *Node {
	f.t.Helper()
	n := f.start(name)
	n.WaitReady()
	f.WaitAgreed()
	return n
}

// Restart ends n, gracefully or, if kill is true, as kill -9 does, and at once starts it again under its name on new
// ports. It returns the new one when it is ready and all agree.
func (f *Fleet) Restart(n *Node, kill bool) *Node {
	f.t.Helper()
	if kill {
		n.Kill()
	} else if status := n.Stop(); status != 0 {
		f.t.Fatalf("stop %s: exit status %d, want 0", n.Name, status)
	}
	return f.Join(n.Name)
}

// WaitAgreed blocks until every living node counts the living ones as members, all go by one ring, and every partition has
// one holder. No node may be frozen.
func (f *Fleet) WaitAgreed() {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), Hang)
	defer cancel()
	for {
		err := f.agreed(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			f.t.Fatalf("nodes do not agree after %v: %v", Hang, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// agreed returns why the nodes do not agree.
func (f *Fleet) agreed(ctx context.Context) error {
	alive := f.Alive()
	var epochs []string
	held, all := 0, 0
	for _, n := range alive {
		s, err := n.Status(ctx)
		if err != nil {
			return err
		}
		if !s.Ready || len(s.Members) != len(alive) {
			return fmt.Errorf("%s is ready: %v, counts %d members of %d", n.Name, s.Ready, len(s.Members), len(alive))
		}
		epochs = append(epochs, s.Epoch)
		held += s.Partitions
		if n == alive[0] {
			for _, m := range s.Members {
				all += m.Partitions
			}
		}
	}
	if len(slices.Compact(slices.Clone(epochs))) != 1 {
		return fmt.Errorf("epochs are %s", strings.Join(epochs, ", "))
	}
	if held != all {
		return fmt.Errorf("%d partitions of %d are held", held, all)
	}
	return nil
}

// Changes returns how often the living nodes have changed their minds about who is a member, in all. Promises that hold
// while the members stay the same can be judged only if it stays the same too: on a machine that stands still for
// seconds, nodes take each other for dead.
func (f *Fleet) Changes() int {
	changes := 0
	for _, n := range f.Alive() {
		for _, line := range n.Log.Lines() {
			if strings.Contains(line, `"msg":"members changed"`) {
				changes++
			}
		}
	}
	return changes
}

// Holder returns the node that decides on key, as a check that takes nothing says.
func (f *Fleet) Holder(key, limit string) *Node {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), Hang)
	defer cancel()
	none := int64(0)
	for {
		a, err := f.Alive()[0].HTTP().Check(ctx, Check{Key: key, Limit: limit, Cost: &none})
		if err != nil {
			f.t.Fatalf("ask for the holder of %q: %v", key, err)
		}
		if a.Source == "holder" {
			return f.Node(a.Node)
		}
	}
}

// KeyOf returns a key that starts with prefix and that n holds.
func (f *Fleet) KeyOf(n *Node, prefix, limit string) string {
	f.t.Helper()
	for i := range 10_000 {
		if key := fmt.Sprintf("%s/%d", prefix, i); f.Holder(key, limit) == n {
			return key
		}
	}
	f.t.Fatalf("%s holds none of 10,000 keys", n.Name)
	return ""
}

// Clients returns a client of each living node's HTTP API and one of each one's gRPC API.
func (f *Fleet) Clients() []Client {
	f.t.Helper()
	var clients []Client
	for _, n := range f.Alive() {
		clients = append(clients, n.HTTP(), n.GRPC())
	}
	return clients
}
