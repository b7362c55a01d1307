package core

import (
	"slices"

	"github.com/noriahq/noria/ring"
)

// A route is whom this node takes for the holder of a partition, for those who ask while the core is at work: the highest
// term heard of, and in the low 16 bits the holder's number in names, from 1 on; 0 if nobody is known.
const (
	routeBits = 16
	routeSelf = 1
)

// Route returns whom this node takes for the holder of p, "" if it does not know, and the highest term that it has heard
// of. It is safe for concurrent use, and does not block.
func (n *Core) Route(p ring.Partition) (ring.Member, Term) {
	r := n.routes[p].Load()
	number := int(r & (1<<routeBits - 1))
	if number == 0 {
		return "", Term(r >> routeBits)
	}
	return (*n.names.Load())[number-1], Term(r >> routeBits)
}

// Holds says whether this node has p and decides on it, while Decides says so. It is safe for concurrent use, and does not
// block.
func (n *Core) Holds(p ring.Partition) bool {
	return n.routes[p].Load()&(1<<routeBits-1) == routeSelf
}

// publish makes Route tell what this node knows of p now.
func (n *Core) publish(p int) {
	m, term := n.holder(p)
	route := uint64(term) << routeBits
	if m != nil {
		route |= m.route
	}
	n.routes[p].Store(route)
}

// publishAll is publish for all partitions.
func (n *Core) publishAll() {
	for p := range n.parts {
		n.publish(p)
	}
}

// number returns the number of a member, 0 for nobody and for one for whom there is no number left.
func (n *Core) number(id ring.Member) int {
	if id == "" {
		return 0
	}
	if i, ok := n.numbers[id]; ok {
		return i
	}
	names := *n.names.Load()
	if len(names) == 1<<routeBits-1 {
		return 0
	}
	names = append(slices.Clip(names), id)
	n.names.Store(&names)
	n.numbers[id] = len(names)
	return len(names)
}
