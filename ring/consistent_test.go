package ring

import (
	"testing"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
)

// hasher hashes for consistent.
type hasher func([]byte) uint64

func (h hasher) Sum64(b []byte) uint64 { return h(b) }

// node is a member inside consistent.
type node string

func (n node) String() string { return string(n) }

// library returns what consistent makes of t's members and parameters.
func library(t *Table) *consistent.Consistent {
	nodes := make([]consistent.Member, len(t.members))
	for i, m := range t.members {
		nodes[i] = node(m)
	}
	return consistent.New(nodes, consistent.Config{
		Hasher:            hasher(xxhash.Sum64),
		PartitionCount:    t.params.Partitions,
		ReplicationFactor: t.params.virtualNodes(len(t.members)),
		Load:              t.params.Load,
	})
}

// Tables are those of buraksezer/consistent v1.0.0, by which they were made at first: nodes of all releases agree.
func TestTablesOfConsistent(t *testing.T) {
	for _, c := range []struct {
		params  Params
		members []int
	}{
		{Params{}, []int{1, 2, 3, 4, 5, 9, 10, 30, 3, 101}},
		{Params{Partitions: 64, VirtualNodes: 20, Load: 1.05}, []int{1, 4, 5, 40, 70, 200}},
		{Params{Partitions: 1024, VirtualNodes: 1, Load: 1}, []int{1, 2, 3, 7, 100}},
		{Params{Partitions: 65536, VirtualNodes: 64, Load: 100}, []int{3, 5}},
	} {
		b, err := NewBuilder(c.params)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range c.members {
			table, err := b.Table(fleet(n))
			if err != nil {
				t.Fatal(err)
			}
			circle := library(table)
			for p := range table.slots {
				if got, want := table.Target(Partition(p)), circle.GetPartitionOwner(p).String(); string(got) != want {
					t.Fatalf("%s, %d members: target of %d is %s, want %s", table.params, n, p, got, want)
				}
			}
		}
	}
}
