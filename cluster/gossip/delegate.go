package gossip

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/memberlist"
)

// A delegate is what memberlist calls back, mostly under its lock: it copies what it is told and returns. Some calls come
// before memberlist.Create has returned and some after Shutdown.
type delegate struct {
	*Gossip
	wire *wire
}

// NodeMeta says what this node says of itself.
func (d delegate) NodeMeta(int) []byte {
	return d.config.meta(d.draining.Load(), d.policy.Load()).encode()
}

// NotifyMsg and the three methods below it are for messages of one's own, of which there are none.
func (d delegate) NotifyMsg([]byte)                {}
func (d delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (d delegate) LocalState(bool) []byte          { return nil }
func (d delegate) MergeRemoteState([]byte, bool)   {}

// NotifyAlive says whether a node may be a member. It is asked each time that somebody says that the node is alive.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	_, err := d.member(n)
	if err != nil {
		d.refuse(n.Address(), err)
	}
	return err
}

// NotifyMerge says whether this node may be in one cluster with peers: both ask that when one joins by the other.
func (d delegate) NotifyMerge(peers []*memberlist.Node) error {
	var worst error
	var at string
	for _, n := range peers {
		if n.State == memberlist.StateDead || n.State == memberlist.StateLeft {
			continue
		}
		_, err := d.member(n)
		if err != nil && (worst == nil || d.wire.trying(n.Address())) { // best is to name the one that was asked
			worst, at = err, n.Address()
		}
	}
	if worst != nil {
		d.refuse(at, worst)
	}
	return worst
}

// NotifyJoin notes a node that came alive. This node is the first.
func (d delegate) NotifyJoin(n *memberlist.Node) {
	if m, err := d.member(n); err == nil { // NotifyAlive let no other in
		d.roster.put(n.Name, m)
	}
}

// NotifyUpdate notes a node that says something new of itself.
func (d delegate) NotifyUpdate(n *memberlist.Node) { d.NotifyJoin(n) }

// NotifyLeave notes a node that left or is dead.
func (d delegate) NotifyLeave(n *memberlist.Node) { d.roster.drop(n.Name, time.Now()) }

// NotifyConflict notes that two nodes have not only the same ID but the same boot, which only a fixed Config.Boot does.
func (d delegate) NotifyConflict(known, other *memberlist.Node) {
	d.journal.warn("conflict "+known.Name, "two nodes have the same id and boot, the second is not let in",
		slog.String("node", known.Name), slog.String("peer", known.Address()+" and "+other.Address()))
}

// member reads what memberlist knows of a node. It fails if the node does not fit this cluster.
func (d delegate) member(n *memberlist.Node) (Member, error) {
	at := n.Address()
	m, err := parseMeta(n.Meta)
	if err != nil {
		return Member{}, fmt.Errorf("%w: %w at %s", ErrMismatch, err, at)
	}
	if err := d.config.meta(false, 0).fits(m, at); err != nil {
		return Member{}, err
	}
	id, boot, err := parseName(n.Name)
	if err != nil {
		return Member{}, fmt.Errorf("%w: %w at %s", ErrMismatch, err, at)
	}
	return Member{ID: id, Boot: boot, Peer: m.peer, Gossip: at, Draining: m.draining, Gateway: m.gateway, Policy: m.policy, Protocol: m.speaks()}, nil
}

// refuse notes that the node at addr is not let in, because of err.
func (d delegate) refuse(addr string, err error) {
	d.journal.troubles.refused.Add(1)
	d.journal.warn("refuse "+addr, "node is not let in", slog.String("peer", addr), slog.Any("err", err))
}
