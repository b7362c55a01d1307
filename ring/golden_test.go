package ring

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Tables stay what they are from release to release and from machine to machine. If this test fails, nodes of two
// releases would disagree on every key: the v1 of Params.String must change with the tables.
func TestGoldenTables(t *testing.T) {
	b, err := NewBuilder(Params{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 3, 10, 101} { // 101 members have fewer virtual nodes each
		golden(t, b, fmt.Sprintf("members-%d", n), fleet(n))
	}
	long := Member(strings.Repeat("x", MaxMember))
	golden(t, b, "odd-names", []Member{"a", "0:a", "Ünïcødé", "10.0.0.1:7946", "tab\tbed", long})
	for name, p := range map[string]Params{
		"tight": {Partitions: 64, VirtualNodes: 20, Load: 1.05},
		"wide":  {Partitions: 65536, VirtualNodes: 64},
	} {
		b, err := NewBuilder(p)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, b, name, fleet(5))
	}
}

// golden compares b's table of members with the file of that name, and with the model.
func golden(t *testing.T, b *Builder, name string, members []Member) {
	t.Helper()
	table, err := b.Table(members)
	if err != nil {
		t.Fatal(err)
	}
	p := table.Params()
	want, _ := model{p.Partitions, p.virtualNodes(len(members)), p.Load, xxhash.Sum64}.slots(table.Members())
	if !slices.Equal(table.slots, want) {
		t.Errorf("%s: the table differs from the model", name)
	}
	file := filepath.Join("testdata", name+".golden")
	got := describe(table)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pinned, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, string(pinned)); diff != "" {
		t.Errorf("%s (-got +want):\n%s", name, diff)
	}
}

// describe writes down what makes a table: all of it as a hash, enough of it to see what went wrong.
func describe(t *Table) string {
	var slots []byte
	for _, i := range t.slots {
		slots = binary.LittleEndian.AppendUint16(slots, i)
	}
	members := t.Members()
	var s strings.Builder
	fmt.Fprintf(&s, "params   %s\n", t.Params())
	fmt.Fprintf(&s, "epoch    %016x\n", t.Epoch())
	fmt.Fprintf(&s, "xxhash64 %016x of the slots, two bytes each, low byte first\n", xxhash.Sum64(slots))
	fmt.Fprintf(&s, "first    %d\n", t.slots[:min(64, len(t.slots))])
	for i, m := range members {
		fmt.Fprintf(&s, "%5d of %q\n", t.Count(i), string(m))
	}
	return s.String()
}

// The hash of a key stays what it is.
func TestGoldenHashes(t *testing.T) {
	for key, want := range map[string]uint64{
		"":        0xef46db3751d8e999, // this and the next as every XXH64 has them
		"abc":     0x44bc2cf5ad770999,
		"user:42": 0xdc1fea7da8d2d1c2,
	} {
		if got := Hash(key); got != want {
			t.Errorf("Hash(%q) = %#x, want %#x", key, got, want)
		}
	}
}
