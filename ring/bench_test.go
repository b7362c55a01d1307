package ring

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"
)

// A lookup, by the hash at hand, with hashing, and as consistent does it.
func BenchmarkLookup(b *testing.B) {
	builder, err := NewBuilder(Params{})
	if err != nil {
		b.Fatal(err)
	}
	table, err := builder.Table(fleet(10))
	if err != nil {
		b.Fatal(err)
	}
	circle := library(table)
	var keys [1024]string
	var bytes [1024][]byte
	var hashes [1024]uint64
	for i := range keys {
		keys[i] = "tenant/42/user:" + strconv.Itoa(100_000_000+i) // 24 bytes
		bytes[i], hashes[i] = []byte(keys[i]), Hash(keys[i])
	}
	b.Run("hash at hand", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			table.TargetIndex(table.Partition(hashes[i%1024]))
		}
	})
	b.Run("hash at hand, name", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			table.Target(table.Partition(hashes[i%1024]))
		}
	})
	b.Run("hashing", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			table.Target(table.Partition(Hash(keys[i%1024])))
		}
	})
	b.Run("LocateKey", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			circle.LocateKey(bytes[i%1024])
		}
	})
	b.Run("hashing, all CPUs", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			var sum int
			for i := 0; pb.Next(); i++ {
				sum += table.TargetIndex(table.Partition(Hash(keys[i%1024])))
			}
			runtime.KeepAlive(sum)
		})
	})
	b.Run("LocateKey, all CPUs", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ { // takes a lock: nothing of it can be left out
				circle.LocateKey(bytes[i%1024])
			}
		})
	})
}

// A first table, and the steps from there. A change is one member that comes or goes, at 100 members one of each: the
// 101st would have another circle made.
func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{3, 30, 100, 500} {
		set, more := fleet(n), append(fleet(n), "one-more")
		if n == fewMembers {
			more = append(fleet(n-1), "one-more")
		}
		b.Run(fmt.Sprintf("first/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				benchTable(b, newBenchBuilder(b), set)
			}
		})
		b.Run(fmt.Sprintf("two changes/%d", n), func(b *testing.B) {
			builder := newBenchBuilder(b)
			benchTable(b, builder, set)
			b.ReportAllocs()
			for b.Loop() {
				benchTable(b, builder, more)
				benchTable(b, builder, set)
			}
		})
		b.Run(fmt.Sprintf("without/%d", n), func(b *testing.B) {
			builder := newBenchBuilder(b)
			t := benchTable(b, builder, set)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := builder.Without(t, set[i%n]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func newBenchBuilder(b *testing.B) *Builder {
	builder, err := NewBuilder(Params{})
	if err != nil {
		b.Fatal(err)
	}
	return builder
}

func benchTable(b *testing.B, builder *Builder, set []Member) *Table {
	t, err := builder.Table(set)
	if err != nil {
		b.Fatal(err)
	}
	return t
}

// What a node does with a new table.
func BenchmarkMoves(b *testing.B) {
	builder := newBenchBuilder(b)
	from, to := benchTable(b, builder, fleet(10)), benchTable(b, builder, fleet(11))
	b.ReportAllocs()
	for b.Loop() {
		Moves(from, to)
	}
}
