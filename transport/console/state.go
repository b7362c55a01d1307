package console

import (
	"time"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
)

// A State is a fleet at one moment, as the members say it.
type State struct {
	At    time.Time   `json:"at"`
	Node  ring.Member `json:"node"`  // who was asked
	Label string      `json:"label"` // of the cluster
	Ready bool        `json:"ready"` // Node has joined; else the rest is empty
	Ring  string      `json:"ring"`
	Epoch string      `json:"epoch"`

	Members    []Member `json:"members"`    // in order of their ids, and those who went a short while ago
	Partitions int      `json:"partitions"` // of the ring
	Flows      []Flow   `json:"flows"`      // who holds what of whom: all partitions, by target and holder
	Moves      []Move   `json:"moves"`      // what changed hands since the state before
	Moving     int      `json:"moving"`     // partitions whose holder is not their target
	Unheld     int      `json:"unheld"`     // those among them that nobody holds

	Rates    Rates            `json:"rates"`    // of all members
	Policies int              `json:"policies"` // how many different ones the members go by: 1 where all agree
	Hot      []cluster.HotKey `json:"hot"`      // null for who is no admin
	HotCount int              `json:"hot_count"`
	Admin    bool             `json:"admin"` // who asks may see keys
}

// Rates are decisions a second.
type Rates struct {
	Allowed  float64 `json:"allowed"`
	Denied   float64 `json:"denied"`
	Degraded float64 `json:"degraded"`
}

// Sum returns all decisions a second.
func (r Rates) Sum() float64 { return r.Allowed + r.Denied + r.Degraded }

func (r Rates) plus(o Rates) Rates {
	return Rates{r.Allowed + o.Allowed, r.Denied + o.Denied, r.Degraded + o.Degraded}
}

// A Member is one of the fleet.
type Member struct {
	ID      ring.Member  `json:"id"`
	Role    cluster.Role `json:"role"`
	Version string       `json:"version"` // "" if it does not say
	Health  Health       `json:"health"`
	Why     string       `json:"why,omitempty"` // what is wrong with it, in words
	Self    bool         `json:"self,omitempty"`

	Targets int `json:"targets"` // partitions that the ring names it for
	Held    int `json:"held"`    // that it holds
	Wanted  int `json:"wanted"`  // that it should hold and does not

	Rates    Rates         `json:"rates"` // of the checks that it is asked for
	Peers    float64       `json:"peers"` // decisions a second for other members
	Keys     int           `json:"keys"`
	Reserved int           `json:"reserved"`
	Leases   int64         `json:"leases"`
	Evicted  uint64        `json:"evicted"`
	Policy   string        `json:"policy"`
	Uptime   time.Duration `json:"uptime_ns"`
	Peer     string        `json:"peer,omitempty"`
	Gossip   string        `json:"gossip,omitempty"`
}

// Health is how a member is.
type Health string

// The healths.
const (
	Well     Health = "well"
	Moving   Health = "moving"   // it is to hold partitions that it does not hold yet
	Joining  Health = "joining"  // it is not ready yet
	Draining Health = "draining" // it hands over what it has, and leaves
	Cut      Health = "cut"      // it does not decide, as more than half of the members do not hear it
	Silent   Health = "silent"   // it does not answer
	Unknown  Health = "unknown"  // its version does not say
	Left     Health = "left"     // it is gone, having said so
	Dead     Health = "dead"     // it is gone without a word
)

// Gone says whether h is of who is no member any more.
func (h Health) Gone() bool { return h == Left || h == Dead }

// A Flow is how many partitions of a target somebody holds: Target itself if nothing moves, "" for nobody.
type Flow struct {
	Target ring.Member `json:"target"`
	Holder ring.Member `json:"holder"`
	Count  int         `json:"count"`
}

// A Move is how many partitions went from one to another one: "" for nobody.
type Move struct {
	From  ring.Member `json:"from"`
	To    ring.Member `json:"to"`
	Count int         `json:"count"`
}

// A Told is an event with a sentence that says it.
type Told struct {
	cluster.Event
	Text string `json:"text"`
}

// A Sample is the rates of a fleet at one moment.
type Sample struct {
	At time.Time `json:"at"`
	Rates
}
