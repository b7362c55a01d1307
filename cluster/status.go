package cluster

import (
	"fmt"
	"slices"
	"time"

	"github.com/noriahq/noria/ring"
)

// Status is what a node knows of itself and of the cluster at one moment.
type Status struct {
	Node         ring.Member    `json:"node"`
	Role         Role           `json:"role"`
	Ready        bool           `json:"ready"`        // has joined, or was told to serve alone, and serves
	Label        string         `json:"label"`        // of the cluster
	Policy       string         `json:"policy"`       // hash of the one that the node goes by, in hexadecimal; empty for none
	Policies     int            `json:"policies"`     // how many different ones the members go by, and none is one too: 1 where all agree
	Epoch        string         `json:"epoch"`        // of the ring, in hexadecimal; nodes with equal ones agree on every target
	Ring         string         `json:"ring"`         // parameters of the ring
	Members      []MemberStatus `json:"members"`      // in order of their ids, this node among them
	Partitions   int            `json:"partitions"`   // held by this node
	Wanted       int            `json:"wanted"`       // that it should hold, and does not yet
	Deciding     bool           `json:"deciding"`     // false while more than half of the holders do not hear it, and at a gateway
	Keys         int            `json:"keys"`         // buckets in memory
	Reservations int            `json:"reservations"` // outstanding, of the keys that this node holds
	Evicted      uint64         `json:"evicted"`      // buckets dropped because MaxKeys was reached
	Shared       uint64         `json:"shared"`       // checks decided by buckets that keys share because of LimitKeys
	Degraded     uint64         `json:"degraded"`     // checks that were answered without their holder
	Repeated     uint64         `json:"repeated"`     // checks that were denied by what their holder had said before
	Leased       uint64         `json:"leased"`       // checks that were admitted by what holders have lent
	Uptime       time.Duration  `json:"uptime_ns"`    // since Run
	State        *StateStatus   `json:"state,omitempty"`
}

// MemberStatus is what a node knows of one member.
type MemberStatus struct {
	ID         ring.Member `json:"id"`
	Role       Role        `json:"role"`
	Peer       string      `json:"peer"`               // address for node-to-node checks
	Gossip     string      `json:"gossip"`             // address for membership
	Partitions int         `json:"partitions"`         // that the ring names this member for
	Policy     string      `json:"policy,omitempty"`   // hash of the one that it goes by, in hexadecimal; empty for none
	Draining   bool        `json:"draining,omitempty"` // leaves as soon as it has nothing any more
	Self       bool        `json:"self,omitempty"`
}

// HasHolder says whether a member holds keys.
func (s Status) HasHolder() bool {
	return slices.ContainsFunc(s.Members, func(m MemberStatus) bool { return m.Role == RoleHolder })
}

// Status returns what the node knows now. Before it is ready that is little.
func (n *Node) Status() Status {
	s := Status{
		Node: n.name, Role: n.config.Role, Label: n.config.Label, Ring: n.config.Ring.String(), Degraded: n.degraded.Load(),
		Policy: hexadecimal(n.policy.Load()), Policies: 1,
		Repeated: n.denials.repeated.Load(), Leased: n.leases.checks(),
	}
	stats := n.store.Stats()
	s.Keys, s.Evicted, s.Reservations, s.Shared = stats.Keys, stats.Evicted, stats.Reservations, stats.Shared
	n.mu.Lock()
	if !n.started.IsZero() {
		s.Uptime = time.Since(n.started)
	}
	n.mu.Unlock()
	s.State = n.stateStatus()
	v := n.view.Load()
	if v == nil {
		return s
	}
	select {
	case <-n.ready:
		s.Ready = !n.leaving.Load()
	default:
	}
	s.Epoch = fmt.Sprintf("%016x", v.table.Epoch())
	n.holding.mu.Lock()
	s.Partitions, s.Wanted = n.core.Held(), n.core.Wants()
	n.holding.mu.Unlock()
	s.Deciding = n.core.Decides(n.now())
	policies := map[uint64]bool{}
	for i, m := range v.members {
		targets := 0
		if at, ok := v.table.Index(m.ID); ok {
			targets = v.table.Count(at)
		}
		policies[m.Policy] = true
		s.Members = append(s.Members, MemberStatus{
			ID: m.ID, Role: roleOf(m.Member), Peer: m.Member.Peer, Gossip: m.Gossip, Partitions: targets,
			Policy: hexadecimal(m.Policy), Draining: m.Draining, Self: i == v.self,
		})
	}
	s.Policies = len(policies)
	return s
}

// hexadecimal returns a policy's hash for people, "" for none.
func hexadecimal(hash uint64) string {
	if hash == 0 {
		return ""
	}
	return fmt.Sprintf("%016x", hash)
}
