package ring

import (
	"fmt"
	"math/bits"
	"strconv"
)

// The bounds and defaults of Params.
const (
	maxPartitions   = 1 << 16 // what a Partition can count
	maxVirtualNodes = 1 << 12
	maxLoad         = 100 // bounds nothing any more

	defaultPartitions = 1 << 14
	defaultLoad       = 1.25

	fewMembers  = 100 // up to here each member has virtualFew points by default, above it virtualMany
	virtualFew  = 512
	virtualMany = 128
)

// Params are what the nodes of a cluster must agree on besides the members: nodes with other Params place keys
// elsewhere. They compare their String. The zero value is the default of each.
type Params struct {
	// Partitions is into how many parts the key space is cut: a power of two, 1 to 65,536. 0 means the default, 16,384.
	// More spread finer over many members and cost more to build and to move one by one; a table has 2 bytes for each.
	Partitions int

	// VirtualNodes is how many points of the circle a member owns, 1 to 4,096. 0 means the default, 512 up to 100
	// members and 128 above. More balance better and cost more to build.
	//
	// The default has a price at its border: the 101st member's join, and its leave, move three quarters of all partitions.
	// A cluster that may live around 100 members sets one number.
	VirtualNodes int

	// Load bounds the fullest member: it is the target of at most Load times the mean, rounded up. 1 to 100; 0 means the
	// default, 1.25. Less balances better and moves more at a join or leave besides what must.
	Load float64
}

// Validate returns an error that says which field is out of its range, nil if none is.
func (p Params) Validate() error {
	p = p.withDefaults()
	if p.Partitions < 1 || p.Partitions > maxPartitions || bits.OnesCount(uint(p.Partitions)) != 1 {
		return fmt.Errorf("ring partitions are %d, want a power of two from 1 to %d", p.Partitions, maxPartitions)
	}
	if p.VirtualNodes < 0 || p.VirtualNodes > maxVirtualNodes {
		const out = "ring virtual nodes are %d, want 1 to %d, or 0 for %s"
		return fmt.Errorf(out, p.VirtualNodes, maxVirtualNodes, Params{}.virtualNodesWord())
	}
	if !(p.Load >= 1 && p.Load <= maxLoad) { // so that NaN is refused too
		return fmt.Errorf("ring load is %v, want 1 to %d", p.Load, maxLoad)
	}
	return nil
}

// String returns p with its defaults filled in, in words that are equal exactly if two nodes place keys alike:
//
//	v1 partitions=16384 vnodes=512/128 load=1.25 hash=xxhash64
//
// v1 stands for whatever else goes into a table; it changes when the same Params would give another one.
func (p Params) String() string {
	p = p.withDefaults()
	load := strconv.FormatFloat(p.Load, 'g', -1, 64)
	return fmt.Sprintf("v1 partitions=%d vnodes=%s load=%s hash=xxhash64", p.Partitions, p.virtualNodesWord(), load)
}

func (p Params) virtualNodesWord() string {
	if p.VirtualNodes == 0 {
		return fmt.Sprintf("%d/%d", virtualFew, virtualMany)
	}
	return strconv.Itoa(p.VirtualNodes)
}

// withDefaults fills in what is 0 and does not depend on the number of members.
func (p Params) withDefaults() Params {
	if p.Partitions == 0 {
		p.Partitions = defaultPartitions
	}
	if p.Load == 0 {
		p.Load = defaultLoad
	}
	return p
}

// virtualNodes returns how many points each of that many members owns.
func (p Params) virtualNodes(members int) int {
	if p.VirtualNodes != 0 {
		return p.VirtualNodes
	}
	if members > fewMembers {
		return virtualMany
	}
	return virtualFew
}
