package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// A node that joins claims what should be its own, gets it, and has replicas made; the former heirs are told.
func TestJoin(t *testing.T) {
	l := newLab(t, "a", "b")
	want := l.tables.of([]ring.Member{"a", "b", "c"})
	l.start("c", false)
	l.sent = nil
	l.see("a", "b", "c")
	l.settle()
	if got := l.cores["c"].Held(); got != want.Count(2) || got == 0 {
		t.Errorf("c holds %d, want %d", got, want.Count(2))
	}
	var kinds []string
	for _, line := range l.sent {
		if !slices.Contains(kinds, line) {
			kinds = append(kinds, line)
		}
	}
	for _, line := range []string{
		"c to a: who has these?", "c to b: who has these?", "a to c: these are yours", "b to c: these are yours",
	} {
		if !slices.Contains(kinds, line) {
			t.Errorf("nobody said %q; said was:\n%s", line, strings.Join(kinds, "\n"))
		}
	}
}

// A graceful leave and a join lose nothing, whichever way the partitions go.
func TestBucketsMove(t *testing.T) {
	l := newLab(t, "a", "b", "c")
	for p := range simPartitions {
		l.take(p, fmt.Sprint("key ", p), 9)
	}
	for _, see := range [][]ring.Member{{"a", "b", "-c"}, {"-a", "b", "c"}, {"a", "b", "c"}} {
		l.see(see...)
		l.settle()
		for p := range simPartitions {
			if l.take(p, fmt.Sprint("key ", p), 2) {
				t.Fatalf("view %v: partition %d has forgotten what it owed", see, p)
			}
		}
	}
}

// The death of a holder loses nothing that was replicated, though the heir had changed before.
func TestReplicaAfterHeirChange(t *testing.T) {
	l := newLab(t, "a", "b")
	for p := range simPartitions {
		l.take(p, "k", 10)
	}
	l.settle()
	l.start("c", false)
	l.see("a", "b", "c") // some heirs change
	l.settle()
	releases := 0
	for _, line := range l.sent {
		if strings.HasSuffix(line, "drop these replicas") {
			releases++
		}
	}
	if releases == 0 {
		t.Error("no former heir was told that it need not keep a replica")
	}
	copies := 0
	for _, id := range keysOf(l.cores) {
		for p := range simPartitions {
			if l.cores[id].parts[p].copy > 0 {
				copies++
			}
		}
	}
	if copies != simPartitions {
		t.Errorf("%d replicas are kept, want one for each of %d partitions", copies, simPartitions)
	}
	delete(l.cores, "b")
	l.see("a", "c")
	l.settle()
	for p := range simPartitions {
		if l.take(p, "k", 1) {
			t.Errorf("partition %d gave tokens twice", p)
		}
	}
}

// A node that leaves keeps the replicas that others have nowhere else until they are made anew, also if the word of that gets
// lost. With one other node there is nobody to make them.
func TestLeaverKeeps(t *testing.T) {
	l := newLab(t, "a", "b", "c")
	leaver := l.cores["c"]
	if leaver.Kept() == 0 {
		t.Fatal("c has no replicas to begin with")
	}
	l.drop = func(_, _ ring.Member, m *Message) bool { return m.Kind == Replicate || m.Kind == Release }
	l.see("a", "b", "-c")
	l.settle()
	if has, kept := leaver.Has(), leaver.Kept(); has != 0 || kept == 0 {
		t.Errorf("c has %d partitions and keeps %d replicas while nobody can make them anew, want none and some", has, kept)
	}
	lost := 0
	l.drop = func(_, _ ring.Member, m *Message) bool {
		if m.Kind != Release || lost == 10 {
			return false
		}
		lost++
		return true
	}
	l.settle()
	if kept := leaver.Kept(); kept != 0 || lost < 10 {
		t.Errorf("c keeps %d replicas once all are made anew, after %d lost words of it, want none after 10", kept, lost)
	}
	l.see("-b", "-c", "a")
	l.settle()
	if kept := l.cores["b"].Kept(); kept != 0 {
		t.Errorf("b keeps %d replicas of a, who has nobody else, want none to wait for", kept)
	}
}

// An orphan without a replica is cold: what it had was lost.
func TestCold(t *testing.T) {
	l := newLab(t, "a", "b", "c")
	l.take(0, "k", 10)
	l.drop = func(_, _ ring.Member, m *Message) bool { return m.Kind == Replicate }
	holder := l.holders()[:1]
	delete(l.cores, ring.Member(holder))
	var left []ring.Member
	for _, id := range keysOf(l.cores) {
		l.cores[id].forget(0)
		left = append(left, id)
	}
	l.see(left...)
	l.settle()
	next := l.cores[ring.Member(l.holders()[:1])]
	if next == nil {
		t.Fatalf("nobody holds partition 0: %s", l.holders())
	}
	if _, cold := next.Store.Cold(0); !cold {
		t.Error("an orphan without a replica is not cold")
	}
}

// A partition of many buckets and ids goes in many parcels, none of which is too large, in whatever order they come.
func TestManyParcels(t *testing.T) {
	l := newLab(t, "a")
	limit := bucket.Limit{Tokens: 1, Per: time.Hour, Burst: 10}
	a := l.cores["a"]
	const keys = 2000
	key := func(i int) string { return fmt.Sprintf("%0*d", bucket.MaxKey, i) }
	for i := range keys {
		r := &bucket.Request{Key: key(i), Limit: limit, Cost: 10, ID: fmt.Sprintf("%0*d", bucket.MaxID, i)}
		if _, err := a.Store.Take(l.now, 3, r); err != nil {
			t.Fatal(err)
		}
	}
	l.start("b", false)
	l.see("a", "b")
	l.settle()
	l.see("-a", "b")
	l.settle()
	if got := len(l.cores["b"].Store.Export(l.now, 3)); got != keys {
		t.Errorf("%d buckets arrived, want %d", got, keys)
	}
	if got := len(l.cores["b"].Store.ExportIDs(l.now, 3)); got != keys {
		t.Errorf("%d request ids arrived, want %d", got, keys)
	}
	if l.most > 256<<10 {
		t.Errorf("a message has %d bytes, want at most %d", l.most, 256<<10)
	}
	for _, pl := range a.parcels(l.now, 3, l.cores["b"].Store, Parcel{}) {
		if got, most := len((&Message{Parts: []Parcel{pl}}).Append(nil)), pl.size()+entryBytes; got > most {
			t.Errorf("a parcel has %d bytes, want at most %d, as it says", got, most)
		}
	}
}
