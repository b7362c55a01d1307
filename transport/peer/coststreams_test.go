//go:build !race

package peer

import (
	"runtime"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster/cost"
)

// What the model says of the memory of streams is what two transports take that have many between them, at both ends.
func TestCostStreams(t *testing.T) {
	const many = 100
	tr := mustNew(t, Config{Listen: "127.0.0.1:0"})
	addr, err := tr.Listen()
	if err != nil {
		t.Fatal(err)
	}
	go tr.Serve(t.Context(), helloOf("b"), everyone{})
	t.Cleanup(func() { tr.Close() })
	a := mustNew(t, Config{Listen: "127.0.0.1:0"})
	if _, err := a.Listen(); err != nil {
		t.Fatal(err)
	}
	go a.Serve(t.Context(), helloOf("a"), everyone{})
	t.Cleanup(func() { a.Close() })
	open := func(n int) {
		for range n {
			ask := newAsk("k", 10*time.Second)
			a.Peer("b", addr).Ask(ask)
			if <-ask.Finished(); ask.Err != nil {
				t.Fatal(ask.Err)
			}
		}
	}
	open(10) // what is made once is there
	before := live()
	open(many)
	got := float64(live()-before) / many
	t.Logf("a stream takes %.0f bytes at both ends, the model says %d", got, 2*cost.EndBytes)
	if err := cost.Near("memory of a stream", got, 2*cost.EndBytes); err != nil {
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
