package core

import (
	"testing"
	"time"

	"github.com/noriahq/noria/ring"
)

// These bugs want more luck than a few hundred clusters have: each has a scene of its own in which it shows.
func TestStaged(t *testing.T) {
	for bug, scene := range scenes() {
		if scene(t, noPlant) {
			t.Errorf("the scene of bug %d fails without it", bug)
		}
		if !scene(t, bug) {
			t.Errorf("the scene of bug %d does not show it", bug)
		}
	}
}

func scenes() map[plant]func(t *testing.T, bug plant) (shows bool) {
	return map[plant]func(t *testing.T, bug plant) (shows bool){
		plantStale: stageStale, plantEarlyRelease: stageRelease, plantRepeat: stageRepeat,
	}
}

// stageStale cuts b off until others hold what it held, and lets it leave to nodes that have just joined and that the others do not
// see yet: do they take what b has for the truth?
func stageStale(t *testing.T, bug plant) (shows bool) {
	t.Helper()
	l := newLab(t, "a", "b", "c", "d")
	l.plant(bug)
	l.cut([]ring.Member{"b"}, []ring.Member{"a", "c", "d"})
	l.pass(2 * time.Second)
	l.see("a", "c", "d")
	l.settle()
	l.drop = nil
	for _, id := range []ring.Member{"e", "f", "g"} {
		l.start(id, false)
		l.plant(bug)
		all := []Member{{ID: "a", Boot: 1}, {ID: "b", Boot: 1, Draining: true}, {ID: "c", Boot: 1}, {ID: "d", Boot: 1}, {ID: id, Boot: 1}}
		l.sees["b"], l.sees[id] = all, all
		l.view("b")
		l.view(id)
		l.pass(500 * time.Millisecond)
		shows = shows || l.twoHold()
	}
	return shows
}

// stageRelease lets a node join and become the heir, loses the replicas for it, and kills a holder: is what was owed known?
func stageRelease(t *testing.T, bug plant) (shows bool) {
	t.Helper()
	l := newLab(t, "a", "b")
	l.plant(bug)
	for p := range simPartitions {
		l.take(p, "k", 10)
	}
	l.settle()
	l.start("0", false) // whose turn is before that of the former heirs
	l.plant(bug)
	l.drop = func(_, _ ring.Member, m *Message) bool { return m.Kind == Replicate && m.Parts[0].Chunks > 0 }
	l.see("a", "b", "0")
	l.pass(time.Second)
	delete(l.cores, "b")
	l.see("a", "0")
	l.settle()
	for p := range simPartitions {
		shows = shows || l.take(p, "k", 1)
	}
	return shows
}

// stageRepeat loses all answers to what a hands to b, which hands it on to c, and then sees c no more and claims it again: does b
// take it from a once more?
func stageRepeat(t *testing.T, bug plant) (shows bool) {
	t.Helper()
	l := newLab(t, "a")
	l.lose = func(from, _ ring.Member, m *Message) bool { return from == "a" && m.Kind == Handoff }
	l.start("b", false)
	l.plant(bug)
	l.see("a", "b")
	l.pass(time.Second)
	l.start("c", false)
	l.plant(bug)
	three := []Member{{ID: "a", Boot: 1}, {ID: "b", Boot: 1}, {ID: "c", Boot: 1}}
	l.sees["b"], l.sees["c"] = three, three
	l.view("b")
	l.view("c")
	l.pass(time.Second)
	if l.cores["c"].Held() == 0 {
		t.Fatal("c holds nothing: what does this scene show?")
	}
	l.sees["b"] = three[:2]
	l.view("b")
	for range 10 {
		l.pass(20 * time.Millisecond)
		shows = shows || l.twoHold()
	}
	return shows
}

// twoHold says whether two nodes decide on one partition.
func (l *lab) twoHold() bool {
	for p := range simPartitions {
		holders := 0
		for _, c := range l.cores {
			if c.parts[p].state == holding && c.Decides(l.now) {
				holders++
			}
		}
		if holders > 1 {
			return true
		}
	}
	return false
}

// plant plants a bug in all nodes.
func (l *lab) plant(bug plant) {
	for _, c := range l.cores {
		c.plant = bug
	}
}
