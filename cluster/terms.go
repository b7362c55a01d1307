package cluster

import (
	"sync/atomic"

	"github.com/noriahq/noria/ring"
)

// terms are the highest terms of all partitions that this node has heard of.
type terms []atomic.Uint64

// of returns the highest term of p, 0 if none was heard of.
func (ts terms) of(p ring.Partition) Term { return Term(ts[p].Load()) }

// hear notes that p has had a holder at t.
func (ts terms) hear(p ring.Partition, t Term) {
	for {
		known := ts[p].Load()
		if known >= uint64(t) || ts[p].CompareAndSwap(known, uint64(t)) {
			return
		}
	}
}

// begin returns the term of a new holder of p, the one after the highest.
func (ts terms) begin(p ring.Partition) Term { return Term(ts[p].Add(1)) }
