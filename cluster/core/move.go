package core

import "github.com/noriahq/noria/ring"

// How says how partitions came to this node or went from it.
type How uint8

// The ways of partitions.
const (
	TakenIn    How = iota // the member handed them to this node, with all that they owe
	HandedOver            // this node handed them to the member, who has them
	Promoted              // nobody had them, and this node goes on with the replicas of them
	Cold                  // nobody had them, and there is no replica: what their buckets owed is forgotten
	Founded               // nobody has ever had them
	Fenced                // this node stopped deciding on them because not enough members hear it
	GivenUp               // the member has them by a higher term
	hows
)

// A Move is how partitions changed hands, and between this node and whom: "" where there is nobody.
type Move struct {
	How  How
	With ring.Member
}

// moved counts a partition that changed hands, for Standing, and until Moves is asked.
func (n *Core) moved(how How, with ring.Member) {
	if n.moves == nil {
		n.moves = map[Move]int{}
	}
	n.moves[Move{how, with}]++
	n.counts.Moved[how]++
}

// Moves returns how many partitions changed hands since it was called last, and how; nil if none did.
func (n *Core) Moves() map[Move]int {
	moves := n.moves
	n.moves = nil
	return moves
}
