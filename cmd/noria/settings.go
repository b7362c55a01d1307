package main

import (
	"math"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/cluster"
)

// settings are all that a node can be told. Every one is a flag, an environment variable and a field of the configuration
// file; who is asked first is said in that order, and a default answers last.
type settings struct {
	name     string
	role     cluster.Role
	maxKeys  int
	peerWait time.Duration
	drain    drain
	saves    saves

	join     []string
	dns      string // "" for the system's resolver
	label    string
	alone    bool
	fence    time.Duration
	moveRate int
	forget   time.Duration

	listen    ports
	advertise struct{ peer, gossip string }

	logging logging
	front   front
	tls     tlsFiles
	guards  guards
	bounds  bounds
	rls     string // folder of the rate limit service's rules, "" for none

	// policy is that of the file, which has no flags: the environment alone overrides it. nil for none.
	policy *policy.Policy

	// telemetry has the OTEL_* variables, which are not settings of ours.
	telemetry telemetry
}

// ports are the addresses that a node listens on.
type ports struct {
	http, api, grpc, admin, peer, gossip string
}

// addSettings defines the flags of s. The sections are those of the configuration file.
func addSettings(flags *pflag.FlagSet, s *settings) {
	in := func(name string) section { return section{flags: flags, name: name, file: true} }
	node := in("node")
	name := node.add("name", "name", "`NAME` of the node, the same after a restart (default: the host's)", of(&s.name, "name", hostName(), text))
	name.DefValue = "" // it differs from host to host, and the usage says it
	node.add("role", "role", "`ROLE` of the node: holder, or gateway, which asks holders and holds no keys itself", of(&s.role, "role", "holder", role))
	node.add("max-keys", "max_keys", "most `KEYS` kept in memory; beyond, the fullest bucket goes first", of(&s.maxKeys, "number", "10000000", whole(1, math.MaxInt)))
	node.add("peer-wait", "peer_wait", "`TIME` a check waits for another node before the limit's on_lost rule answers", of(&s.peerWait, "duration", "50ms", duration(time.Millisecond, time.Minute)))
	addDrain(node, &s.drain)

	group := in("cluster")
	group.add("join", "join", "gossip address `HOST:PORT` of a node to join, or where addresses are found: dns://NAME:PORT, srv://NAME, file://PATH; several with commas or repeated", &list{to: &s.join, parse: seed, kind: "addresses"})
	group.add("dns", "dns", "`HOST:PORT` of the name server to ask for dns:// and srv:// (default: the system's)", of(&s.dns, "address", "", remote))
	group.add("label", "label", "`LABEL` of the cluster; nodes with another are not let in", of(&s.label, "label", "noria", text))
	group.toggle("serve-alone", "serve_alone", "serve although none of those to join answers", &s.alone)
	group.add("fence", "fence", "`TIME` a node decides without being heard by more than half of the members; more than 1.35s risks two holders in a cut", of(&s.fence, "duration", "1.25s", duration(100*time.Millisecond, time.Minute)))
	group.add("move-rate", "move_rate", "most `BYTES` a second that are sent to nodes that join; a node that leaves does not wait", of(&s.moveRate, "number", "4194304", whole(1<<20, math.MaxInt)))
	group.add("forget-after", "forget_after", "`TIME` a member that died without a word counts when a side of a cut asks whether it is the larger", of(&s.forget, "duration", "10m", duration(time.Second, 24*time.Hour)))

	addPorts(in("listen"), &s.listen)
	advertise := in("advertise")
	advertise.add("advertise-peer", "peer", "`HOST:PORT` at which other nodes reach --peer, where it differs", of(&s.advertise.peer, "address", "", advertised))
	advertise.add("advertise-gossip", "gossip", "`HOST:PORT` at which other nodes reach --gossip, where it differs", of(&s.advertise.gossip, "address", "", advertised))

	addState(in("state"), &s.saves)
	addFront(in("gateway"), &s.front)
	addTLS(in("gateway"), &s.tls)
	addGuards(in, &s.guards)
	addRLS(in("rls"), &s.rls)
	addBounds(in("bounds"), &s.bounds)
	addLogging(in("log"), &s.logging, "info", "json")
}

// addPorts defines the flags of p.
func addPorts(in section, p *ports) {
	in.add("http", "http", "`HOST:PORT` of the gateway, opened only with --upstream or a policy with routes", of(&p.http, "address", "127.0.0.1:8080", address))
	in.add("api", "api", "`HOST:PORT` of the HTTP/JSON API; port 0 picks a free one, no host is 127.0.0.1", of(&p.api, "address", "127.0.0.1:8083", address))
	in.add("grpc", "grpc", "`HOST:PORT` of the gRPC API", of(&p.grpc, "address", "127.0.0.1:8081", address))
	in.add("admin", "admin", "`HOST:PORT` of metrics, health and status", of(&p.admin, "address", "127.0.0.1:8082", address))
	in.add("peer", "peer", "`HOST:PORT` for checks from other nodes", of(&p.peer, "address", "127.0.0.1:7947", address))
	in.add("gossip", "gossip", "`HOST:PORT` by which nodes find each other, UDP and TCP", of(&p.gossip, "address", "127.0.0.1:7946", address))
}

// addConfig defines --config, the one flag that the file cannot have.
func addConfig(cmd *cobra.Command, to *string) {
	s := section{flags: cmd.Flags(), name: "config"}
	s.add("config", "file", "YAML `FILE` with settings; \"noria config fields\" lists them", of(to, "file", "", text))
	_ = cmd.MarkFlagFilename("config", "yaml", "yml") // fails only without the flag
}

// hostName returns the host's name, or one that works if it has none.
func hostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "noria"
	}
	return name
}
