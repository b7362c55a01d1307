package peer

import (
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/cluster/cost"
	"github.com/noriahq/noria/ring"
)

// What the model of package cost says of messages between nodes is what they are on the wire.
func TestCostBytes(t *testing.T) {
	key := "user:00000042"
	limit := bucket.Limit{Tokens: 100, Per: time.Second, Burst: 200}
	a := cluster.NewAsk()
	a.Epoch, a.Wait = 1<<63+12345, 50*time.Millisecond
	a.Checks = []cluster.Check{{Partition: 9000, Request: bucket.Request{Key: key, Limit: limit, Cost: 1}}}
	ask := len(appendAsk(nil, a, a.Wait))
	a.Answer = cluster.Answer{Status: cluster.Decided, Holder: "node-001", Term: 3, Epoch: a.Epoch}
	a.Checks[0].Decision = bucket.Decision{Allowed: true, Remaining: 150, ResetAfter: 500 * time.Millisecond, Node: "node-001"}
	answer := len(appendAnswer(nil, a, "node-001"))
	nearly(t, "a check", ask-len(key), cost.AskBytes)
	nearly(t, "its answer", answer, cost.DecisionBytes)

	boot, epoch := uint64(1_700_000_000_000_000_000), uint64(1<<63+12345)
	beat := tellSize(&core.Message{Kind: core.Beat, Boot: boot, Epoch: epoch})
	nearly(t, "a beat", beat, cost.TellBytes)
	nearly(t, "its answer", replySize(&core.Reply{Known: true, Boot: boot, Epoch: epoch, Founded: true}), cost.AnsweredBytes)

	const many = 100
	state := func(i int) bucket.State {
		return bucket.State{Key: key, Debt: int64(i%100+1) * 1e9, Left: 0, Limit: limit}
	}
	one := func(states, changes int) int {
		p := core.Parcel{Partition: 9000, Term: 3, Chunks: 1, Round: 100_000}
		for i := range states {
			p.States = append(p.States, state(i))
		}
		for i := range changes {
			p.Changes = append(p.Changes, bucket.Change{Partition: 9000, Replaces: true, State: state(i)})
		}
		return tellSize(&core.Message{Kind: core.Replicate, Boot: boot, Epoch: epoch, Round: 100_000, Parts: []core.Parcel{p}})
	}
	nearly(t, "a parcel", one(0, 0)-beat, cost.ParcelBytes)
	nearly(t, "a bucket", float64(one(many, 0)-one(1, 0))/(many-1)-float64(len(key)), cost.StateBytes)
	nearly(t, "a changed bucket", float64(one(0, many)-one(0, 1))/(many-1)-float64(len(key)), cost.ChangeBytes)
	nearly(t, "a limit", one(1, 0)-one(0, 0)-(one(2, 0)-one(1, 0)), cost.LimitBytes)

	wanted, places := []ring.Partition(nil), []core.Place(nil)
	for i := range many {
		wanted = append(wanted, ring.Partition(i*60))
		places = append(places, core.Place{Partition: ring.Partition(i * 60), Status: core.Nothing, Term: 3, Holder: []ring.Member{"node-001", "node-002"}[i%2]})
	}
	claim := tellSize(&core.Message{Kind: core.Claim, Boot: boot, Epoch: epoch, Round: 100_000, Wanted: wanted})
	nearly(t, "a claimed partition", float64(claim-beat)/many, cost.ClaimedBytes)
	placed := replySize(&core.Reply{Known: true, Boot: boot, Epoch: epoch, Founded: true, Places: places})
	nearly(t, "the place of one", float64(placed-cost.AnsweredBytes)/many, cost.PlaceBytes)
	nearly(t, "what the transport adds", beat-len((&core.Message{Kind: core.Beat, Boot: boot, Epoch: epoch}).Append(nil))+
		replySize(&core.Reply{Boot: boot})-len((&core.Reply{Boot: boot}).Append(nil)), cost.WrapBytes)
}

// tellSize returns how many bytes a message of a core has on the wire, with its frame.
func tellSize(m *core.Message) int {
	a := cluster.NewAsk()
	a.Op, a.Body, a.Wait = cluster.OpTell, m.Append(nil), 500*time.Millisecond
	return len(appendAsk(nil, a, a.Wait)) + cost.FrameBytes
}

// replySize returns how many its answer has.
func replySize(r *core.Reply) int {
	a := cluster.NewAsk()
	a.Op = cluster.OpTell
	a.Answer = cluster.Answer{Status: cluster.Decided, Holder: "node-001", Body: r.Append(nil)}
	return len(appendAnswer(nil, a, "node-001")) + cost.FrameBytes
}

func nearly[T int | float64](t *testing.T, what string, got T, want float64) {
	t.Helper()
	t.Logf("%s has %v bytes, the model says %v", what, got, want)
	if err := cost.Near("bytes of "+what, float64(got), want); err != nil {
		t.Error(err)
	}
}
