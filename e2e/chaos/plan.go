package chaos

import (
	"slices"
	"time"

	"github.com/noriahq/noria/bucket"
)

// A Plan says what is done to a fleet and what is asked of it meanwhile. New makes one with defaults, Random makes up
// faults, Parse reads one from YAML.
type Plan struct {
	// Nodes are started at first, with the names a, b, c and so on; 1 to 20.
	Nodes int `yaml:"nodes" json:"nodes"`

	// Gateways are started after them, with the names that follow. They hold no keys and are asked like the others. A node that
	// joins under the name of a gateway is one, and any other holds. 0 to 19, and at most 20 with the others.
	Gateways int `yaml:"gateways,omitempty" json:"gateways,omitempty"`

	// Clients ask, each over connections of its own, in turn over gRPC and HTTP; 1 to 64.
	Clients int `yaml:"clients" json:"clients"`

	// Keys are asked for, named k0, k1 and so on; half of the requests are for few of them. 1 to 200,000.
	Keys int `yaml:"keys" json:"keys"`

	// Rate is how many requests start a second, over all clients; 1 to 50,000.
	Rate int `yaml:"rate" json:"rate"`

	// Duration is how long requests start; 1s to 24h, and rate times duration is at most 10,000,000.
	Duration time.Duration `yaml:"duration" json:"duration_ns"`

	// Seed decides on keys, on which node is asked, and on who "any" is.
	Seed uint64 `yaml:"seed" json:"seed"`

	// Timeout is the deadline of every request. More than PeerWait.
	Timeout time.Duration `yaml:"timeout" json:"timeout_ns"`

	// PeerWait is how long nodes wait for each other. The default is patient: a small machine that runs a whole fleet and asks
	// it, too, now and then lets one of its processes wait for a tenth of a second.
	PeerWait time.Duration `yaml:"peer_wait" json:"peer_wait_ns"`

	// Detection is how long it may take the fleet to find out that a node is frozen or cut off.
	Detection time.Duration `yaml:"detection" json:"detection_ns"`

	// Delay and Loss are added to every packet between nodes. They need networks that the tool can shape.
	Delay time.Duration `yaml:"delay,omitempty" json:"delay_ns,omitempty"`
	Loss  float64       `yaml:"loss,omitempty" json:"loss,omitempty"` // percent

	// Limits are shared out over the keys by weight.
	Limits []Limit `yaml:"limits" json:"limits"`

	// Steps are the faults. They are carried out in order of their times, one after the other: one that takes longer than
	// until the next makes that one late.
	Steps []Step `yaml:"steps,omitempty" json:"steps,omitempty"`
}

// A Limit is the limit of some keys.
type Limit struct {
	// Limit is a steady rate or a quota that is never refilled, in the usual grammar.
	Limit string `yaml:"limit" json:"limit"`

	// Weight is how many keys have it beside the others; 1 to 1,000.
	Weight int `yaml:"weight,omitempty" json:"weight"`

	// Hot, where not 0, makes it the limit of one key alone, which gets that share of all requests; less than 1, also the sum
	// of all. Weight says nothing then.
	Hot float64 `yaml:"hot,omitempty" json:"hot,omitempty"`

	// Cost is the most tokens that a request asks for; each asks for 1 to Cost. Default: 1.
	Cost int64 `yaml:"cost,omitempty" json:"cost"`

	// Durability and OnLost are as everywhere; "" for the defaults, async and share.
	Durability string `yaml:"durability,omitempty" json:"durability,omitempty"`
	OnLost     string `yaml:"on_lost,omitempty" json:"on_lost,omitempty"`

	parsed bucket.Limit // once checked
}

