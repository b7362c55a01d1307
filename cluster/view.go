package cluster

import (
	"sync/atomic"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
)

// A view is what a node goes by at one time: who is a member, and who should hold what. It is never changed; a change of
// the membership makes a new one.
type view struct {
	table   *ring.Table
	self    int       // index of this node in table
	members []*member // by their index in table
}

// A member is a node that this one can ask. It lives as long as the node is a member with the same boot and addresses.
type member struct {
	gossip.Member
	peer Peer // nil for this node itself

	// lost is since when the member has not answered, in Instants + 1; 0 while it does.
	lost atomic.Int64
}

// target returns the index of the member that should hold p.
func (v *view) target(p ring.Partition) int { return v.table.TargetIndex(p) }

// mine says whether this node should hold p.
func (v *view) mine(p ring.Partition) bool { return v.table.TargetIndex(p) == v.self }

// member returns the member id, nil if there is none.
func (v *view) member(id ring.Member) *member {
	i, ok := v.table.Index(id)
	if !ok {
		return nil
	}
	return v.members[i]
}

// failed notes that m did not answer at now.
func (m *member) failed(now bucket.Instant) { m.lost.CompareAndSwap(0, int64(now)+1) }

// answered notes that m answered.
func (m *member) answered() {
	if m.lost.Load() != 0 {
		m.lost.Store(0)
	}
}

// lostSince returns since when m has not answered; now, if it has.
func (m *member) lostSince(now bucket.Instant) bucket.Instant {
	if at := m.lost.Load(); at != 0 {
		return bucket.Instant(at - 1)
	}
	return now
}
