package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// Who is no member, or another run of one, is told so, and changes nothing.
func TestTellStranger(t *testing.T) {
	l := newLab(t, "a", "b")
	a := l.cores["a"]
	before := a.Held()
	for _, from := range []struct {
		id   ring.Member
		boot uint64
	}{{"x", 1}, {"b", 2}, {"a", 1}, {"", 1}} {
		r := a.Tell(l.now, from.id, &Message{Kind: Claim, Boot: from.boot, Wanted: []ring.Partition{0, 1, 2}})
		if r.Known || len(r.Places) > 0 {
			t.Errorf("%q, run %d, is answered %+v", from.id, from.boot, r)
		}
	}
	if a.Held() != before {
		t.Errorf("a stranger took %d partitions", before-a.Held())
	}
}

// Whatever a member says, nothing panics, and what a node keeps stays in bounds; and it goes on to say what can be read.
func FuzzTell(f *testing.F) {
	f.Add((&Message{Kind: Claim, Boot: 1, Round: 9, Wanted: []ring.Partition{1, 2, 2, 15, 99}}).Append(nil))
	f.Add((&Message{Kind: Fetch, Boot: 1, Round: 9, Wanted: []ring.Partition{1, 1, 1}}).Append(nil))
	f.Add((&Message{Kind: Release, Boot: 1, Round: 1 << 60, Parts: []Parcel{{Partition: 0, Term: 9}, {Partition: 7}}}).Append(nil))
	f.Add((&Message{Kind: Beat, Boot: 1, Missed: []Run{{ID: "a", Boot: 9}, {ID: "z", Boot: 1}}, Gone: []Run{{ID: "b", Boot: 1}, {ID: "c", Boot: 7}}}).Append(nil))
	for _, k := range []Kind{Handoff, Replicate} {
		f.Add((&Message{Kind: k, Boot: 1, Round: 2, Parts: []Parcel{
			{Partition: 3, Term: maxTerm, Round: 1, Chunk: 9, Chunks: 1 << 16, Cold: true, ColdFor: 1 << 62, States: []bucket.State{{Key: "k", Debt: -1}}},
			{Partition: 3, Term: 2, Round: 1, Chunks: 1, Stale: true, Changes: []bucket.Change{{Partition: 3}}},
		}}).Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		msg, err := ReadMessage(b)
		if err != nil {
			return
		}
		l := newLab(t, "a", "b", "c")
		l.see("a", "b", "-c") // something is claimed
		for i := range 20 {
			msg.Boot = 1
			for j := range msg.Parts { // as if it answered the claim
				msg.Parts[j].Round = l.cores["a"].parts[int(msg.Parts[j].Partition)%simPartitions].round
			}
			r := l.cores["a"].Tell(l.now, "b", msg)
			if _, err := ReadReply(r.Append(nil)); err != nil {
				t.Fatalf("message %d is answered by what cannot be read: %v", i, err)
			}
		}
		if err := l.cores["a"].bounded(); err != nil {
			t.Error(err)
		}
		l.pass(200 * time.Millisecond)
	})
}

// bounded returns what has grown beyond what n should keep.
func (n *Core) bounded() error {
	if got := len(n.settled) + len(n.gone) + len(n.lately); got > 3*missedMost {
		return fmt.Errorf("%d absent members are kept", got)
	}
	for id, m := range n.members {
		if len(m.queue) > 2*len(n.parts) || len(m.fills) > 2*len(n.parts) || len(m.fetch) > len(n.parts) || len(m.rid) > 2*len(n.parts) {
			return fmt.Errorf("%d, %d, %d and %d partitions wait for %s", len(m.queue), len(m.fills), len(m.fetch), len(m.rid), id)
		}
	}
	for p := range n.parts {
		if len(n.parts[p].merged) > len(n.members) || n.parts[p].got != nil && len(n.parts[p].got.have) > maxChunks/64+1 {
			return fmt.Errorf("partition %d: merged from %d, parcels %+v", p, len(n.parts[p].merged), n.parts[p].got)
		}
	}
	return nil
}
