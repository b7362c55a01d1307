package core

import (
	"testing"
	"time"

	"github.com/noriahq/noria/ring"
)

// Of five nodes cut into three and two, the three go on with all partitions and the two with none; after the heal each has its
// own again.
func TestMajority(t *testing.T) {
	l := newLab(t, "a", "b", "c", "d", "e")
	before := l.count()
	three, two := []ring.Member{"a", "b", "c"}, []ring.Member{"d", "e"}
	l.cut(three, two)
	l.pass(2 * time.Second) // the fence of the two passes, before anybody misses them
	if got := l.cores["d"].Held() + l.cores["e"].Held(); got != 0 {
		t.Errorf("a minority of two holds %d partitions after its fence, want 0", got)
	}
	l.see(three...)
	l.see(two...)
	l.settle()
	if got := l.cores["a"].Held() + l.cores["b"].Held() + l.cores["c"].Held(); got != simPartitions {
		t.Errorf("a majority of three holds %d partitions, want all: %s", got, l.count())
	}
	if got := l.cores["d"].Held() + l.cores["e"].Held(); got != 0 {
		t.Errorf("a minority of two holds %d partitions, want 0", got)
	}
	if got := l.cores["a"].Size(); got != 5 {
		t.Errorf("Size = %d, want 5: who is missing counts", got)
	}
	l.drop = nil
	l.see("a", "b", "c", "d", "e")
	l.settle()
	if got := l.count(); got != before {
		t.Errorf("after the heal %s, want %s", got, before)
	}
}

// Half of the nodes are no majority: of four cut into two and two nobody decides, and after the heal nothing is lost.
func TestHalves(t *testing.T) {
	l := newLab(t, "a", "b", "c", "d")
	l.take(0, "k", 10)
	l.cut([]ring.Member{"a", "b"}, []ring.Member{"c", "d"})
	l.see("a", "b")
	l.see("c", "d")
	l.settle()
	if got, want := l.count(), "a:0 b:0 c:0 d:0"; got != want {
		t.Errorf("two and two: %s, want %s", got, want)
	}
	l.drop = nil
	l.see("a", "b", "c", "d")
	l.settle()
	if l.take(0, "k", 1) {
		t.Error("a token was given back by a cut")
	}
}

// Who has left does not count: of four one leaves and one dies, and the other two go on.
func TestDrainingLeaves(t *testing.T) {
	l := newLab(t, "a", "b", "c", "d")
	l.see("a", "b", "c", "-d")
	l.settle()
	if got := l.cores["d"].Has(); got != 0 {
		t.Errorf("who leaves has %d partitions, want 0", got)
	}
	delete(l.cores, "d")
	l.see("a", "b", "c")
	l.settle()
	delete(l.cores, "c")
	l.see("a", "b")
	l.settle()
	if got := l.cores["a"].Size(); got != 3 {
		t.Errorf("Size = %d, want 3: c died and counts, d left and does not", got)
	}
	if got := l.cores["a"].Held() + l.cores["b"].Held(); got != simPartitions {
		t.Errorf("two of three hold %s", l.count())
	}
}

// Who is gone for certain does not count, by the word of one node that all others believe.
func TestGone(t *testing.T) {
	l := newLab(t, "a", "b", "c")
	delete(l.cores, "c")
	delete(l.cores, "b")
	l.see("a")
	l.settle()
	if got := l.cores["a"].Held(); got != 0 {
		t.Errorf("one of three holds %d partitions, want 0", got)
	}
	l.cores["a"].Gone(l.now, Run{ID: "b", Boot: 1})
	l.settle()
	if got := l.count(); got != "a:0" {
		t.Errorf("one of two holds %s, want a:0", got)
	}
	l.cores["a"].Gone(l.now, Run{ID: "a", Boot: 1}) // nonsense
	l.cores["a"].Gone(l.now, Run{ID: "c", Boot: 1})
	l.settle()
	if got := l.count(); got != "a:16" {
		t.Errorf("who is alone by all that it knows holds %s, want a:16", got)
	}
}

