package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
)

// The loss of any member, the most that are foreseen, needs no ring to be made, neither of who is left nor of the heirs.
func TestLossIsForeseen(t *testing.T) {
	for _, size := range []int{1, 2, foreseeMost} {
		synctest.Test(t, func(t *testing.T) {
			var ids []ring.Member
			for i := range size {
				ids = append(ids, ring.Member(fmt.Sprintf("n%02d", i)))
			}
			b, err := ring.NewBuilder(ring.Params{Partitions: 1024})
			if err != nil {
				t.Fatal(err)
			}
			var r rings
			r.init(b)
			last, err := r.of(ids, true)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.heirs(last, ids[0], true); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			next, ended := make(chan *ring.Table, 1), make(chan error)
			go func() { ended <- r.foresee(ctx, next) }()
			next <- last
			time.Sleep(time.Minute)
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("foresee = %v, want the error of its context", err)
			}
			without := func(gone ...ring.Member) []ring.Member {
				return slices.DeleteFunc(slices.Clone(ids), func(m ring.Member) bool { return slices.Contains(gone, m) })
			}
			for _, id := range ids[1:] {
				for _, want := range [][]ring.Member{without(id), without(id, ids[0])} {
					if len(want) > 0 && r.find(want) == nil {
						t.Errorf("%d members without %s: the ring of %v is not made", size, id, want)
					}
				}
			}
		})
	}
}

// Of those whose processes have ended a node remembers the last run, and only while gossip takes them for members.
func TestEndedRuns(t *testing.T) {
	e := endedRuns{}
	for _, run := range []core.Run{{ID: "a", Boot: 5}, {ID: "a", Boot: 3}, {ID: "b", Boot: 1}} {
		e.add(run)
	}
	for boot, want := range map[uint64]bool{3: true, 5: true, 6: false} {
		if got := e.has(gossip.Member{ID: "a", Boot: boot}); got != want {
			t.Errorf("run %d of a has ended: %v, want %v", boot, got, want)
		}
	}
	e.forget([]gossip.Member{{ID: "a", Boot: 6}, {ID: "c"}})
	if _, ok := e["b"]; ok || len(e) != 1 {
		t.Errorf("after gossip dropped b: %v, want a alone", e)
	}
}
