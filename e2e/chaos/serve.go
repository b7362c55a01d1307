package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ServeConfig says which processes Serve runs.
type ServeConfig struct {
	// Binary is the path of a noria binary. Required.
	Binary string

	// PeerWait is how long nodes wait for each other. Default: the binary's.
	PeerWait time.Duration

	// Gateways are the names of nodes that hold no keys: see Plan.GatewayNames.
	Gateways []string

	// Args are further flags of noria serve.
	Args []string

	// Networks gives every node a network of its own, which can be cut. It is closed with the fleet. Default: all are on
	// loopback, and nothing can be cut.
	Networks *Networks
}

// Serve returns a Fleet of noria serve processes on free ports of this machine. It is also a Locator, a Settler and a
// Witness, and with Networks a Cutter. Its processes end with Close, and on Linux with this process.
func Serve(c ServeConfig) Fleet {
	f := &fleet{
		config: c, label: fmt.Sprintf("chaos-%d-%d", os.Getpid(), time.Now().UnixNano()), nodes: map[string]*node{},
		callers: map[caller]asker{},
	}
	if c.Networks != nil {
		return &cutFleet{f}
	}
	return f
}

// A fleet is processes of noria serve.
type fleet struct {
	config ServeConfig
	label  string // keeps the fleet from meeting one whose ports it was given

	mu      sync.Mutex
	nodes   map[string]*node // the last of each name; guarded by mu
	fallen  []string         // guarded by mu
	past    int              // changes that nodes saw that are no more; guarded by mu
	callers map[caller]asker // guarded by mu
}

// A cutFleet is a fleet whose nodes have networks.
type cutFleet struct{ *fleet }

// Cut implements Cutter.
func (f *cutFleet) Cut(ctx context.Context, from, to string) error {
	return f.config.Networks.cut(ctx, from, to)
}

// Heal implements Cutter.
func (f *cutFleet) Heal(ctx context.Context) error { return f.config.Networks.heal(ctx) }

// Start implements Fleet.
func (f *fleet) Start(ctx context.Context, name string) error {
	host, command := "127.0.0.1", []string{f.config.Binary}
	if n := f.config.Networks; n != nil {
		var err error
		if host, err = n.add(ctx, name); err != nil {
			return err
		}
		command = append(n.inside(name), f.config.Binary)
	}
	args := append(command, "serve", "--name", name, "--label", f.label, "--log-format", "json", "--log-level", "info")
	for _, port := range []string{"http", "api", "grpc", "admin", "peer", "gossip"} {
		args = append(args, "--"+port, net.JoinHostPort(host, "0"))
	}
	if f.config.Networks != nil {
		args = append(args, "--insecure") // nobody else is in there
	}
	if slices.Contains(f.config.Gateways, name) {
		args = append(args, "--role", "gateway")
	}
	if f.config.PeerWait != 0 {
		args = append(args, "--peer-wait", f.config.PeerWait.String())
	}
	if seeds := f.seeds(); len(seeds) > 0 {
		args = append(args, "--join", strings.Join(seeds, ","))
	}
	n, err := startNode(name, append(args, f.config.Args...))
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.nodes[name] = n
	f.mu.Unlock()
	select {
	case <-n.log.ready:
		return nil
	case <-n.ended:
		return fmt.Errorf("ended before it was ready: %s", n.log.last())
	case <-ctx.Done():
		return fmt.Errorf("not ready: %w; %s", ctx.Err(), n.log.last())
	}
}

// seeds returns the gossip addresses of the nodes that are up.
func (f *fleet) seeds() []string {
	var seeds []string
	for _, n := range f.alive("") {
		seeds = append(seeds, n.log.addresses().Gossip)
	}
	return seeds
}

