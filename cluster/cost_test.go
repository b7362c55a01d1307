package cluster_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/cost"
)

// What the model of package cost says of the memory of buckets and of a node is what they take.
func TestCostMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own; make sim runs it")
	}
	each := 0.0
	for _, keys := range []int{250_000, 354_000, 500_000, 707_000} { // tables double: a mean over all ways to fill them
		empty := live()
		s := filled(t, keys)
		each += float64(live()-empty) / float64(keys) / 4
		runtime.KeepAlive(s)
	}
	check(t, "a bucket with a key of 16 bytes", each, cost.BucketBytes+16)
	before := live()
	n, err := cluster.New(cluster.Config{Name: "a", Transport: clustertest.NewWires(clustertest.NewNet(1)).Transport("h")})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "a node that has nothing", float64(live()-before), cost.NodeBytes)
	runtime.KeepAlive(n)
}

// filled returns a store with so many buckets.
func filled(t *testing.T, keys int) *bucket.Store {
	t.Helper()
	s, err := bucket.NewStore(bucket.StoreConfig{Partitions: cost.Ring})
	if err != nil {
		t.Fatal(err)
	}
	for p := range cost.Ring {
		s.Hold(p)
	}
	for i := range keys {
		r := bucket.Request{Key: fmt.Sprintf("user:%011d", i), Limit: bucket.Limit{Tokens: 1, Per: time.Hour, Burst: 10}, Cost: 1}
		if _, err := s.Take(0, i%cost.Ring, &r); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func check(t *testing.T, what string, got, want float64) {
	t.Helper()
	t.Logf("%s takes %.0f bytes, the model says %.0f", what, got, want)
	if err := cost.Near("memory of "+what, got, want); err != nil {
		t.Error(err)
	}
}

// live returns the bytes of all that is used.
func live() uint64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
