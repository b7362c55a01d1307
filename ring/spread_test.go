package ring

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// keySets are keys as people number them.
func keySets() map[string][]string {
	sets := map[string][]string{}
	add := func(name, format string, n int) {
		for i := range n {
			sets[name] = append(sets[name], fmt.Sprintf(format, i))
		}
	}
	add("accounts", "account:%d", 1000)
	add("a /24", "10.0.0.%d", 256)
	add("users", "user:%d", 100_000)
	add("padded", "tenant/%08d", 10_000)
	add("bare numbers", "%d", 10_000)
	return sets
}

// off says by how many standard deviations chi-square, with that many degrees of freedom, is above its mean.
func off(chi2, freedom float64) float64 {
	return (chi2 - freedom) / math.Sqrt(2*freedom)
}

// checkSpread returns an error if the keys gather in some partitions, or at some members, more than keys drawn at random
// would in all but one of a thousand cases.
func checkSpread(t *Table, keys []string, hash func(string) uint64) error {
	partitions := make([]float64, len(t.slots))
	members := make([]float64, len(t.Members()))
	for _, key := range keys {
		p := t.Partition(hash(key))
		partitions[p]++
		members[t.TargetIndex(p)]++
	}
	mean := float64(len(keys)) / float64(len(partitions))
	var overPartitions, overMembers float64
	for _, n := range partitions {
		overPartitions += (n - mean) * (n - mean) / mean
	}
	for i, n := range members {
		want := mean * float64(t.Count(i))
		overMembers += (n - want) * (n - want) / want
	}
	if got := off(overPartitions, float64(len(partitions)-1)); got > 4 {
		return fmt.Errorf("%d keys over partitions are %.1f deviations off random ones", len(keys), got)
	}
	if got := off(overMembers, float64(len(members)-1)); got > 5 { // a few members: a longer tail than the normal one
		return fmt.Errorf("%d keys over %d members are %.1f deviations off random ones", len(keys), len(members), got)
	}
	return nil
}

// Keys that follow each other spread over partitions and members as random ones do.
func TestSequentialKeysSpread(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	b, err := NewBuilder(Params{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{3, 10} {
		table, err := b.Table(fleet(n))
		if err != nil {
			t.Fatal(err)
		}
		for name, keys := range keySets() {
			if err := checkSpread(table, keys, Hash); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			var others []string
			for range keys {
				others = append(others, strconv.FormatUint(random.Uint64(), 36))
			}
			if err := checkSpread(table, others, Hash); err != nil {
				t.Errorf("as many random keys as %s: %v", name, err)
			}
		}
	}
}

// checkSpread finds a hash whose high bits hardly know the last letters, which is how other rings put 90 % of numbered
// accounts on one node of three.
func TestPlantedSpread(t *testing.T) {
	table := mustTable(t, Params{}, fleet(3)...)
	high := func(key string) uint64 {
		h := fnv.New64()
		h.Write([]byte(key))
		return h.Sum64() >> 50
	}
	for name, keys := range keySets() {
		if err := checkSpread(table, keys, high); err == nil {
			t.Errorf("%s: the high bits of fnv1 were not found out", name)
		}
	}
}
