package core

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

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
		{"somebody who is no member: the target", func() { a.Learn(p, "x", 9) }, "b"},
		{"c, once more", func() { a.Learn(p, "c", 9) }, "c"},
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
		"Pace":       func(c *Config) { c.Pace = -1 },
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
		n.parts[p].holder = &member{id: ring.Member(strings.Repeat(string(rune('a'+p%20)), ring.MaxMember))}
		msg.Wanted = append(msg.Wanted, ring.Partition(p+partitions-claimMost))
	}
	r := &Reply{Places: n.claimed(m, msg)}
	if got := len(r.Append(nil)); got > 256<<10 {
		t.Errorf("an answer to a claim has %d bytes, want at most %d", got, 256<<10)
	}
}

// A holder that has its buckets back, because who claimed them does not want them any more, forgets the term by which they went:
// who claims them next would take it for a holder of the past.
func TestRefusedHandoff(t *testing.T) {
	l := newLab(t, "a", "b")
	l.start("c", false)
	refused := 0
	l.drop = func(_, to ring.Member, m *Message) bool {
		if to == "c" && m.Kind == Handoff && refused == 0 { // just before it comes c begins to leave
			l.sees["c"] = []Member{{ID: "a", Boot: 1}, {ID: "b", Boot: 1}, {ID: "c", Boot: 1, Draining: true}}
			l.view("c")
			refused = len(m.Parts)
		}
		return false
	}
	l.see("a", "b", "c")
	l.pass(time.Second)
	if refused == 0 {
		t.Fatal("nothing was handed to c")
	}
	l.see("a", "b", "-c")
	l.settle()
	for id, c := range l.cores {
		for p := range c.parts {
			if q := &c.parts[p]; q.state == holding && q.toTerm > q.mine {
				t.Errorf("%s holds partition %d by term %d, and tells who claims it of term %d", id, p, q.mine, q.toTerm)
			}
		}
	}
}
