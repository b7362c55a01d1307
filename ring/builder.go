package ring

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// A Builder makes tables. It keeps the circle of the last one and changes what differs: a join or a leave costs half a
// millisecond among 3 members and 3 ms among 500, and a first table 1 and 20 ms (BenchmarkBuild).
//
// Its tables are those of github.com/buraksezer/consistent v1.0.0, which the tests compare them with. That takes 14 to 28
// times as long, which all nodes would spend at once, at the moment in which partitions begin to move.
//
// It has one user: it is not safe for concurrent use. What it returns is.
type Builder struct {
	params       Params // with defaults
	sum          func([]byte) uint64
	virtualNodes func(members int) int

	set    []Member // who is on circle, in order
	circle []point  // in order of their hashes
	each   int      // how many of them each member has
	starts []uint32 // room for one table's
	last   *Table

	without struct { // what Without returned last
		of   *Table
		gone Member
		made *Table
	}
}

// A point is a virtual node on the circle.
type point struct {
	hash   uint64
	member uint16 // index in the set
}

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
	return newTable(b.params, set, b.spread()), nil
}

// turn makes set the members of the circle. When it returns an error the circle is as before.
func (b *Builder) turn(set []Member) error {
	each := b.virtualNodes(len(set))
	var stay, come []point
	was := b.set
	if each != b.each {
		was = nil
	}
	for i, m := range set {
		if _, there := slices.BinarySearch(was, m); !there {
			come = b.appendPoints(come, m, uint16(i), each)
		}
	}
	slices.SortFunc(come, byHash)
	if len(was) > 0 {
		stay = b.staying(set)
	}
	circle := merge(stay, come)
	// consistent would go by whoever came last where points of two members are one, and its tables by the past. Refusing
	// depends on the set alone. Two of a member's own may be one: nothing depends on their order.
	for i := 1; i < len(circle); i++ {
		if one, other := circle[i-1], circle[i]; one.hash == other.hash && one.member != other.member {
			const collide = "members %q and %q collide on the ring, want another name for one of them"
			return fmt.Errorf(collide, string(set[one.member]), string(set[other.member]))
		}
	}
	b.set, b.circle, b.each = set, circle, each
	return nil
}

// staying returns the points of those on the circle who are in set.
func (b *Builder) staying(set []Member) []point {
	const gone = -1
	now := make([]int, len(b.set)) // their indices in set
	for i, m := range b.set {
		at, there := slices.BinarySearch(set, m)
		if now[i] = at; !there {
			now[i] = gone
		}
	}
	stay := make([]point, 0, len(b.circle))
	for _, p := range b.circle {
		if i := now[p.member]; i != gone {
			stay = append(stay, point{p.hash, uint16(i)})
		}
	}
	return stay
}

// merge returns the points of two circles as one.
func merge(one, other []point) []point {
	all := make([]point, 0, len(one)+len(other))
	for len(one) > 0 && len(other) > 0 {
		if byHash(one[0], other[0]) <= 0 {
			all, one = append(all, one[0]), one[1:]
		} else {
			all, other = append(all, other[0]), other[1:]
		}
	}
	return append(append(all, one...), other...)
}

func byHash(a, b point) int { return cmp.Compare(a.hash, b.hash) }

// appendPoints appends m's virtual nodes, where consistent puts them.
func (b *Builder) appendPoints(points []point, m Member, index uint16, each int) []point {
	var buf [20 + 1 + MaxMember]byte
	for i := range each {
		word := append(strconv.AppendInt(buf[:0], int64(i), 10), ':')
		points = append(points, point{b.sum(append(word, m...)), index})
	}
	return points
}

// spread gives each partition to the member of the next point on the circle that has room. There always is one: every
// member may take the mean or more, since Load is at least 1.
func (b *Builder) spread() []uint16 {
	slots := make([]uint16, b.params.Partitions)
	if len(b.set) == 0 {
		for p := range slots {
			slots[p] = nobody
		}
		return slots
	}
	most := int(math.Ceil(float64(b.params.Partitions) / float64(len(b.set)) * b.params.Load))
	loads := make([]int, len(b.set))
	shift := b.index()
	var key [8]byte
	for p := range slots {
		binary.LittleEndian.PutUint64(key[:], uint64(p))
		hash := b.sum(key[:])
		i := int(b.starts[hash>>shift])
		for i < len(b.circle) && b.circle[i].hash < hash {
			i++
		}
		for i == len(b.circle) || loads[b.circle[i].member] >= most {
			if i++; i >= len(b.circle) {
				i = 0
			}
		}
		m := b.circle[i].member
		loads[m]++
		slots[p] = m
	}
	return slots
}

// index cuts the circle into as many arcs as it has points, or a few more, and notes in starts where the points of each
// begin: the number of a hash's arc is what is left of it after the shift that it returns.
func (b *Builder) index() (shift int) {
	log := bits.Len(uint(len(b.circle)))
	shift = 64 - log
	b.starts = slices.Grow(b.starts[:0], 1<<log)[:1<<log]
	at := 0
	for arc := range b.starts {
		for at < len(b.circle) && b.circle[at].hash>>shift < uint64(arc) {
			at++
		}
		b.starts[arc] = uint32(at)
	}
	return shift
}