// A Step is one fault, or the end of one.
type Step struct {
	// At is when it begins, counted from the first request.
	At time.Duration `yaml:"at" json:"at_ns"`

	// Do is join, leave, kill, restart, pause, cut, heal, flap or rolling-restart.
	Do string `yaml:"do" json:"do"`

	// Node is who, by name, or "any" for one that the seed picks among those that are up. A join takes the next free name
	// where it is empty. A cut or a flap is between Node and To.
	Node string `yaml:"node,omitempty" json:"node,omitempty"`

	// HolderOf names a key instead of a node: its holder is meant.
	HolderOf string `yaml:"holder-of,omitempty" json:"holder_of,omitempty"`

	// For is how long a pause or a flap lasts.
	For time.Duration `yaml:"for,omitempty" json:"for_ns,omitempty"`

	// Every is how often a flap cuts; it heals in the middle between.
	Every time.Duration `yaml:"every,omitempty" json:"every_ns,omitempty"`

	// How says how a restart ends the node: kill, the default, or leave.
	How string `yaml:"how,omitempty" json:"how,omitempty"`

	// With are nodes on Node's side of a cut or a flap. Default: nobody.
	With []string `yaml:"with,omitempty" json:"with,omitempty"`

	// To are the nodes on the other side of a cut or a flap. Default: all others.
	To []string `yaml:"to,omitempty" json:"to,omitempty"`

	// OneWay cuts only what goes from Node to To.
	OneWay bool `yaml:"one_way,omitempty" json:"one_way,omitempty"`
}

// Any is the name of a node that the seed picks.
const Any = "any"

// What a Step can do.
const (
	Join    = "join"
	Leave   = "leave"
	Kill    = "kill"
	Restart = "restart"
	Pause   = "pause"
	Cut     = "cut"
	Heal    = "heal"
	Flap    = "flap"
	Rolling = "rolling-restart"
)

// New returns a plan of 30 seconds without faults.
func New() Plan {
	return Plan{
		Nodes: 3, Clients: 4, Keys: 2000, Rate: 1000, Duration: 30 * time.Second, Seed: 1,
		Timeout: 2 * time.Second, PeerWait: 250 * time.Millisecond, Detection: 5 * time.Second,
		Limits: []Limit{
			{Limit: "quota 20", Weight: 2},
			{Limit: "quota 20", Weight: 1, Durability: "sync"},
			{Limit: "30/m burst 10", Weight: 2},
			{Limit: "30/m burst 10", Weight: 1, OnLost: "deny"},
			{Limit: "20/s burst 40", Weight: 2, Cost: 3},
			{Limit: "20/s burst 40", Weight: 1, Durability: "none", OnLost: "allow"},
			{Limit: "300/s burst 600", Hot: 0.5},
		},
	}
}

// withDefaults returns p with the zero fields of its limits and steps filled in.
func (p Plan) withDefaults() Plan {
	limits := make([]Limit, len(p.Limits))
	for i, l := range p.Limits {
		l.Weight, l.Cost = max(l.Weight, 1), max(l.Cost, 1)
		if parsed, err := bucket.ParseLimit(l.Limit); err == nil {
			l.parsed = parsed
		}
		limits[i] = l
	}
	p.Limits = limits
	steps := make([]Step, len(p.Steps))
	for i, s := range p.Steps {
		if s.Do == Restart && s.How == "" {
			s.How = Kill
		}
		steps[i] = s
	}
	p.Steps = steps
	return p
}

// weight returns how many keys have l beside the others.
func (l Limit) weight() int {
	if l.Hot > 0 {
		return 0
	}
	return l.Weight
}

// hot returns the limits of hot keys, in the order of the keys: k0, k1 and so on.
func (p Plan) hot() (limits []uint8) {
	for i := range p.Limits {
		if p.Limits[i].Hot > 0 && len(limits) < p.Keys {
			limits = append(limits, uint8(i))
		}
	}
	return limits
}

// isGateway says whether a node of that name holds no keys.
func (p Plan) isGateway(node string) bool { return slices.Contains(p.GatewayNames(), node) }

// GatewayNames returns the names of the nodes that hold no keys.
func (p Plan) GatewayNames() []string {
	names := make([]string, min(max(p.Gateways, 0), MaxNodes))
	for i := range names {
		names[i] = name(max(p.Nodes, 0) + i)
	}
	return names
}

// name returns the name of the i-th node.
func name(i int) string {
	if i < 26 {
		return string(rune('a' + i))
	}
	return name(i/26-1) + name(i%26)
}
