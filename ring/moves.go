package ring

// A Move is a partition whose target changes.
type Move struct {
	Partition Partition
	From, To  Member // "" for nobody: the table on that side has no members
}

// Moves returns the partitions whose targets differ between two tables, in ascending order. A nil table is one without
// members.
//
// Tables that cut the key space into different numbers of partitions have none in common: all of to's move, from nobody.
func Moves(from, to *Table) []Move {
	if to == nil {
		return allMoves(from, func(p Partition) Move { return Move{Partition: p, From: from.Target(p)} })
	}
	if from == nil || len(from.slots) != len(to.slots) {
		return allMoves(to, func(p Partition) Move { return Move{Partition: p, To: to.Target(p)} })
	}
	return allMoves(to, func(p Partition) Move { return Move{Partition: p, From: from.Target(p), To: to.Target(p)} })
}

// allMoves collects those of the moves that move of each partition of t, which may be nil.
func allMoves(t *Table, move func(Partition) Move) []Move {
	if t == nil {
		return nil
	}
	var moves []Move
	for p := range t.slots {
		if m := move(Partition(p)); m.From != m.To {
			moves = append(moves, m)
		}
	}
	return moves
}
