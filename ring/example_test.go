package ring_test

import (
	"fmt"

	"github.com/noriahq/noria/ring"
)

// Which node should hold a key.
func ExampleTable_Target() {
	b, err := ring.NewBuilder(ring.Params{})
	if err != nil {
		fmt.Println(err)
		return
	}
	t, err := b.Table([]ring.Member{"a", "b", "c"})
	if err != nil {
		fmt.Println(err)
		return
	}
	hash := ring.Hash("user:42")
	p := t.Partition(hash)
	fmt.Printf("partition %d should be held by %s\n", p, t.Target(p))
	// Output: partition 4546 should be held by b
}

// What changes hands when a node joins: all of it moves to the newcomer.
func ExampleMoves() {
	b, err := ring.NewBuilder(ring.Params{Partitions: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	three, _ := b.Table([]ring.Member{"a", "b", "c"})
	four, _ := b.Table([]ring.Member{"a", "b", "c", "d"})
	moves := ring.Moves(three, four)
	fmt.Println(len(moves), "of 64 move, the first is", moves[0])
	// Output: 15 of 64 move, the first is {15 a d}
}

// The heirs of the partitions whose target a node itself is: who would hold them if it died.
func ExampleBuilder_Without() {
	const self ring.Member = "a"
	b, err := ring.NewBuilder(ring.Params{Partitions: 16})
	if err != nil {
		fmt.Println(err)
		return
	}
	t, _ := b.Table([]ring.Member{"a", "b", "c"})
	w, _ := b.Without(t, self)
	for p := range ring.Partition(16) {
		if t.Target(p) == self {
			fmt.Printf("partition %d: heir %s\n", p, w.Target(p))
		}
	}
	// Output:
	// partition 2: heir c
	// partition 8: heir c
	// partition 10: heir c
	// partition 11: heir b
	// partition 13: heir c
	// partition 15: heir c
}

// Nodes compare their parameters before they speak to each other.
func ExampleParams_String() {
	fmt.Println(ring.Params{})
	// Output: v1 partitions=16384 vnodes=512/128 load=1.25 hash=xxhash64
}
