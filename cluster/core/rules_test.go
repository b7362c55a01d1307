package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

// Learn and Lost change whom a node takes for the holder, unless it knows better.
func TestLearn(t *testing.T) {
	l := newLab(t, "a", "b", "c")
	a := l.cores["a"]
	p := ring.Partition(strings.IndexByte(l.holders(), 'b'))
	steps := []struct {
		what string
		do   func()
		want ring.Member
	}{
		{"at first", func() {}, "b"},
		{"c, by a term that is higher", func() { a.Learn(p, "c", 9) }, "c"},
		{"b, by a term that is lower", func() { a.Learn(p, "b", 3) }, "c"},
		{"somebody who is no member", func() { a.Learn(p, "x", 9) }, "c"},
		{"a term that no partition has", func() { a.Learn(p, "b", maxTerm+1) }, "c"},
		{"b does not answer, which it was not", func() { a.Lost(p, "b") }, "c"},
		{"c does not answer: the target", func() { a.Lost(p, "c") }, "b"},
		{"c, again", func() { a.Learn(p, "c", 9) }, "c"},
		{"who was asked does not know: the target", func() { a.Learn(p, "", 9) }, "b"},
	}
	for _, s := range steps {
		s.do()
		holder, term := a.Holder(p)
		if holder != s.want {
			t.Errorf("%s: Holder = %q, want %q", s.what, holder, s.want)
		}
		if route, at := a.Route(p); route != holder || at != term {
			t.Errorf("%s: Route = %q, %d; Holder is %q, %d", s.what, route, at, holder, term)
		}
	}
	own := ring.Partition(strings.IndexByte(l.holders(), 'a'))
	if a.Learn(own, "c", 99); !a.Holds(own) {
		t.Error("a holder was talked out of it")
	}
}

// New says which field is wrong.
func TestConfig(t *testing.T) {
	good := Config{Self: "a", Store: simStore(), Replicas: simStore(), Partitions: simPartitions}
	for want, change := range map[string]func(*Config){
		"Self":       func(c *Config) { c.Self = "" },
		"Store":      func(c *Config) { c.Store = nil },
		"Replicas":   func(c *Config) { c.Replicas = nil },
		"Partitions": func(c *Config) { c.Partitions = 0 },
		"negative":   func(c *Config) { c.Fence = -1 },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New with a bad field: %v, want it to name %s", err, want)
		}
	}
	n, err := New(good)
	if err != nil {
		t.Fatal(err)
	}
	if got, term := n.Route(0); got != "" || term != 0 {
		t.Errorf("Route before the first view = %q, %d", got, term)
	}
	n.Tick(0)
	if got := n.Outbox(); len(got) != 0 {
		t.Errorf("a node without a view says %+v", got)
	}
}

// What is claimed at once is bounded, and all is claimed in turn.
func TestManyClaims(t *testing.T) {
	const partitions = 1 << 15
	b, err := ring.NewBuilder(ring.Params{Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	table, err := b.Table([]ring.Member{"a"})
	if err != nil {
		t.Fatal(err)
	}
	stores := make([]*bucket.Store, 2)
	for i := range stores {
		if stores[i], err = bucket.NewStore(bucket.StoreConfig{Partitions: partitions}); err != nil {
			t.Fatal(err)
		}
	}
	n, err := New(Config{Founder: true, Self: "a", Boot: 1, Store: stores[0], Replicas: stores[1], Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	n.View(0, View{Members: []Member{{ID: "a", Boot: 1}}, Table: table})
	held := []int{n.Held()}
	for i := range 4 {
		n.Tick(bucket.Instant(i+1) * bucket.Instant(20*time.Millisecond))
		held = append(held, n.Held())
	}
	want := []int{claimMost, 2 * claimMost, 3 * claimMost, partitions, partitions}
	if diff := cmp.Diff(want, held); diff != "" {
		t.Errorf("partitions held after each tick (-want +got):\n%s", diff)
	}
	m := &member{id: "b", boot: 1}
	msg := &Message{Kind: Claim, Round: 1}
	for p := range claimMost {
		n.parts[p].state, n.parts[p].term, n.parts[p].copy = away, maxTerm, maxTerm
		n.parts[p].holder = ring.Member(strings.Repeat(string(rune('a'+p%20)), ring.MaxMember))
		msg.Wanted = append(msg.Wanted, ring.Partition(p+partitions-claimMost))
	}
	r := &Reply{Places: n.claimed(m, msg)}
	if got := len(r.Append(nil)); got > 256<<10 {
		t.Errorf("an answer to a claim has %d bytes, want at most %d", got, 256<<10)
	}
}
