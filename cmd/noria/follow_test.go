package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/console"
)

// Events and top outlast a restart of the node that they ask: they say that it is gone, and that it is back, go on, and tell nothing
// twice. Who never reached a node is told so at once.
func TestFollowThroughRestart(t *testing.T) {
	b, at := serveNode(t, "--name", "b")
	a, first := serveNode(t, "--name", "a", "--join", at.Gossip)
	events := start(t, nil, "events", "--admin", first.Admin, "--back", "50", "--output", "json")
	states := start(t, nil, "top", "--admin", first.Admin, "--output", "json")
	events.line(events.out, `"kind":"joined"`)
	states.line(states.out, `"members":[{"id":"a"`)
	a.stop()
	if got := a.wait(); got != statusFine {
		t.Fatalf("the node that is asked ends with %d\n%s", got, a.err)
	}
	for _, r := range []*running{events, states} {
		r.line(r.err, "noria: node at "+first.Admin+": ")
		if line := r.line(r.err, "connection refused"); !strings.Contains(line, "trying again in") {
			t.Errorf("of a node that is gone it says %q", line)
		}
	}
	before := states.out.String()
	again := start(t, nil, append([]string{"serve"}, free("--name", "a", "--join", at.Gossip, "--admin", first.Admin)...)...)
	again.line(again.err, `"msg":"ready"`)
	for _, r := range []*running{events, states} {
		r.line(r.err, "noria: connected again")
	}
	waitFor(t, func() bool { return strings.Contains(states.out.String()[len(before):], `"members":[{"id":"a"`) })
	b.stop()
	b.wait()
	seen, joined := map[string]bool{}, 0
	events.line(events.out, `"text":"b left`)
	events.stop()
	if got := events.wait(); got != statusFine {
		t.Errorf("events ends with %d", got)
	}
	for line := range strings.Lines(events.out.String()) {
		var e console.Told
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		id := fmt.Sprint(e.Node, e.Seq, e.At)
		if seen[id] {
			t.Errorf("told twice: %s", line)
		}
		if seen[id] = true; e.Kind == cluster.EventJoined && e.Member == "a" {
			joined++
		}
	}
	if joined < 2 {
		t.Errorf("a joined %d times, want it told twice or more:\n%s", joined, events.out)
	}
}

// The screen tells nothing twice either.
func TestTopAfterRestart(t *testing.T) {
	s := topScreen(80, 24)
	told := len(s.told)
	s.Update(outage{errors.New("gone"), time.Unix(0, 0)})
	s.take(said{event: "events", told: append([]console.Told{}, s.told...)})
	if s.take(said{event: "events", told: []console.Told{{Event: cluster.Event{Node: "ams-1", Seq: 99}, Text: "new"}}}); len(s.told) != told+1 {
		t.Errorf("%d events are told, want %d", len(s.told), told+1)
	}
}
