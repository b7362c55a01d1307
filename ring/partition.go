package ring

import (
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// MaxMember is the most bytes of a Member.
const MaxMember = 128

// A Member is the stable id of a node, 1 to 128 bytes. Addresses are kept elsewhere.
type Member string

// Validate returns an error that says what is wrong with m as the id of a node, nil if nothing is.
func (m Member) Validate() error {
	if m == "" {
		return fmt.Errorf("member has no name, want 1 to %d bytes", MaxMember)
	}
	if len(m) > MaxMember {
		return fmt.Errorf("member %.16q... has a name of %d bytes, want 1 to %d", string(m), len(m), MaxMember)
	}
	return nil
}

// A Partition is one part of the key space, 0 to Params.Partitions-1.
type Partition uint16

// Hash is the hash that places key on every node of a cluster: xxHash64 with seed 0. Hash once and keep it for
// Table.Partition.
//
// Whoever may choose keys can make them collide, so two keys with one hash are still two keys.
func Hash(key string) uint64 {
	return xxhash.Sum64String(key)
}
