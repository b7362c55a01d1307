package ring

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

func smallModel(members int) model {
	return model{smallPartitions, smallDensity(members), defaultLoad, xxhash.Sum64}
}

// checkHeirs compares the heir that heir names for each partition of t with the target that the set of the others has.
func checkHeirs(t *Table, heir func(Partition) (Member, error)) error {
	next := map[Member]*Table{}
	for i, m := range t.Members() {
		rest := slices.Delete(slices.Clone(t.Members()), i, i+1)
		next[m], _ = smallModel(len(rest)).table(rest)
	}
	for p := range Partition(smallPartitions) {
		target := t.Target(p)
		got, err := heir(p)
		if err != nil {
			return err
		}
		if want := next[target].Target(p); got != want {
			return fmt.Errorf("heir of %d is %q, want %q: the next target once %q is gone", p, got, want, target)
		}
	}
	return nil
}

// The heir is the next target once the target is gone, also across the border of densities and for a single member.
func TestHeirs(t *testing.T) {
	for _, n := range []int{1, 2, 3, smallBorder, smallBorder + 1, 12} {
		b := smallBuilder(xxhash.Sum64)
		table, err := b.Table(fleet(n))
		if err != nil {
			t.Fatal(err)
		}
		if err := checkHeirs(table, func(p Partition) (Member, error) { return b.Heir(table, p) }); err != nil {
			t.Errorf("%d members: %v", n, err)
		}
		gone := table.Members()[0]
		without, err := b.Without(table, gone)
		if err != nil {
			t.Fatal(err)
		}
		later, err := b.Table(table.Members()[1:])
		if err != nil {
			t.Fatal(err)
		}
		if got, want := without.Epoch(), later.Epoch(); got != want || !slices.Equal(without.slots, later.slots) {
			t.Errorf("%d members: Without(%s) is not the table once it is gone", n, gone)
		}
	}
}

// looker is a Builder that is asked for heirs after each table.
type looker struct {
	*Builder
	draw *rapid.T
}

func (l looker) Table(members []Member) (*Table, error) {
	t, err := l.Builder.Table(members)
	if err != nil || len(t.Members()) == 0 {
		return t, err
	}
	for range rapid.IntRange(0, 2).Draw(l.draw, "heirs") {
		if _, err := l.Without(t, rapid.SampledFrom(t.Members()).Draw(l.draw, "gone")); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Asking for heirs leaves no trace in later tables.
func TestWithoutLeavesNoTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mk := looker{smallBuilder(xxhash.Sum64), t}
		if err := checkHistory(mk, xxhash.Sum64, histories().Draw(t, "sets")); err != nil {
			t.Fatal(err)
		}
	})
}

// Without answers for members and tables that are not its own.
func TestWithoutStrangers(t *testing.T) {
	p := Params{Partitions: 64, VirtualNodes: 8}
	table := mustTable(t, p, "a", "b", "c")
	b, err := NewBuilder(p)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.Without(table, "z"); got != table || err != nil {
		t.Errorf("Without a stranger = %p, %v, want %p: nothing changes", got, err, table)
	}
	got, err := b.Without(table, "b") // b has not made table
	if err != nil {
		t.Fatal(err)
	}
	if want := mustTable(t, p, "a", "c"); !slices.Equal(got.slots, want.slots) {
		t.Error("Without gives another table for the table of another builder")
	}
	if again, _ := b.Without(table, "b"); again != got {
		t.Error("the same Without again builds again")
	}
	other, err := b.Without(mustTable(t, p, "a", "b"), "b")
	if err != nil {
		t.Fatal(err)
	}
	if want := mustTable(t, p, "a"); !slices.Equal(other.slots, want.slots) {
		t.Error("Without of a second table answers for the first")
	}
	_, err = smallBuilder(xxhash.Sum64).Without(table, "b")
	if err == nil || !strings.Contains(err.Error(), "want \"v1 partitions=256") {
		t.Errorf("Without of a table with other parameters: error %v, want one that names both", err)
	}
}

// checkHeirs finds the member that consistent's GetClosestN names, and the member of the next point on the circle, which
// may have no room.
func TestPlantedHeirs(t *testing.T) {
	set := fleet(5)
	b := smallBuilder(xxhash.Sum64)
	table, err := b.Table(set)
	if err != nil {
		t.Fatal(err)
	}
	points, _ := smallModel(len(set)).points(set)
	for name, heir := range map[string]func(Partition) (Member, error){
		"GetClosestN": func(p Partition) (Member, error) {
			closest, err := library(table).GetClosestNForPartition(int(p), 2)
			if err != nil {
				return "", err
			}
			return Member(closest[1].String()), nil
		},
		"the next point": func(p Partition) (Member, error) {
			key := xxhash.Sum64(binary.LittleEndian.AppendUint64(nil, uint64(p)))
			i := sort.Search(len(points), func(i int) bool { return points[i].hash >= key })
			for set[points[i%len(points)].member] == table.Target(p) {
				i++
			}
			return set[points[i%len(points)].member], nil
		},
	} {
		if err := checkHeirs(table, heir); err == nil {
			t.Errorf("%s as the heir was not found out", name)
		}
	}
}
