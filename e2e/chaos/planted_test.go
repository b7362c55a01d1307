package chaos

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const second = time.Second

// The judge finds each planted bug, and complains of the promise that it breaks. Without a bug it complains of nothing,
// whatever is done to the fleet.
func TestPlantedBugs(t *testing.T) {
	everything := []Step{
		{At: 5 * second, Do: Join},
		{At: 12 * second, Do: Leave, Node: "d"},
		{At: 18 * second, Do: Restart, Node: Any, How: Kill},
		{At: 25 * second, Do: Pause, Node: Any, For: 3 * second},
		{At: 38 * second, Do: Rolling},
		{At: 45 * second, Do: Cut, Node: "c"},
		{At: 48 * second, Do: Heal},
	}
	for _, c := range []struct {
		name  string
		bugs  bugs
		steps []Step
		want  []string // beginnings of the names of promises among those broken; nil for none
	}{
		{"nothing is done", bugs{}, nil, nil},
		{"all is done", bugs{}, everything, nil},
		{"flap", bugs{}, []Step{{At: 5 * second, Do: Flap, Node: "a", For: 4 * second, Every: second / 2}}, nil},
		{"two holders", bugs{twoHolders: true}, nil, []string{"steady"}},
		{"one token more", bugs{oneMore: true}, nil, []string{"steady"}},
		{"a join forgets", bugs{forgetOnMove: true}, []Step{{At: 30 * second, Do: Join}}, []string{"join"}},
		{"a leave forgets", bugs{forgetOnMove: true}, []Step{{At: 30 * second, Do: Leave, Node: "b"}}, []string{"join"}},
		{"a rolling restart forgets", bugs{forgetOnMove: true}, []Step{{At: 30 * second, Do: Rolling}}, []string{"join"}},
		{"a kill forgets", bugs{forgetOnKill: true}, []Step{{At: 30 * second, Do: Kill, Node: "b"}}, []string{"kill"}},
		{"a restart forgets", bugs{forgetOnKill: true}, []Step{{At: 30 * second, Do: Restart, Node: "b"}}, []string{"kill"}},
		{"degraded at a join", bugs{degradeMoves: true}, []Step{{At: 30 * second, Do: Join}}, []string{"nobody notices"}},
		{"failed at a leave", bugs{failMoves: true}, []Step{{At: 30 * second, Do: Leave, Node: "b"}}, []string{"nobody notices", "every request is answered"}},
		{"degraded for long after a kill", bugs{degradeLong: true}, []Step{{At: 30 * second, Do: Kill, Node: "b"}}, []string{"answered in full again"}},
		{"degraded everywhere in a cut", bugs{degradeSide: true}, []Step{{At: 10 * second, Do: Cut, Node: "b"}, {At: 20 * second, Do: Heal}}, []string{"others answer in full"}},
		{"degraded everywhere in a short cut", bugs{degradeSide: true}, []Step{{At: 10 * second, Do: Cut, Node: "b"}, {At: 12 * second, Do: Heal}}, nil},
		{"degraded everywhere beside a frozen node", bugs{degradeSide: true}, []Step{{At: 10 * second, Do: Pause, Node: "b", For: 8 * second}}, []string{"others answer in full"}},
		{"requests hang", bugs{hang: true}, nil, []string{"every request is answered", "by its deadline"}},
		{"two sides for good", bugs{splitForGood: true}, []Step{{At: 10 * second, Do: Cut, Node: "b"}, {At: 20 * second, Do: Heal}}, []string{"steady"}},
		{"full shares", bugs{fullShares: true}, []Step{{At: 30 * second, Do: Pause, Node: "b", For: 3 * second}}, []string{"pause"}},
		{"full shares, short", bugs{fullShares: true}, []Step{{At: 30 * second, Do: Pause, Node: "b", For: second}}, []string{"pause"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, v := runFake(t, busy(c.steps...), c.bugs)
			got := broken(v)
			if c.want == nil && len(got) > 0 || v.Kept != (len(got) == 0) {
				t.Errorf("broken are %q of %+v, kept: %v", got, v.Promises, v.Kept)
			}
			for _, want := range c.want {
				if !slices.ContainsFunc(got, func(name string) bool { return strings.HasPrefix(name, want) }) {
					t.Errorf("broken are %q, want %q among them; %+v", got, want, v.Promises)
				}
			}
		})
	}
}

