package ring

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
)

// A Builder makes tables. It keeps the circle of the last one and changes what differs, so that a join or a leave costs
// 5 to 50 ms among 3 members as among 500, where a first table takes 7 ms at 3 members, half a second at 100, seconds at
// 500.
//
// It has one user: it is not safe for concurrent use. What it returns is.
type Builder struct {
	params       Params // with defaults
	sum          func([]byte) uint64
	virtualNodes func(members int) int
	rest         func() // nil: none
	work         int    // hashes since the last rest

	circle *consistent.Consistent
	nodes  map[Member]*node  // who is in circle
	points map[uint64]Member // the virtual nodes in circle
	each   int               // how many of them each member has

	last    *Table
	without struct { // what Without returned last
		of   *Table
		gone Member
		made *Table
	}
}

// node is a member inside consistent.
type node struct {
	name  string
	index uint16 // in the table that is being read
}

func (n *node) String() string { return n.name }

// restEvery is how many hashes are computed, with what is done for each, between two rests: a quarter of a millisecond.
const restEvery = 512

// hasher hashes for consistent.
type hasher struct{ of *Builder }

func (h hasher) Sum64(b []byte) uint64 {
	if h.of.work++; h.of.rest != nil && h.of.work >= restEvery {
		h.of.work = 0
		h.of.rest()
	}
	return h.of.sum(b)
}

// Rest makes b call rest after each quarter of a millisecond of its work, so that it can be done little by little, beside
// work that is in more of a hurry: rest may sleep. It must not call b. nil, as at first: b works in one go.
func (b *Builder) Rest(rest func()) { b.rest = rest }

// NewBuilder returns a Builder of tables with these parameters, or the error of p.Validate.
func NewBuilder(p Params) (*Builder, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	p = p.withDefaults()
	return &Builder{params: p, sum: xxhash.Sum64, virtualNodes: p.virtualNodes}, nil
}

// Table returns the table of these members. It depends on nothing but the set of them and the Builder's Params: neither
// on their order nor on earlier calls. A member named twice counts once. No members give a table without targets. The
// slice is not kept.
//
// An error names the member whose name is empty or longer than MaxMember bytes, or says that there are more than 65,535
// members, or that virtual nodes of two members have one hash, with odds of 1 in 10^10 among hundreds of members: then
// one of the two needs another name. After an error the Builder goes on as before.
//
// It waits for nothing, but computes for as long as Builder says.
func (b *Builder) Table(members []Member) (*Table, error) {
	set, err := asSet(members)
	if err != nil {
		return nil, err
	}
	if b.last != nil && slices.Equal(set, b.last.members) {
		return b.last, nil
	}
	t, err := b.build(set)
	if err != nil {
		return nil, err
	}
	b.last = t
	return t, nil
}

// asSet returns members sorted, each once, in a slice of its own.
func asSet(members []Member) ([]Member, error) {
	for _, m := range members {
		if err := m.Validate(); err != nil {
			return nil, err
		}
	}
	set := slices.Clone(members)
	slices.Sort(set)
	set = slices.Compact(set)
	if len(set) > maxMembers {
		return nil, fmt.Errorf("ring of %d members, want at most %d", len(set), maxMembers)
	}
	return slices.Clip(set), nil
}

// build makes the table of set, which is sorted and without duplicates, and keeps set in it.
func (b *Builder) build(set []Member) (*Table, error) {
	if err := b.turn(set); err != nil {
		return nil, err
	}
	return b.read(set), nil
}

// turn makes set the members of the circle. When it returns an error the circle has some other members, which is as
// good a start for the next turn as any.
func (b *Builder) turn(set []Member) error {
	gone, come := b.differ(set)
	each := b.virtualNodes(len(set))
	// consistent spreads all partitions anew after each change, but sorts all points for each member of a new circle: by
	// measurement a new one is cheaper from a quarter of the members on.
	if b.circle == nil || each != b.each || 4*(len(gone)+len(come)) > len(set) {
		return b.renew(set, each)
	}
	// Leavers first: a newcomer may have a point where a leaver had one.
	for _, m := range gone {
		b.circle.Remove(string(m))
		b.forget(m)
	}
	for _, m := range come {
		n, err := b.mark(m)
		if err != nil {
			return err
		}
		b.circle.Add(n)
	}
	return nil
}

// differ returns who leaves the circle and who joins it to make it set's, both in ascending order.
func (b *Builder) differ(set []Member) (gone, come []Member) {
	for m := range b.nodes {
		if _, found := slices.BinarySearch(set, m); !found {
			gone = append(gone, m)
		}
	}
	slices.Sort(gone)
	for _, m := range set {
		if b.nodes[m] == nil {
			come = append(come, m)
		}
	}
	return gone, come
}

// renew starts another circle with the members of set.
func (b *Builder) renew(set []Member, each int) error {
	b.circle = nil // so that an error leaves no half of one
	b.each = each
	b.nodes = make(map[Member]*node, len(set))
	b.points = make(map[uint64]Member, len(set)*each)
	nodes := make([]consistent.Member, len(set))
	for i, m := range set {
		n, err := b.mark(m)
		if err != nil {
			return err
		}
		nodes[i] = n
	}
	b.circle = consistent.New(nodes, consistent.Config{
		Hasher:            hasher{b},
		PartitionCount:    b.params.Partitions,
		ReplicationFactor: each,
		Load:              b.params.Load,
	})
	return nil
}

// mark notes m's virtual nodes, or returns an error and notes nothing if one of them is where another member has one.
// There consistent keeps whoever came last and forgets the point when either leaves: its tables would depend on the
// past, and its next Remove would panic. Refusing depends on the set alone.
//
// It also makes sure that consistent does not panic for want of room: every member of the circle is to be met on it,
// and may take the mean or more, since Load is at least 1.
func (b *Builder) mark(m Member) (*node, error) {
	points := b.pointsOf(m)
	for _, h := range points {
		if other, taken := b.points[h]; taken {
			const collide = "members %q and %q collide on the ring, want another name for one of them"
			return nil, fmt.Errorf(collide, string(other), string(m))
		}
	}
	for _, h := range points {
		b.points[h] = m // two of m's own may be one: nothing depends on their order
	}
	n := &node{name: string(m)}
	b.nodes[m] = n
	return n, nil
}

func (b *Builder) forget(m Member) {
	for _, h := range b.pointsOf(m) {
		delete(b.points, h)
	}
	delete(b.nodes, m)
}

// pointsOf returns the hashes of m's virtual nodes, as consistent computes them.
func (b *Builder) pointsOf(m Member) []uint64 {
	points := make([]uint64, b.each)
	var buf [20 + MaxMember]byte
	for i := range points {
		word := append(strconv.AppendInt(buf[:0], int64(i), 10), ':')
		points[i] = b.sum(append(word, m...))
	}
	return points
}

// read copies the circle's partitions into a table with the members set, which must be the circle's.
func (b *Builder) read(set []Member) *Table {
	slots := make([]uint16, b.params.Partitions)
	for i, m := range set {
		b.nodes[m].index = uint16(i)
	}
	for p := range slots {
		slots[p] = nobody
		if n, ok := b.circle.GetPartitionOwner(p).(*node); ok {
			slots[p] = n.index
		}
	}
	return newTable(b.params, set, slots)
}
