package ring

import (
	"strconv"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"
)

func mustTable(t testing.TB, p Params, members ...Member) *Table {
	t.Helper()
	b, err := NewBuilder(p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Table(members)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// The ways to ask for a target agree with each other and with consistent, and the counts add up.
func TestLookups(t *testing.T) {
	b, err := NewBuilder(Params{Partitions: 1024})
	if err != nil {
		t.Fatal(err)
	}
	table, err := b.Table(fleet(7))
	if err != nil {
		t.Fatal(err)
	}
	counts := make([]int, 7)
	for p := range Partition(1024) {
		i := table.TargetIndex(p)
		if got, want := table.Target(p), table.Members()[i]; got != want {
			t.Fatalf("Target(%d) = %s, want %s", p, got, want)
		}
		if got := table.TargetIndex(p + 1024); got != i {
			t.Fatalf("TargetIndex(%d) = %d, want %d as for %d", p+1024, got, i, p)
		}
		counts[i]++
	}
	for i, m := range table.Members() {
		if got := table.Count(i); got != counts[i] {
			t.Errorf("Count(%d) = %d, want %d", i, got, counts[i])
		}
		if got, found := table.Index(m); got != i || !found {
			t.Errorf("Index(%s) = %d, %t, want %d, true", m, got, found, i)
		}
	}
	if _, found := table.Index("node-9"); found {
		t.Error("Index finds a member that is not there")
	}
	if table.Count(-1) != 0 || table.Count(7) != 0 {
		t.Error("Count of no member is not 0")
	}
	circle := library(table)
	for i := range 1000 {
		key := strconv.Itoa(i)
		got := table.Target(table.Partition(Hash(key)))
		if want := circle.LocateKey([]byte(key)).String(); string(got) != want {
			t.Fatalf("target of %s = %s, want %s as LocateKey has it", key, got, want)
		}
	}
}

// Every partition count that is allowed has room in a Partition, and hashes reach all of it.
func TestPartitionsAtTheirBounds(t *testing.T) {
	one := mustTable(t, Params{Partitions: 1}, "a", "b")
	if got := one.Partition(1<<64 - 1); got != 0 {
		t.Errorf("Partition of one = %d, want 0", got)
	}
	most := mustTable(t, Params{Partitions: 65536, VirtualNodes: 8}, "a", "b")
	if got := most.Partition(1<<64 - 1); got != 65535 {
		t.Errorf("Partition of 65536 = %d, want 65535", got)
	}
	if got := most.Count(0) + most.Count(1); got != 65536 {
		t.Errorf("counts add up to %d, want 65536", got)
	}
}

// Without members nobody is the target of anything, and nothing panics.
func TestNoMembers(t *testing.T) {
	b := smallBuilder(xxhash.Sum64)
	for range 2 { // the first table, and one that the last member left
		table, err := b.Table(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := table.Target(3); got != "" {
			t.Errorf("Target = %q, want none", got)
		}
		if got := table.TargetIndex(3); got != -1 {
			t.Errorf("TargetIndex = %d, want -1", got)
		}
		if got := len(table.Members()) + table.Count(0); got != 0 {
			t.Error("an empty table counts something")
		}
		if heir, err := b.Heir(table, 3); heir != "" || err != nil {
			t.Errorf("Heir = %q, %v, want none", heir, err)
		}
		if _, err := b.Table(fleet(1)); err != nil {
			t.Fatal(err)
		}
	}
}

// The epoch tells apart members and parameters, and no two lists of names run together.
func TestEpoch(t *testing.T) {
	small := Params{Partitions: 16, VirtualNodes: 4}
	seen := map[uint64]string{}
	for name, table := range map[string]*Table{
		"none":       mustTable(t, small),
		"a":          mustTable(t, small, "a"),
		"a b":        mustTable(t, small, "a", "b"),
		"ab":         mustTable(t, small, "ab"),
		"partitions": mustTable(t, Params{Partitions: 32, VirtualNodes: 4}, "a"),
		"vnodes":     mustTable(t, Params{Partitions: 16, VirtualNodes: 5}, "a"),
		"load":       mustTable(t, Params{Partitions: 16, VirtualNodes: 4, Load: 2}, "a"),
	} {
		if other, found := seen[table.Epoch()]; found {
			t.Errorf("%s and %s have one epoch", name, other)
		}
		seen[table.Epoch()] = name
	}
	got, want := mustTable(t, small, "b", "a", "b").Epoch(), mustTable(t, small, "a", "b").Epoch()
	if got != want {
		t.Errorf("Epoch = %x, want %x whatever the order", got, want)
	}
	if diff := cmp.Diff(mustTable(t, Params{}).Params(), Params{Partitions: 16384, Load: 1.25}); diff != "" {
		t.Errorf("Params (-got +want):\n%s", diff)
	}
}

// A table may be read while its Builder makes the next ones.
func TestReadWhileBuilding(t *testing.T) {
	b := smallBuilder(xxhash.Sum64)
	table, err := b.Table(fleet(5))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan int)
	for range 2 {
		go func() {
			found := 0
			for p := range Partition(smallPartitions) {
				i, _ := table.Index(table.Target(p))
				found += table.Count(i) - table.Count(table.TargetIndex(p))
			}
			done <- found
		}()
	}
	for n := range 8 {
		next, err := b.Table(fleet(n))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Without(next, nth(0)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if got := <-done; got != 0 {
			t.Errorf("a reader's counts are off by %d", got)
		}
	}
}

// Lookups do not allocate.
func TestLookupsDoNotAllocate(t *testing.T) {
	table := mustTable(t, Params{Partitions: 64}, "a", "b", "c")
	key := "user:42"
	got := testing.AllocsPerRun(100, func() {
		p := table.Partition(Hash(key))
		if table.TargetIndex(p) < 0 || table.Target(p) == "" {
			t.Error("no target")
		}
	})
	if got != 0 {
		t.Errorf("%v allocations for a lookup, want 0", got)
	}
}
