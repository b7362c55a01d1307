package core

import (
	"time"

	"github.com/noriahq/noria/bucket"
)

// Counts are what a Core has counted since New. They decide nothing.
type Counts struct {
	Claims uint64       // rounds in which this node asked all members for what it should hold
	Moved  [hows]uint64 // partitions, by how they came to this node or went from it
	Fenced uint64       // times that this node stopped deciding as it was not heard by more than half of the members
}

// A Standing is how a node's partitions are at one moment.
type Standing struct {
	Counts

	Held    int  // partitions that this node decides on
	Wanted  int  // that it should hold and does not
	Out     int  // frozen and on their way to another node
	In      int  // that another node has said it will send
	Stale   int  // whose buckets are here, and nobody decides on them here
	Exposed int  // held here, and no other node has a whole replica, though there is one that should
	Copies  int  // whose replica is here
	Term    Term // the highest of a partition held here

	// Lag is how old what the heirs do not know yet is at most: since when the oldest change was sent that is not acknowledged, or
	// how long the last took to be.
	Lag time.Duration
}

// Standing returns how this node's partitions are at now. It looks at all of them.
func (n *Core) Standing(now bucket.Instant) Standing {
	s := Standing{Counts: n.counts, Held: n.held}
	for p := range n.parts {
		q := &n.parts[p]
		switch q.state {
		case holding:
			s.Term = max(s.Term, q.term)
			if q.heir == nil && n.heir(p) != nil {
				s.Exposed++
			}
		case sending:
			s.Out++
		case stale:
			s.Stale++
		case away:
		}
		if q.copy > 0 {
			s.Copies++
		}
		if n.wants(p) {
			s.Wanted++
			if q.expect != nil {
				s.In++
			}
		}
	}
	for _, m := range n.order {
		s.Lag = max(s.Lag, m.lag(now))
	}
	return s
}

// acknowledged notes that m has, or may not have, the changes of a message sent then, as is known at now.
func (m *member) acknowledged(now, sent bucket.Instant, arrived bool) {
	switch {
	case !arrived && m.behind == 0:
		m.behind = max(sent, 1)
	case arrived:
		m.behind, m.acked = 0, now.Sub(sent)
	}
}

// lag returns how old what m does not know is at most, as far as is known.
func (m *member) lag(now bucket.Instant) time.Duration {
	if m.behind != 0 {
		return now.Sub(m.behind)
	}
	return m.acked
}
