package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/console"
)

// A fleetStatus is what a node knows, and with its admin address what all members say of themselves.
type fleetStatus struct {
	cluster.Status
	Fleet *console.State `json:"fleet,omitempty"`
}

// addSameAdmin defines --admin for a command that asks the gRPC API too.
func (c *client) addSameAdmin(s section) {
	s.add("admin", "admin", "admin address `HOST:PORT` of the same node, which tells the members' versions, load and health as well", of(&c.admin, "address", "", remote))
}

// fleet returns what all members say, asked by the node that said s.
func (c *client) fleet(ctx context.Context, s cluster.Status) (*console.State, error) {
	var state console.State
	if err := c.get(ctx, "/console/state?rates=1", &state); err != nil {
		return nil, err
	}
	if state.Node != s.Node {
		return nil, usagef("--admin %s is of node %s, and --node %s of node %s: want addresses of one", c.admin, state.Node, c.node, s.Node)
	}
	state.Hot = nil // keys are for who asks for them
	return &state, nil
}

// fleetText returns what prints how all members are.
func fleetText(st *console.State) func(io.Writer) {
	return func(w io.Writer) {
		fmt.Fprintf(w, "\n%s: %s decisions a second, %s allowed, %s denied, %s degraded; %s of %s partitions held, %s moving\n", summary(st),
			perSecond(st.Rates.Sum()), perSecond(st.Rates.Allowed), perSecond(st.Rates.Denied), perSecond(st.Rates.Degraded),
			count(st.Partitions-st.Unheld), count(st.Partitions), count(st.Moving))
		rows := []string{row("MEMBER", "HEALTH", "HELD", "DECISIONS/S", "FOR PEERS", "KEYS", "UP", "VERSION", "")}
		for i := range st.Members {
			m := &st.Members[i]
			rows = append(rows, row(m.ID, healthText(m.Health), unlessGone(m, count(m.Held)), unlessGone(m, perSecond(m.Rates.Sum())), unlessGone(m, perSecond(m.Peers)),
				unlessGone(m, count(m.Keys)), unlessGone(m, lasting(m.Uptime.Round(time.Second))), orDash(m.Version), m.Why))
		}
		table(w, rows...)
	}
}

// orDash returns s, or a dash for nothing.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
