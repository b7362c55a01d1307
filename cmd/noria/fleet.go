package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/cluster"
)

// fleet is what the command fleet runs.
type fleet struct {
	nodes     int
	gateways  int
	base      int // of the ports of the first node; 0 for the usual ones
	freePorts bool
	wait      time.Duration
	peerWait  time.Duration
	front     front
	file      string
	secure    string // folder of config init --tls, "" for none
	demo      bool
	show      *show          // nil without demo
	policy    *policy.Policy // nil for none
	telemetry telemetry
	logging   logging
	out       output
}

// newFleet returns the command fleet.
func newFleet(p *process) *cobra.Command {
	var f fleet
	cmd := &cobra.Command{
		Use:   "fleet",
		Short: "Run several nodes in one process, to try things out",
		Long: `Runs several nodes in one process on this machine until SIGINT or SIGTERM. They form a cluster as those of serve do.

Those of --gateways come after the others: they hold no keys, and ask those who do.

The first node has the ports that serve has by default, and each further one ports that are higher by 10.`,
		Example: `  noria fleet
  noria fleet --nodes 5 --free-ports
  noria fleet --nodes 3 --gateways 6
  noria fleet --upstream http://127.0.0.1:9000 --limit 10/s
  noria fleet --config noria.yaml
  noria config init --tls && noria fleet --secure secure
  noria fleet --demo`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), p) },
	}
	own := section{flags: cmd.Flags(), name: "fleet"}
	own.add("nodes", "nodes", "`NUMBER` of nodes", of(&f.nodes, "number", "3", whole(1, 50)))
	own.add("gateways", "gateways", "`NUMBER` of nodes beside them that hold no keys", of(&f.gateways, "number", "0", whole(0, 50)))
	own.add("base-port", "base_port", "first of the `PORT`s instead of the usual ones: +0 gateway, +1 gRPC, +2 admin, +3 HTTP API, +6 gossip, +7 peers", of(&f.base, "port", "", whole(1, 65535-1000)))
	own.toggle("free-ports", "free_ports", "take whatever ports are free", &f.freePorts)
	own.toggle("demo", "demo", "gateways with a sample policy, in front of a small upstream that speaks as language models do", &f.demo)
	own.add("config", "config", "YAML `FILE` with the policy of all nodes' gateways", of(&f.file, "file", "", text))
	own.add("secure", "secure", "`DIR` that \"noria config init --tls\" made, with certificates, keys and tokens of the nodes", of(&f.secure, "folder", "", text))
	own.add("wait", "wait", "most `TIME` until all nodes agree", of(&f.wait, "duration", "30s", duration(time.Second, time.Hour)))
	node := section{flags: cmd.Flags(), name: "node"}
	node.add("peer-wait", "peer_wait", "`TIME` a check waits for another node before the limit's on_lost rule answers", of(&f.peerWait, "duration", "50ms", duration(time.Millisecond, time.Minute)))
	addFront(section{flags: cmd.Flags(), name: "gateway"}, &f.front)
	addLogging(section{flags: cmd.Flags(), name: "log"}, &f.logging, "error", "text")
	addOutput(section{flags: cmd.Flags(), name: "client"}, &f.out)
	return cmd
}

