package cluster_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

var joins = flag.Int("joins", 16, "how often a node joins and leaves in TestJoinsLeakNothing")

// However often nodes join and leave, gracefully or not, those that stay have as many goroutines, connections and file descriptors
// as before, and not much more memory. With -joins 1000 it is a matter of minutes.
func TestJoinsLeakNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector half an hour of a cluster takes minutes, and leaks the same without")
	}
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b")
		quota := bucket.Limit{Burst: 1_000_000}
		turn := func(i int) {
			name := fmt.Sprint("n", i%7) // names come back, and a run more of each
			c.Add(name)
			c.Spend("k", quota, 3)
			if i%5 == 4 {
				c.Kill(name)
				c.Settle()
				return
			}
			c.Leave(name)
		}
		for i := range 10 { // what is made once is there
			turn(i)
		}
		time.Sleep(11 * time.Minute) // the dead are forgotten
		before := footprint(t)
		for i := range *joins {
			turn(i)
		}
		time.Sleep(11 * time.Minute)
		after := footprint(t)
		t.Logf("before %+v, after %d joins %+v", before, *joins, after)
		if after.goroutines > before.goroutines || after.files > before.files {
			t.Errorf("%d joins and leaves left goroutines or files: %+v, before %+v", *joins, after, before)
		}
		if after.heap > before.heap+before.heap/4+1<<20 {
			t.Errorf("%d joins and leaves left memory: %+v, before %+v", *joins, after, before)
		}
	})
}

// prints are what a process has.
type prints struct {
	goroutines, files int
	heap              uint64
}

func footprint(t *testing.T) (p prints) {
	t.Helper()
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p.goroutines, p.heap = runtime.NumGoroutine(), m.HeapAlloc
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		p.files = len(files)
	}
	return p
}
