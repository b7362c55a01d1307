package cluster

import (
	"testing"
	"time"

	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/cluster/gossip"
)

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
