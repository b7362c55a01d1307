package ring

import (
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// maxMembers is how many members the slots of a Table can tell apart.
const maxMembers = 1<<16 - 1

// nobody is in the slots of a table without members.
const nobody = maxMembers

// A Table says for each partition which member should hold it. A Builder makes it and nothing changes it afterwards; it
// is safe for concurrent use. Lookups neither block nor allocate.
//
// The table of no members is valid: its partitions have no target.
type Table struct {
	params  Params // with defaults
	slots   []uint16
	members []Member
	counts  []int
	epoch   uint64
}

// newTable returns the table whose partition p has members[slots[p]] for its target. It keeps both slices.
func newTable(p Params, members []Member, slots []uint16) *Table {
	t := &Table{params: p, slots: slots, members: members, counts: make([]int, len(members)), epoch: epochOf(p, members)}
	if len(members) == 0 {
		return t
	}
	for _, i := range slots {
		t.counts[i]++
	}
	return t
}

// epochOf hashes what a table is a function of. Lengths go in first, so that no two lists of names run together.
func epochOf(p Params, members []Member) uint64 {
	var b []byte
	b = appendWord(b, p.String())
	for _, m := range members {
		b = appendWord(b, string(m))
	}
	return xxhash.Sum64(b)
}

func appendWord(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// Partition returns the partition of the key with this Hash: its low bits.
func (t *Table) Partition(hash uint64) Partition {
	return Partition(hash & uint64(len(t.slots)-1))
}

// Target returns the member that should hold p, "" if the table has no members. A p beyond the table's partitions is
// taken modulo their number.
func (t *Table) Target(p Partition) Member {
	i := int(t.slot(p))
	if i >= len(t.members) {
		return ""
	}
	return t.members[i]
}

// TargetIndex returns the index of p's target in Members, -1 if the table has no members. It spares the caller who knows
// its own index the comparison of names. A p beyond the table's partitions is taken modulo their number.
func (t *Table) TargetIndex(p Partition) int {
	i := t.slot(p)
	if i == nobody {
		return -1
	}
	return int(i)
}

func (t *Table) slot(p Partition) uint16 {
	return t.slots[int(p)&(len(t.slots)-1)]
}

// Members returns the members in ascending order, each once. The slice is the table's: do not modify it.
func (t *Table) Members() []Member {
	return t.members
}

// Index returns the index of m in Members, and whether m is there at all.
func (t *Table) Index(m Member) (int, bool) {
	return slices.BinarySearch(t.members, m)
}

// Count returns how many partitions have Members()[i] for their target, 0 for an i that is no index of Members.
func (t *Table) Count(i int) int {
	if i < 0 || i >= len(t.counts) {
		return 0
	}
	return t.counts[i]
}

// Params returns what the table was built with, defaults filled in. VirtualNodes stays 0 where its default was used.
func (t *Table) Params() Params {
	return t.params
}

// Epoch returns a hash of the members and the parameters: tables with different epochs differ in one of them. It does
// not grow, so it tells apart and does not tell which is newer.
func (t *Table) Epoch() uint64 {
	return t.epoch
}