// Who took the name of a living member for a moment, and is gone, says nothing of that one: once it is missed it counts.
func TestGoneWithATakenName(t *testing.T) {
	for _, seen := range []bool{true, false} { // does the living one stay a member all the time?
		l := newLab(t, "a", "b", "c")
		if !seen {
			l.see("a", "c")
		}
		l.cores["a"].Gone(l.now, Run{ID: "b", Boot: 2})
		l.see("a", "b", "c")
		l.settle()
		if got := l.cores["a"].Size(); got != 3 {
			t.Errorf("Size = %d, want 3", got)
		}
		l.see("a", "c")
		l.settle()
		for _, id := range []ring.Member{"a", "c"} {
			if got := l.cores[id].Size(); got != 3 {
				t.Errorf("Size of %s = %d, want 3: b is missed and not gone", id, got)
			}
		}
	}
}

// What one node knows of the absent, others hear with the next beat: also those who have just joined.
func TestAbsentSpread(t *testing.T) {
	l := newLab(t, "a", "b", "c", "d", "e")
	for _, id := range []ring.Member{"c", "d", "e"} {
		delete(l.cores, id)
	}
	l.see("a", "b")
	l.settle()
	l.start("f", false)
	l.see("a", "b", "f")
	l.settle()
	if got := l.cores["f"].Size(); got != 6 {
		t.Errorf("who joins counts %d, want 6: three are missing", got)
	}
	l.cores["b"].Gone(l.now, Run{ID: "c", Boot: 1})
	l.settle()
	if got := l.cores["f"].Size(); got != 5 {
		t.Errorf("once c is gone %d count, want 5", got)
	}
	if got := l.count(); got == "a:0 b:0 f:0" {
		t.Error("three of five hold nothing")
	}
}

// Who died is forgotten after Forget: then the others are whole without it.
func TestForget(t *testing.T) {
	l := newLab(t, "a", "b")
	delete(l.cores, "b")
	l.see("a")
	l.pass(9 * time.Minute)
	if got := l.cores["a"].Held(); got != 0 {
		t.Errorf("one of two holds %d partitions after 9 minutes, want 0", got)
	}
	l.pass(2 * time.Minute)
	if got := l.cores["a"].Held(); got != simPartitions {
		t.Errorf("who is alone holds %d partitions after 11 minutes, want all", got)
	}
}

// Several who have missed somebody at different times do not remind each other of it for ever.
func TestForgetTogether(t *testing.T) {
	if plantedMost == 0 {
		t.Skip("under the race detector it takes long, and finds the same without")
	}
	l := newLab(t, "a", "b", "c", "d", "e")
	delete(l.cores, "d")
	delete(l.cores, "e")
	l.see("a", "b")
	l.view("a")
	l.view("b")
	l.pass(300 * time.Millisecond)
	l.see("a", "b", "c")
	l.pass(9 * time.Minute)
	for id, c := range l.cores {
		if got := c.Size(); got != 5 {
			t.Errorf("%s counts %d members after 9 minutes, want 5", id, got)
		}
	}
	l.pass(2 * time.Minute)
	for id, c := range l.cores {
		if got := c.Size(); got != 3 {
			t.Errorf("%s counts %d members after 11 minutes, want 3", id, got)
		}
	}
}

// Who was answered a moment ago may decide yet, whatever the membership says: its partitions wait until its fence has passed.
func TestTakenForDead(t *testing.T) {
	l := newLab(t, "a", "b", "c")
	held := l.cores["c"].Held()
	l.sees["a"], l.sees["b"] = []Member{{ID: "a", Boot: 1}, {ID: "b", Boot: 1}}, []Member{{ID: "a", Boot: 1}, {ID: "b", Boot: 1}}
	l.view("a")
	l.view("b")
	l.pass(l.cores["c"].Fence - 300*time.Millisecond)
	if got := l.cores["c"].Held(); got != held || !l.cores["c"].Decides(l.now) {
		t.Errorf("who lives holds %d, want %d", got, held)
	}
	if got := l.cores["a"].Held() + l.cores["b"].Held(); got != simPartitions-held {
		t.Errorf("the others hold %d, want %d", got, simPartitions-held)
	}
	l.pass(time.Second)
	if got := l.count(); l.cores["a"].Held()+l.cores["b"].Held() != simPartitions {
		t.Errorf("after the fence %s, want all at a and b", got)
	}
}
