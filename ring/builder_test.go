package ring

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// small keeps property tests quick: few partitions, and a border between two densities that small sets cross.
const (
	smallPartitions = 256
	smallBorder     = 9
)

func smallDensity(members int) int {
	if members > smallBorder {
		return 4
	}
	return 16
}

// weak hashes into so few values that virtual nodes collide all the time.
func weak(b []byte) uint64 { return xxhash.Sum64(b) & 0x1FFF << 40 }

// A maker is a Builder, or something that a planted bug is in.
type maker interface {
	Table([]Member) (*Table, error)
}

func smallBuilder(sum func([]byte) uint64) *Builder {
	b, err := NewBuilder(Params{Partitions: smallPartitions})
	if err != nil {
		panic(err)
	}
	b.sum, b.virtualNodes = sum, smallDensity
	return b
}

// checkHistory leads mk through sets and compares each table with what the set alone must give.
func checkHistory(mk maker, sum func([]byte) uint64, sets [][]Member) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	for i, members := range sets {
		got, err := mk.Table(members)
		set, _ := asSet(members)
		want, ok := model{smallPartitions, smallDensity(len(set)), defaultLoad, sum}.slots(set)
		if ok != (err == nil) {
			return fmt.Errorf("Table %d of %q: error %v, want one: %t", i, members, err, !ok) //nolint:errorlint // err may be nil, which %w cannot say
		}
		if ok && !slices.Equal(got.slots, want) {
			return fmt.Errorf("Table %d of %q depends on what was before:\n%s", i, members, cmp.Diff(got.slots, want))
		}
	}
	return nil
}

// histories draws sets that follow each other in small and large steps, out of order and with names given twice.
func histories() *rapid.Generator[[][]Member] {
	return rapid.Custom(func(t *rapid.T) [][]Member {
		names := rapid.SliceOfN(rapid.IntRange(0, 14), 0, 16)
		var sets [][]Member
		var last []Member
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			set := last
			if rapid.Bool().Draw(t, "leap") {
				set = nil
				for _, i := range names.Draw(t, "members") {
					set = append(set, nth(i))
				}
			} else {
				m := nth(rapid.IntRange(0, 14).Draw(t, "member"))
				if i := slices.Index(set, m); i >= 0 {
					set = slices.Delete(slices.Clone(set), i, i+1)
				} else {
					set = append(slices.Clone(set), m)
				}
			}
			sets = append(sets, set)
			last = set
		}
		return sets
	})
}

func nth(i int) Member { return Member(fmt.Sprintf("node-%d", i)) }

func fleet(n int) []Member {
	var set []Member
	for i := range n {
		set = append(set, nth(i))
	}
	slices.Sort(set)
	return set
}

// A table is a function of the set of members, whatever the Builder made before.
func TestSameSetSameTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sets := histories().Draw(t, "sets")
		if err := checkHistory(smallBuilder(xxhash.Sum64), xxhash.Sum64, sets); err != nil {
			t.Fatal(err)
		}
	})
}

// The same where virtual nodes collide: refused or not, as the set alone has it, and never a panic.
func TestCollisionsAreRefused(t *testing.T) {
	var refused, made int
	rapid.Check(t, func(t *rapid.T) {
		b := smallBuilder(weak)
		sets := histories().Draw(t, "sets")
		if err := checkHistory(b, weak, sets); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Table(sets[len(sets)-1]); err == nil {
			made++
		} else if refused++; !strings.Contains(err.Error(), "collide on the ring, want another name") {
			t.Fatalf("error is %q, want one that says what to do", err)
		}
	})
	if refused == 0 || made == 0 {
		t.Errorf("%d sets refused, %d made: want some of both", refused, made)
	}
}

// naive uses consistent as its documentation has it. With stale it keeps the first circle's density for good, else it
// has no eye for collisions.
type naive struct {
	stale  bool
	sum    func([]byte) uint64
	circle *consistent.Consistent
	each   int
	in     []Member
}

func (n *naive) Table(members []Member) (*Table, error) {
	set, err := asSet(members)
	if err != nil {
		return nil, err
	}
	if each := smallDensity(len(set)); n.circle == nil || each != n.each && !n.stale {
		n.each, n.in = each, nil
		n.circle = consistent.New(nil, consistent.Config{
			Hasher: hasher(n.sum), PartitionCount: smallPartitions, ReplicationFactor: each, Load: defaultLoad,
		})
	}
	for _, m := range set {
		n.circle.Add(node(m))
	}
	for _, m := range n.in {
		if !slices.Contains(set, m) {
			n.circle.Remove(string(m))
		}
	}
	n.in = set
	slots := make([]uint16, smallPartitions)
	for p := range slots {
		slots[p] = nobody
		if o := n.circle.GetPartitionOwner(p); o != nil {
			slots[p] = uint16(slices.Index(set, Member(o.String())))
		}
	}
	return newTable(Params{Partitions: smallPartitions}, set, slots), nil
}

// checkHistory finds the bugs that it is there for.
func TestPlantedHistories(t *testing.T) {
	border := [][]Member{fleet(smallBorder), fleet(smallBorder + 1)}
	if err := checkHistory(&naive{sum: xxhash.Sum64, stale: true}, xxhash.Sum64, border); err == nil {
		t.Error("a circle that keeps its density across the border was not found out")
	}
	a, b := colliding(t)
	for _, sets := range [][][]Member{
		{{a}, {a, b}},      // two tables, by who came last
		{{a}, {a, b}, {b}}, // a point is left without a member
		{{a}, {b}},
	} {
		if err := checkHistory(&naive{sum: weak}, weak, sets); err == nil {
			t.Errorf("consistent alone was not found out by %q", sets)
		}
		if err := checkHistory(smallBuilder(weak), weak, sets); err != nil {
			t.Error(err)
		}
	}
}