// alive returns the nodes that are ready and neither ended nor frozen, but avoid, by name.
func (f *fleet) alive(avoid string) []*node {
	f.mu.Lock()
	defer f.mu.Unlock()
	var alive []*node
	for name, n := range f.nodes {
		if name != avoid && n.isReady() && !n.hasEnded() && !n.frozen {
			alive = append(alive, n)
		}
	}
	slices.SortFunc(alive, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	return alive
}

// node returns the node of the name.
func (f *fleet) node(name string) (*node, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.nodes[name]
	if n == nil {
		return nil, fmt.Errorf("there is no node %s", name)
	}
	return n, nil
}

// Leave implements Fleet.
func (f *fleet) Leave(ctx context.Context, name string) error {
	n, err := f.finish(ctx, name, syscall.SIGTERM)
	if err != nil {
		return err
	}
	if code := n.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("exit status %d, want 0; %s", code, n.log.last())
	}
	return nil
}

// Kill implements Fleet.
func (f *fleet) Kill(ctx context.Context, name string) error {
	_, err := f.finish(ctx, name, syscall.SIGKILL)
	return err
}

// finish ends a node by a signal.
func (f *fleet) finish(ctx context.Context, name string, sig syscall.Signal) (*node, error) {
	n, err := f.node(name)
	if err != nil {
		return nil, err
	}
	if n.hasEnded() {
		return nil, fmt.Errorf("%s had ended by itself: %s", name, n.log.last())
	}
	f.mu.Lock()
	n.asked = true
	f.mu.Unlock()
	if err := n.signal(sig); err != nil {
		return nil, err
	}
	select {
	case <-n.ended:
	case <-ctx.Done():
		return nil, fmt.Errorf("%s still runs: %w", name, ctx.Err())
	}
	f.forget(n)
	f.mu.Lock()
	f.past += n.log.changes()
	f.mu.Unlock()
	return n, nil
}

// Pause implements Fleet.
func (f *fleet) Pause(_ context.Context, name string) error { return f.freeze(name, true) }

// Resume implements Fleet.
func (f *fleet) Resume(_ context.Context, name string) error { return f.freeze(name, false) }

// freeze stops a node or lets it go on.
func (f *fleet) freeze(name string, frozen bool) error {
	n, err := f.node(name)
	if err != nil {
		return err
	}
	f.mu.Lock()
	n.frozen = frozen
	f.mu.Unlock()
	if frozen {
		return n.signal(sigStop)
	}
	return n.signal(sigContinue)
}

// Fallen implements Witness.
func (f *fleet) Fallen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	fallen := slices.Clone(f.fallen)
	for name, n := range f.nodes {
		if n.hasEnded() && !n.asked {
			fallen = append(fallen, fmt.Sprintf("%s ended by itself: %s", name, n.log.last()))
		} else if line := n.log.breakdown(); line != "" {
			fallen = append(fallen, fmt.Sprintf("%s broke down: %s", name, line))
		}
	}
	return fallen
}

// Changes implements Witness.
func (f *fleet) Changes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	changes := f.past
	for _, n := range f.nodes {
		if !n.hasEnded() {
			changes += n.log.changes()
		}
	}
	return changes
}

// Close implements Fleet.
func (f *fleet) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var wrong []error
	for _, n := range f.nodes {
		n.asked = true
		wrong = append(wrong, n.signal(syscall.SIGKILL))
	}
	for _, n := range f.nodes {
		<-n.ended // the kernel ends whom SIGKILL was sent to; its output is given up after a while
	}
	for _, a := range f.callers {
		a.close()
	}
	clear(f.callers)
	if f.config.Networks != nil {
		wrong = append(wrong, f.config.Networks.Close())
	}
	return errors.Join(wrong...)
}

// transport returns what HTTP requests go through, with at most that many connections to a host.
func (f *fleet) transport(conns int) *http.Transport {
	return &http.Transport{
		Proxy: nil, DialContext: f.dial, MaxIdleConnsPerHost: conns, MaxConnsPerHost: conns, DisableCompression: true,
		IdleConnTimeout: time.Minute,
	}
}

// dial opens a connection to a node.
func (f *fleet) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if f.config.Networks != nil {
		return f.config.Networks.dial(ctx, network, addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}