// run starts the nodes, says where they are once they agree, and serves until ctx ends.
func (f *fleet) run(ctx context.Context, p *process) error {
	if err := f.prepare(p); err != nil {
		return err
	}
	all := make([]settings, f.nodes+f.gateways)
	for i := range all {
		all[i] = f.settings(i)
		if err := f.lock(&all[i]); err != nil {
			return err
		}
	}
	if t := takenPorts(all); len(t) > 0 {
		return usagef("%s: stop what listens there, or start with --free-ports or with others, such as --base-port 9080", t)
	}
	g, gctx := errgroup.WithContext(ctx)
	log := f.logging.logger(p.stderr)
	if f.show != nil {
		g.Go(func() error { return f.show.run(gctx, log) })
	}
	g.Go(func() error {
		nodes, err := startNodes(gctx, g, all, log)
		if err != nil || len(nodes) < len(all) {
			return err
		}
		if err := f.agree(gctx, nodes); err != nil || gctx.Err() != nil {
			return err
		}
		return f.out.print(p.stdout, f.data(nodes), f.screen(p.program, p.paint(p.stdout), nodes))
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if f.out.format == "text" {
		fmt.Fprintf(p.stdout, "\n%d nodes have left.\n", len(all))
	}
	return nil
}

// prepare reads the policy that the gateways go by.
func (f *fleet) prepare(p *process) (err error) {
	f.telemetry = telemetry{p.env, p.stderr}
	switch {
	case f.demo && f.front.upstream != nil, f.demo && f.file != "", f.file != "" && f.front.upstream != nil:
		return usagef("want one of --demo, --config and --upstream")
	case f.demo:
		if f.show, err = newShow(f.demoAddr()); err == nil {
			f.policy = f.show.policy
		}
	case f.file != "":
		var b []byte
		if b, err = readFile(f.file); err != nil {
			return err
		}
		var in contents
		if in, err = checkFile(f.file, b, p.env); err != nil {
			return err
		}
		if len(in.settings) > 0 {
			return usagef("%s sets %s: a fleet takes a policy and nothing else from a file", f.file, in.settings[0].field)
		}
		f.policy = in.policy
	}
	return err
}

// startNodes runs nodes with the settings all in g, where all but the first join the first. It returns fewer if ctx ends.
func startNodes(ctx context.Context, g *errgroup.Group, all []settings, log *slog.Logger) ([]*server, error) {
	var nodes []*server
	for i, s := range all {
		if i > 0 {
			select {
			case <-nodes[0].node.Opened():
				s.join = []string{nodes[0].addresses().gossip}
			case <-ctx.Done():
				return nodes, nil
			}
		}
		n, err := newServer(s, log) //nolint:contextcheck // it sends traces until it is stopped, and not until ctx ends
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
		g.Go(func() error { return n.run(ctx) })
	}
	return nodes, nil
}

// settings returns those of the node at index i, without whom it joins.
func (f *fleet) settings(i int) settings {
	s := settings{
		name: "node-" + strconv.Itoa(i+1), label: "fleet", maxKeys: 1_000_000,
		peerWait: f.peerWait, drain: drain{timeout: 5 * time.Second, old: unsaid}, front: f.front, policy: f.policy, telemetry: f.telemetry, bounds: usualBounds(),
	}
	if s.role = cluster.RoleHolder; i >= f.nodes {
		s.role = cluster.RoleGateway
	}
	at := func(usual, offset int) string {
		port := usual
		switch {
		case f.freePorts:
			return "127.0.0.1:0"
		case f.base != 0:
			port = f.base + offset
		}
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(port+10*i))
	}
	s.listen = ports{
		http: at(8080, 0), grpc: at(8081, 1), admin: at(8082, 2), api: at(8083, 3),
		gossip: at(7946, 6), peer: at(7947, 7),
	}
	return s
}

// agree blocks until all nodes know the same members and hold all partitions between them.
func (f *fleet) agree(ctx context.Context, nodes []*server) error {
	ctx, cancel := context.WithTimeout(ctx, f.wait)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		why := disagreement(nodes)
		if why == "" {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return &exit{status: statusFailed, err: fmt.Errorf("after %s the nodes do not agree: %s", f.wait, why)}
			}
			return nil // stopped
		}
	}
}

// disagreement says in what the nodes do not agree yet, "" if they do.
func disagreement(nodes []*server) string {
	var first cluster.Status
	held, all := 0, 0
	for i, n := range nodes {
		s := n.node.Status()
		if i == 0 {
			first = s
		}
		switch {
		case !s.Ready:
			return n.settings.name + " is not ready"
		case len(s.Members) != len(nodes):
			return fmt.Sprintf("%s knows %d members", n.settings.name, len(s.Members))
		case s.Epoch != first.Epoch:
			return fmt.Sprintf("%s has another ring than %s", n.settings.name, nodes[0].settings.name)
		}
		held += s.Partitions
	}
	for _, m := range first.Members {
		all += m.Partitions
	}
	if held != all {
		return fmt.Sprintf("%d of %d partitions have a holder", held, all)
	}
	return ""
}
