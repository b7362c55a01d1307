package cluster

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
)

// A view is what a node goes by at one time: who is a member, and who should hold what. It is never changed; a change of
// the membership makes a new one.
type view struct {
	table   *ring.Table    // targets: the holders that do not leave, or all if all do
	heirs   *ring.Table    // targets if this node were gone; nil if there were none
	members []*member      // all that are alive, in order of their ids
	self    int            // index of this node in members
	since   bucket.Instant // when this node made it
}

// A member is a node that this one can ask. It lives as long as the node is a member with the same boot and addresses.
type member struct {
	gossip.Member
	peer Peer // nil for this node itself

	// lost is since when the member has not answered, in Instants + 1; 0 while it does.
	lost atomic.Int64

	// refused says that somebody finds out whether its process has ended.
	refused atomic.Bool
}

// member returns the member id, nil if there is none.
func (v *view) member(id ring.Member) *member {
	i := v.index(id)
	if i < 0 {
		return nil
	}
	return v.members[i]
}

// index returns the index of the member id, -1 if there is none.
func (v *view) index(id ring.Member) int {
	i, ok := slices.BinarySearchFunc(v.members, id, func(m *member, id ring.Member) int { return cmp.Compare(m.ID, id) })
	if !ok {
		return -1
	}
	return i
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
