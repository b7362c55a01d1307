package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/noriahq/noria/ring"
)

// Gateways count for no majority and are told nothing: three holders go on with all of six beyond a cut, and no message but a
// gateway's question goes between the two kinds.
func TestGatesDoNotVote(t *testing.T) {
	holders, gates := []ring.Member{"a", "b", "c"}, []ring.Member{"A", "B", "C", "D", "E", "F"}
	l := newLab(t, append(append([]ring.Member{}, holders...), gates...)...)
	before := l.holders()
	l.lose = func(from, to ring.Member, m *Message) bool {
		if isGate(to) || isGate(from) && m.Kind != Beat {
			t.Errorf("%s to %s: %s", from, to, m.Kind.name())
		}
		return false
	}
	l.sent = nil
	l.cut(holders, gates)
	l.see(holders...)
	l.see(gates...)
	l.settle()
	if got := l.holders(); got != before || len(l.sent) > 0 {
		t.Errorf("without gateways %s hold, after %v; want %s as before, after nothing", got, l.sent, before)
	}
	if got := l.cores["a"].Size(); got != 3 {
		t.Errorf("Size = %d, want 3", got)
	}
	for id, c := range l.cores {
		if got := c.Counted(); got != 9 {
			t.Errorf("%s counts %d who may answer while a holder is missing, want 9: who is cut off may, too", id, got)
		}
		if isGate(id) && (c.Decides(l.now) || c.Has() > 0 || c.Wants() > 0) {
			t.Errorf("%s, a gateway, decides: %v, has %d and wants %d", id, c.Decides(l.now), c.Has(), c.Wants())
		}
	}
}

// A gateway asks each holder once a second, and a holder nobody but holders.
func TestGatesAskSeldom(t *testing.T) {
	l := newLab(t, "a", "b", "c", "A", "B")
	beats := map[string]int{}
	l.lose = func(from, to ring.Member, m *Message) bool {
		if m.Kind == Beat {
			beats[fmt.Sprintf("%s %s", from, to)]++
		}
		return false
	}
	l.pass(10 * time.Second)
	for _, from := range []ring.Member{"a", "b", "c", "A", "B"} {
		for _, to := range []ring.Member{"a", "b", "c", "A", "B"} {
			want := 100
			switch {
			case from == to || isGate(to):
				want = 0
			case isGate(from):
				want = 10
			}
			if got := beats[fmt.Sprintf("%s %s", from, to)]; got != want {
				t.Errorf("%s asks %s %d times in 10 s, want %d", from, to, got, want)
			}
		}
	}
}

// Which gateways went without a word one holder tells the others, and they the gateways, those that have just come among
// them. Who leaves does not count, and who died does not after a while.
func TestMissedGatesSpread(t *testing.T) {
	if plantedMost == 0 {
		t.Skip("under the race detector it takes long, and finds the same without")
	}
	l := newLab(t, "a", "b", "A", "B", "C")
	delete(l.cores, "C")
	l.see("a", "b", "A", "-B")
	l.see("a", "b", "A")
	l.start("D", false)
	l.start("c", false)
	l.see("a", "b", "c", "A", "D")
	l.settle()
	for id, c := range l.cores {
		if got := c.Counted(); got != 6 && id != "B" {
			t.Errorf("%s counts %d, want 6: those five and C, which died", id, got)
		}
	}
	l.pass(11 * time.Minute)
	for id, c := range l.cores {
		if got := c.Counted(); got != 5 && id != "B" {
			t.Errorf("%s counts %d after 11 minutes, want 5", id, got)
		}
	}
}

// Who comes back in another role counts once, as what it is: a holder that is a gateway now is not missed.
func TestGateTakesAName(t *testing.T) {
	l := newLab(t, "a", "b", "c", "A")
	delete(l.cores, "c")
	delete(l.cores, "A")
	l.see("a", "b")
	members := []Member{{ID: "a", Boot: 1}, {ID: "b", Boot: 1}, {ID: "c", Boot: 2, Gateway: true}, {ID: "A", Boot: 2}}
	for id, gate := range map[ring.Member]bool{"c": true, "A": false} {
		c, err := New(Config{Gateway: gate, Self: id, Boot: 2, Store: simStore(), Replicas: simStore(), Partitions: simPartitions})
		if err != nil {
			t.Fatal(err)
		}
		l.cores[id] = c
	}
	table := l.tables.of([]ring.Member{"A", "a", "b"})
	heirs := map[ring.Member]*ring.Table{
		"a": l.tables.of([]ring.Member{"A", "b"}), "b": l.tables.of([]ring.Member{"A", "a"}), "A": l.tables.of([]ring.Member{"a", "b"}), "c": table,
	}
	for id, c := range l.cores {
		c.View(l.now, View{Members: members, Table: table, Heirs: heirs[id]})
	}
	l.settle()
	for id, c := range l.cores {
		if got, all := c.Size(), c.Counted(); got != 3 || all != 4 {
			t.Errorf("for %s %d count for the majority and %d answer, want 3 and 4", id, got, all)
		}
	}
	if got := l.cores["A"].Held() + l.cores["a"].Held() + l.cores["b"].Held(); got != simPartitions || l.cores["A"].Held() == 0 {
		t.Errorf("held: %s", l.count())
	}
}

// However many gateways are missed, a message stays small, and all of them are told in time.
func TestManyMissedGates(t *testing.T) {
	if plantedMost == 0 {
		t.Skip("under the race detector it takes long, and finds the same without")
	}
	l := newLab(t, "a", "b")
	var many []Run
	for i := range gatesMost + 10 {
		many = append(many, Run{ID: ring.Member(fmt.Sprintf("%0128d", i)), Boot: 1})
	}
	l.cores["a"].heardOfGates(l.now, many)
	l.pass(2 * gatesMost / (gatesBytes / (128 + runBytes)) * time.Second)
	for id, c := range l.cores {
		if got := len(c.gates.missed); got != gatesMost {
			t.Errorf("%s misses %d gateways, want %d", id, got, gatesMost)
		}
	}
	if l.most > gatesBytes+1000 {
		t.Errorf("a message of %d bytes", l.most)
	}
}
