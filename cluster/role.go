package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/noriahq/noria/cluster/gossip"
)

// A Role is what a node does for its cluster.
//
// Holders have the partitions between them, and a stream to each other one. Gateways have none: they ask holders, lend from
// them and remember what they denied, so they cost a cluster one stream to each holder, and nothing goes to them unasked but
// gossip. A node may have another role after a restart.
type Role string

// The roles.
const (
	RoleHolder  Role = "holder"
	RoleGateway Role = "gateway"
)

// check returns an error that wraps ErrConfig if r is none of the roles.
func (r Role) check() error {
	if r != RoleHolder && r != RoleGateway {
		return fmt.Errorf("%w: Role is %q, want %s or %s", ErrConfig, string(r), RoleHolder, RoleGateway)
	}
	return nil
}

// isGateway says whether this node never holds anything.
func (n *Node) isGateway() bool { return n.config.Role == RoleGateway }

// roleOf returns the role of m.
func roleOf(m gossip.Member) Role {
	if m.Gateway {
		return RoleGateway
	}
	return RoleHolder
}

// holders returns the members that may hold something.
func (v *view) holders() (holders []*member) {
	for _, m := range v.members {
		if !m.Gateway {
			holders = append(holders, m)
		}
	}
	return holders
}

// holderWait is how often a gateway says that it waits for a holder.
const holderWait = 10 * time.Second

// awaitHolder returns when this node, if it is a gateway, knows a holder.
func (n *Node) awaitHolder(ctx context.Context) error {
	if !n.isGateway() {
		return nil
	}
	said := time.Now().Add(time.Second - holderWait)
	return n.poll(ctx, func() bool {
		if v := n.view.Load(); v != nil && len(v.holders()) > 0 {
			return true
		}
		if time.Since(said) >= holderWait {
			said = time.Now()
			n.log.Warn("not ready: this node is a gateway and knows no holder", "members", len(n.Status().Members))
		}
		return false
	})
}
