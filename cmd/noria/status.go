package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport/noriapb"
)

// newStatus returns the command status.
func newStatus(p *process) *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what a node knows of itself and of the cluster",
		Example: `  noria status
  noria status --admin 127.0.0.1:8082
  noria status --node 127.0.0.1:8091 --output json`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s cluster.Status
			err := c.ask(cmd.Context(), func(ctx context.Context, node noriapb.NoriaClient) error {
				r, err := node.Status(ctx, &noriapb.StatusRequest{})
				s = statusOf(r)
				return err
			})
			if err != nil {
				return err
			}
			all := fleetStatus{Status: s}
			if c.admin != "" {
				if all.Fleet, err = c.fleet(cmd.Context(), s); err != nil {
					return err
				}
			}
			return c.out.print(p.stdout, all, func(w io.Writer) {
				statusText(p.paint(p.stdout), s)(w)
				if all.Fleet != nil {
					fleetText(all.Fleet)(w)
				}
			})
		},
	}
	shared := section{flags: cmd.Flags(), name: "client"}
	c.addNode(shared)
	c.addSameAdmin(shared)
	c.addCommon(shared)
	return cmd
}

// statusOf returns r as the admin port says it.
func statusOf(r *noriapb.StatusResponse) cluster.Status {
	s := cluster.Status{
		Node: ring.Member(r.GetNode()), Role: cluster.Role(r.GetRole()), Ready: r.GetReady(), Label: r.GetLabel(), Epoch: r.GetEpoch(), Ring: r.GetRing(),
		Partitions: int(r.GetPartitions()), Keys: int(r.GetKeys()), Evicted: r.GetEvicted(), Degraded: r.GetDegraded(),
		Policy: r.GetPolicy(), Policies: int(r.GetPolicies()), Reservations: int(r.GetReservations()),
		Uptime: time.Duration(r.GetUptimeNs()), Members: []cluster.MemberStatus{},
	}
	for _, m := range r.GetMembers() {
		s.Members = append(s.Members, cluster.MemberStatus{
			ID: ring.Member(m.GetId()), Role: cluster.Role(m.GetRole()), Peer: m.GetPeer(), Gossip: m.GetGossip(), Partitions: int(m.GetPartitions()), Self: m.GetSelf(),
			Policy: m.GetPolicy(),
		})
	}
	return s
}

// statusText returns what prints s for people.
func statusText(c paint, s cluster.Status) func(io.Writer) {
	return func(w io.Writer) {
		ready := c.green("ready")
		if !s.Ready {
			ready = c.yellow("not ready")
		}
		fmt.Fprintf(w, "%s %s, one of %d in %q, up %s\n", c.bold(string(s.Node)), ready, len(s.Members), s.Label, lasting(s.Uptime))
		table(w,
			row("  role", s.Role),
			row("  epoch", s.Epoch),
			row("  ring", s.Ring),
			row("  policy", policyText(c, s)),
			row("  partitions", count(s.Partitions)),
			row("  keys", count(s.Keys)),
			row("  reserved", count(s.Reservations)),
			row("  evicted", count(s.Evicted)),
			row("  degraded", count(s.Degraded)))
		rows := []string{row("MEMBER", "ROLE", "PEER", "GOSSIP", "PARTITIONS", "POLICY", "")}
		for _, m := range s.Members {
			self := ""
			if m.Self {
				self = "(asked)"
			}
			rows = append(rows, row(m.ID, m.Role, m.Peer, m.Gossip, count(m.Partitions), orNone(m.Policy), self))
		}
		fmt.Fprintln(w)
		table(w, rows...)
	}
}

// policyText says which policy s's node goes by, and whether the others go by the same.
func policyText(c paint, s cluster.Status) string {
	if s.Policies > 1 {
		return orNone(s.Policy) + ", " + c.yellow(fmt.Sprintf("and the members go by %d different ones", s.Policies))
	}
	return orNone(s.Policy)
}

// orNone returns the hash of a policy, or that there is none.
func orNone(hash string) string {
	if hash == "" {
		return "none"
	}
	return hash
}
