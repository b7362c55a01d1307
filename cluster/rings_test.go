package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
)

// The loss of any member, the most that are foreseen, needs no ring to be made, neither of who is left nor of the heirs.
func TestLossIsForeseen(t *testing.T) {
	for _, size := range []int{1, 2, foreseeMost} {
		bubble.Test(t, func(t *testing.T) {
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

// Of a node whose name another one took for a moment nothing has ended when that one has.
func TestEndedRuns(t *testing.T) {
	ended := endedRuns{}
	ended.add(core.Run{ID: "b", Boot: 2, For: time.Second})
	newer, older := gossip.Member{ID: "b", Boot: 2}, gossip.Member{ID: "b", Boot: 1}
	if !ended.has(newer) || ended.has(older) || ended.has(gossip.Member{ID: "c", Boot: 2}) {
		t.Errorf("ended are %v, want b's run 2 alone", ended)
	}
	if ended.forget([]gossip.Member{newer}); len(ended) != 1 {
		t.Error("what gossip takes for a member is forgotten")
	}
	if ended.forget([]gossip.Member{older}); len(ended) != 0 {
		t.Error("what gossip has missed is remembered")
	}
}
