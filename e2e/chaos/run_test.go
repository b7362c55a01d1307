package chaos

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// runStopped runs p on a fake fleet until after.
func runStopped(t *testing.T, p Plan, after time.Duration) (h *History, v Verdict) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		defer cancel()
		f := newFake(bugs{})
		var err error
		if h, err = Run(ctx, Config{Plan: p, Fleet: f}); err != nil {
			t.Fatal(err)
		}
		if !f.closed || len(f.frozen) > 0 {
			t.Errorf("fleet is closed: %v, frozen are %v; want closed with nobody frozen", f.closed, f.frozen)
		}
	})
	return h, Judge(h)
}

// A plan that cannot be carried out is refused before anything starts, and the fleet is closed all the same.
func TestRunRefuses(t *testing.T) {
	f := newFake(bugs{})
	p := busy(Step{At: 0, Do: Kill, Node: "z"})
	if _, err := Run(t.Context(), Config{Plan: p, Fleet: f}); err == nil || !strings.Contains(err.Error(), "z is not there") {
		t.Errorf("Run: %v, want that z is not there", err)
	}
	if len(f.up) > 0 || !f.closed {
		t.Errorf("up are %v, closed: %v; want none, closed", f.up, f.closed)
	}
}

// A lame fleet does not start.
type lame struct{ *fake }

func (lame) Start(context.Context, string) error { return errors.New("no legs") }

func TestRunDoesNotStart(t *testing.T) {
	f := lame{newFake(bugs{})}
	_, err := Run(t.Context(), Config{Plan: busy(), Fleet: f})
	var start *StartError
	if !errors.As(err, &start) || !f.closed {
		t.Errorf("Run: %v, closed: %v; want a StartError, closed", err, f.closed)
	}
}

// The load is the plan's rate, over all of its keys and nodes, and Watch is told of it.
func TestLoad(t *testing.T) {
	p := busy()
	var last Progress
	bubble.Test(t, func(t *testing.T) {
		h, err := Run(t.Context(), Config{Plan: p, Fleet: newFake(bugs{}), Watch: func(now Progress) { last = now }})
		if err != nil {
			t.Fatal(err)
		}
		keys, nodes := map[int32]bool{}, map[uint16]bool{}
		for i, r := range h.Records {
			keys[r.Key], nodes[r.Asked] = true, true
			if r.Returned < r.Called || i > 0 && r.Called < h.Records[i-1].Called {
				t.Fatalf("record %d is %+v, out of order", i, r)
			}
		}
		if want := p.Rate * 60; len(h.Records) != want || len(keys) != p.Keys || len(nodes) != p.Nodes {
			t.Errorf("%d requests for %d keys at %d nodes, want %d, %d and %d", len(h.Records), len(keys), len(nodes), want, p.Keys, p.Nodes)
		}
	})
	if last.At < 59*second || last.Allowed == 0 || last.Denied == 0 || last.Of != p.Duration {
		t.Errorf("the last progress is %+v", last)
	}
}

// A frozen node costs clients the requests that wait for it and no others, and those are not held against the fleet.
func TestFrozenNodeStopsNobody(t *testing.T) {
	h, v := runFake(t, busy(Step{At: 20 * second, Do: Pause, Node: "b", For: 10 * second}), bugs{})
	during := len(h.between(21*second, 30*second))
	if during < h.Plan.Rate*9*9/10 || !v.Kept || v.Requests.Failed == 0 {
		t.Errorf("%d requests in 9 s of a pause, %d failed, broken are %q; want nearly %d, some, none", during, v.Requests.Failed, broken(v), h.Plan.Rate*9)
	}
}

// What faults did is told as it was: times, who, whose keys.
func TestFaultsAreNoted(t *testing.T) {
	h, v := runFake(t, busy(
		Step{At: 10 * second, Do: Kill, HolderOf: "k1"},
		Step{At: 20 * second, Do: Join},
		Step{At: 30 * second, Do: Pause, Node: Any, For: 4 * second},
	), bugs{degradeLong: true})
	if len(h.Faults) != 3 {
		t.Fatalf("faults are %+v, want 3", h.Faults)
	}
	kill, join, pause := h.Faults[0], h.Faults[1], h.Faults[2]
	if kill.Node != holder("k1") || !kill.Hit[1] || count(kill.Hit) != 9 {
		t.Errorf("kill is %+v, want one of %s, the holder of 9 of 30 keys", kill, holder("k1"))
	}
	if join.Node != holder("k1") { // the first free name
		t.Errorf("join is one of %s, want %s", join.Node, holder("k1"))
	}
	if long := pause.Over - pause.Began; long != 4*second || pause.Calm < pause.Over {
		t.Errorf("pause took %v, calm at %v; want 4s, then calm", long, pause.Calm)
	}
	r := v.Faults[0]
	if r.Degraded < 75 || r.Degraded > 125 || r.Last == nil || *r.Last < 0.9 || *r.Last > 1.1 || r.Before.Answers == 0 || r.During.Answers == 0 {
		t.Errorf("report of the kill is %+v, want about 100 degraded answers over about a second, and latencies", r)
	}
}