// colliding returns two names that collide under weak.
func colliding(t *testing.T) (a, b Member) {
	m := model{partitions: smallPartitions, each: smallDensity(2), sum: weak}
	for i := range 100 {
		if _, ok := m.points([]Member{nth(0), nth(1 + i)}); !ok {
			return nth(0), nth(1 + i)
		}
	}
	t.Fatal("no two names collide")
	return "", ""
}

// A newcomer may stand where a member stood that leaves in the same step, also when the circle is kept.
func TestLeaverMakesRoom(t *testing.T) {
	a, b := colliding(t)
	m := model{partitions: smallPartitions, each: smallDensity(smallBorder), sum: weak}
	var others []Member
	for i := 0; len(others) < smallBorder-1; i++ {
		more := append(slices.Clone(others), Member(fmt.Sprintf("other-%d", i)))
		_, withA := m.points(append([]Member{a}, more...))
		_, withB := m.points(append([]Member{b}, more...))
		if withA && withB {
			others = more
		}
	}
	sets := [][]Member{append([]Member{a}, others...), append([]Member{b}, others...), append([]Member{a}, others...)}
	if err := checkHistory(smallBuilder(weak), weak, sets); err != nil {
		t.Error(err)
	}
}

// Valid parameters never leave a partition without room, whatever the bounds.
func TestRoomForAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Params{
			Partitions:   1 << rapid.IntRange(0, 9).Draw(t, "log partitions"),
			VirtualNodes: rapid.IntRange(1, 8).Draw(t, "virtual nodes"),
			Load:         rapid.SampledFrom([]float64{1, 1.0000000000000002, 1.05, 1.25, 3, 100}).Draw(t, "load"),
		}
		set := fleet(rapid.IntRange(0, 40).Draw(t, "members"))
		b, err := NewBuilder(p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Table(set)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := model{p.Partitions, p.VirtualNodes, p.Load, xxhash.Sum64}.slots(set)
		if !slices.Equal(got.slots, want) {
			t.Fatalf("Table of %s differs from the model:\n%s", p, cmp.Diff(got.slots, want))
		}
	})
}

// Bad members are refused with words that say which and why, and leave the Builder as it was.
func TestBadMembers(t *testing.T) {
	crowd := make([]Member, maxMembers+1)
	for i := range crowd {
		crowd[i] = nth(i)
	}
	for _, c := range []struct {
		name    string
		members []Member
		want    string
	}{
		{"empty name", []Member{"a", ""}, "member has no name, want 1 to 128 bytes"},
		{
			"long name",
			[]Member{Member(strings.Repeat("x", 129))},
			`member "xxxxxxxxxxxxxxxx"... has a name of 129 bytes, want 1 to 128`,
		},
		{"too many", crowd, "ring of 65536 members, want at most 65535"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := smallBuilder(xxhash.Sum64)
			if _, err := b.Table(c.members); err == nil || err.Error() != c.want {
				t.Errorf("Table: error %v, want %s", err, c.want)
			}
			if err := checkHistory(b, xxhash.Sum64, [][]Member{{"a"}}); err != nil {
				t.Error(err)
			}
		})
	}
	b := smallBuilder(xxhash.Sum64)
	if _, err := b.Table([]Member{Member(strings.Repeat("x", MaxMember))}); err != nil {
		t.Errorf("a name of %d bytes: %v", MaxMember, err)
	}
}

// A slice of names that the caller goes on using does not reach into the table.
func TestMembersAreCopied(t *testing.T) {
	in := []Member{"c", "a", "b", "a"}
	got, err := smallBuilder(xxhash.Sum64).Table(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := []Member{"c", "a", "b", "a"}; !slices.Equal(in, want) {
		t.Errorf("Table made %q of its argument", in)
	}
	in[0] = "z"
	if diff := cmp.Diff(got.Members(), []Member{"a", "b", "c"}); diff != "" {
		t.Errorf("Members (-got +want):\n%s", diff)
	}
}

// Names come from other nodes: whatever their bytes, a table or an error comes of them.
func FuzzTable(f *testing.F) {
	f.Add("a\nb\nc", uint8(4))
	f.Add("\n", uint8(1))
	f.Add("0:a\n:a\n\x00\n\xff", uint8(200))
	f.Fuzz(func(t *testing.T, names string, each uint8) {
		var members []Member
		for _, name := range strings.SplitN(names, "\n", 20) {
			members = append(members, Member(name))
		}
		p := Params{Partitions: 64, VirtualNodes: int(each) + 1}
		b, err := NewBuilder(p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Table(members)
		set, bad := asSet(members)
		if bad != nil {
			if err == nil {
				t.Fatalf("Table of %q: no error, want %v", members, bad)
			}
			return
		}
		want, ok := model{64, p.VirtualNodes, defaultLoad, xxhash.Sum64}.slots(set)
		if ok != (err == nil) || ok && !slices.Equal(got.slots, want) {
			t.Fatalf("Table of %q differs from the model, error %v", members, err)
		}
	})
}