// A kill may cost what the limit's durability says, and only keys of the node that was killed.
func TestKillByDurability(t *testing.T) {
	step := []Step{{At: 30 * second, Do: Kill, Node: "b"}}
	for durability, wantKept := range map[string]bool{"none": true, "async": false, "": false, "sync": false} {
		p := busy(step...)
		p.Limits = []Limit{{Limit: "quota 20", Durability: durability}}
		_, v := runFake(t, p, bugs{forgetOnKill: true})
		if v.Kept != wantKept {
			t.Errorf("durability %q: a forgotten bucket is kept: %v, want %v; %+v", durability, v.Kept, wantKept, v.Promises)
		}
	}
	p := busy(step...)
	p.Limits = []Limit{{Limit: "quota 20", Durability: "none"}}
	h, _ := runFake(t, p, bugs{forgetOnKill: true})
	h.Faults[0].Hit = make([]bool, p.Keys) // had b held nothing, it could have cost nothing
	if v := Judge(h); v.Kept {
		t.Error("buckets forgotten by the kill of a node that held none of them are kept")
	}
	h.Faults[0].Hit = nil // not known: taken for the holder of all
	if v := Judge(h); !v.Kept {
		t.Errorf("who held what is not known, and %q are broken", broken(v))
	}
}

// What on_lost: allow admits without the holder is nobody's fault, and what another rule admits is.
func TestAllowIsNotCounted(t *testing.T) {
	for onLost, wantKept := range map[string]bool{"allow": true, "share": false} {
		p := busy()
		p.Limits = []Limit{{Limit: "quota 2", OnLost: onLost}}
		h := &History{Plan: p.withDefaults(), Took: time.Minute, Limits: make([]uint8, p.Keys), Nodes: []string{"a"}}
		for i := range 10 {
			at := time.Duration(i) * second
			h.Records = append(h.Records, Record{Called: at, Returned: at, Cost: 1, Outcome: Allowed, Source: SourceDegraded})
		}
		if v := Judge(h); v.Kept != wantKept {
			t.Errorf("on_lost %s: kept %v, want %v; %+v", onLost, v.Kept, wantKept, v.Promises)
		}
	}
}

// Holders that are slow though nothing was done to them may cost what shares gain meanwhile, where there are shares, and
// no more: not a second burst.
func TestSlowHolders(t *testing.T) {
	for _, c := range []struct {
		name     string
		onLost   string
		degraded int64 // tokens admitted by shares, in the second after the burst
		wantKept bool
	}{
		{"a share's refill", "", 5, true},
		{"more than the refill", "", 20, false},
		{"deny", "deny", 5, false},
	} {
		p := busy()
		p.Limits = []Limit{{Limit: "5/s burst 20", OnLost: c.onLost}}
		h := &History{Plan: p.withDefaults(), Took: time.Minute, Limits: make([]uint8, p.Keys), Nodes: []string{"a"}}
		add := func(at time.Duration, cost int64, source Source) {
			h.Records = append(h.Records, Record{Called: at, Returned: at, Cost: int32(cost), Outcome: Allowed, Source: source})
		}
		add(second, 20, SourceHolder)
		add(second+10*time.Millisecond, 1, SourceDegraded)
		add(2*second, c.degraded-1, SourceDegraded)
		add(2*second, 4, SourceHolder)
		if v := Judge(h); v.Kept != c.wantKept || len(v.Notes) != 1 {
			t.Errorf("%s: kept %v, notes %q, want kept %v and one note; %+v", c.name, v.Kept, v.Notes, c.wantKept, v.Promises)
		}
	}
}

// A run that is stopped says so, has its fleet closed, and judges what there is.
func TestStopped(t *testing.T) {
	p := busy(Step{At: 0, Do: Pause, Node: "a", For: 50 * second})
	h, v := runStopped(t, p, 10*second)
	if !h.Stopped || !v.Stopped || h.Took < 10*second || h.Took > 20*second || len(h.Records) == 0 {
		t.Errorf("stopped %v after %v with %d records, want after 10s with some", h.Stopped, h.Took, len(h.Records))
	}
}
