package ring

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Moves lists what differs, in order, also where a side has no members or there is no table yet.
func TestMoves(t *testing.T) {
	table := func(slots []uint16, members ...Member) *Table {
		return newTable(Params{Partitions: len(slots)}, members, slots)
	}
	ab := table([]uint16{0, 1, 1, 0}, "a", "b")
	bc := table([]uint16{1, 0, 0, 0}, "b", "c")
	none := table([]uint16{nobody, nobody, nobody, nobody})
	two := table([]uint16{0, 1}, "a", "b")
	first := []Move{{0, "", "a"}, {1, "", "b"}, {2, "", "b"}, {3, "", "a"}}
	for _, c := range []struct {
		name     string
		from, to *Table
		want     []Move
	}{
		{"the same", ab, ab, nil},
		{"a goes, c comes", ab, bc, []Move{{0, "a", "c"}, {3, "a", "b"}}},
		{"all go", ab, none, []Move{{0, "a", ""}, {1, "b", ""}, {2, "b", ""}, {3, "a", ""}}},
		{"first", none, ab, first},
		{"first of all", nil, ab, first},
		{"last of all", two, nil, []Move{{0, "a", ""}, {1, "b", ""}}},
		{"nothing", nil, nil, nil},
		{"nobody", nil, none, nil},
		{"other partitions", two, ab, first},
	} {
		if diff := cmp.Diff(Moves(c.from, c.to), c.want); diff != "" {
			t.Errorf("%s: Moves (-got +want):\n%s", c.name, diff)
		}
	}
}
