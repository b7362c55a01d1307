package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// A plan says what it changes of New; the rest has defaults.
func TestParse(t *testing.T) {
	got, err := Parse([]byte(`
# a comment
nodes: 4
duration: 20s
limits:
  - limit: 10/s burst 20
    durability: sync
steps:
  - {at: 5s, do: kill, holder-of: k17}
  - at: 9s
    do: restart
    node: any
`), false)
	if err != nil {
		t.Fatal(err)
	}
	want := New()
	want.Nodes, want.Duration = 4, 20*time.Second
	want.Limits = []Limit{{Limit: "10/s burst 20", Durability: "sync"}}
	want.Steps = []Step{{At: 5 * time.Second, Do: Kill, HolderOf: "k17"}, {At: 9 * time.Second, Do: Restart, Node: Any}}
	if diff := cmp.Diff(want.withDefaults(), got, cmpopts.IgnoreUnexported(Limit{})); diff != "" {
		t.Errorf("Parse differs (-want +got):\n%s", diff)
	}
}

// What is wrong with a plan is said with its line, with what would be right, and before anything starts.
func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		plan string
		cuts bool
		want string
	}{
		{plan: "nods: 3", want: `line 1: unknown field "nods", did you mean nodes?`},
		{plan: "nodes: 3\nsteps:\n  - {at: 1s, do: kill, nod: b}", want: `line 3: unknown field "nod", did you mean node?`},
		{plan: "nodes: many", want: "line 1: cannot unmarshal string: want a number"},
		{plan: "rate: 5\nsteps: [{at: soon, do: join}]", want: `line 2: "soon" is no duration, want one such as 5s`},
		{plan: "nodes: 3\n---\nnodes: 4", want: "a second document"},
		{plan: "nodes: &a 3", want: "line 1: anchors, aliases and tags are not read here"},
		{plan: "nodes: 3\nsteps:\n !0 #0", want: "line 3: anchors, aliases and tags are not read here"},
		{plan: "nodes: [3", want: "line 1: "},
		{plan: strings.Repeat("[", 1000), want: "line 1: more than 100 brackets"},
		{plan: "nodes: 0", want: "line 1: nodes: is 0, want 1 to 20"},
		{plan: "rate: 1\nkeys: 300000", want: "line 2: keys: is 300000, want 1 to 200000"},
		{plan: "rate: 50000\nduration: 1h", want: "line 1: rate: 50000 a second for 1h0m0s are 180000000 requests, want at most 10000000"},
		{plan: "duration: 25h\nrate: 1", want: "line 1: duration: is 25h0m0s, want a duration from 1s to 24h0m0s"},
		{plan: "timeout: 20ms", want: "line 1: timeout: is 20ms and peer_wait 250ms"},
		{plan: "limits: []", want: "limits: 0 limits, want 1 to 100"},
		{plan: "limits:\n  - limit: 10 per s", want: "line 2: limits[0].limit: bad limit \"10 per s\": column 4"},
		{plan: "limits:\n  - limit: window 5 per 1m", want: "line 2: limits[0].limit: \"window 5 per 1m\" is a window, want a steady rate"},
		{plan: "limits:\n  - limit: 10/s\n    cost: 11", want: "line 3: limits[0].cost: is 11, want 1 to the burst, 10"},
		{plan: "limits:\n  - limit: 10/s\n    durability: snyc", want: `line 3: limits[0].durability: is "snyc", want none, async or sync, did you mean sync?`},
		{plan: "limits:\n  - limit: 10/s\n    on_lost: denny", want: "did you mean deny?"},
		{plan: "limits:\n  - limit: 1/365d burst 1000000000", want: "too large for the judge's arithmetic"},
		{plan: "steps:\n  - at: 1s\n    do: kil", want: `line 3: steps[0].do: is "kil", want join,`},
		{plan: "steps:\n  - at: 1s\n    do: kil", want: "did you mean kill?"},
		{plan: "steps: [{at: 31s, do: join}]", want: "steps[0].at: is 31s, want a duration from 0s to that of the plan, 30s"},
		{plan: "steps: [{at: 5, do: join}]", want: "line 1: want a duration with its unit, such as 5s"},
		{plan: "steps: [{at: 1s, do: kill}]", want: "kill of whom? want node: NAME, node: any or holder-of: KEY"},
		{plan: "steps: [{at: 1s, do: kill, node: a, holder-of: k1}]", want: "holder-of: stands beside node"},
		{plan: "steps: [{at: 1s, do: kill, holder-of: k2000}]", want: `is "k2000", want a key from k0 to k1999`},
		{plan: "steps: [{at: 1s, do: pause, node: a}]", want: "steps[0].for: is 0s, want how long the pause lasts"},
		{plan: "steps: [{at: 29s, do: pause, node: a, for: 2s}]", want: "with its end inside the plan's 30s"},
		{plan: "steps: [{at: 1s, do: join, for: 2s}]", want: "join takes no for"},
		{plan: "steps: [{at: 1s, do: restart, node: a, how: gently}]", want: "want kill or leave"},
		{plan: "steps: [{at: 1s, do: cut, node: a}]", want: "line 1: steps[0].do: nodes on loopback cannot be cut off"},
		{plan: "delay: 5ms", want: "line 1: delay: nodes on loopback cannot be cut off"},
		{plan: "steps: [{at: 1s, do: cut, node: a, to: [a]}]", cuts: true, want: "a node is not cut off from itself"},
		{plan: "steps: [{at: 1s, do: cut, node: a, with: [b], to: [b, c]}]", cuts: true, want: "steps[0].with: has b, and to has it too: a node is on one side of a cut"},
		{plan: "steps: [{at: 1s, do: cut, node: a, with: [z]}]", cuts: true, want: "steps[0].with: z is not there"},
		{plan: "steps: [{at: 1s, do: kill, node: a, with: [b]}]", want: "steps[0].with: kill takes no with"},
		{plan: "steps: [{at: 1s, do: heal}]", cuts: true, want: "nothing is cut at 1s"},
		{plan: "steps: [{at: 1s, do: cut, node: a}, {at: 2s, do: flap, node: b, for: 1s, every: 200ms}]", cuts: true, want: "steps[1].do: another cut stands at 2s"},
		{plan: "steps: [{at: 1s, do: cut, node: a}, {at: 2s, do: rolling-restart}]", cuts: true, want: "a cut stands at 2s"},
		{plan: "steps: [{at: 1s, do: kill, node: e}]", want: "steps[0].node: e is not there: up at 1s: a, b, c"},
		{plan: "steps:\n  - {at: 1s, do: kill, node: b}\n  - {at: 2s, do: leave, node: b}", want: "line 3: steps[1].node: b is not there: up at 2s: a, c"},
		{plan: "steps: [{at: 1s, do: kill, node: any}, {at: 2s, do: leave, node: b}]", want: "b may be gone by then"},
		{plan: "nodes: 1\nsteps: [{at: 1s, do: kill, node: a}]", want: "no node would be left"},
		{plan: "nodes: 1\nsteps: [{at: 1s, do: restart, node: a}]", want: "restart takes two nodes"},
		{plan: "steps: [{at: 1s, do: join, node: b}]", want: "b is there at 1s: a node joins that is not, such as d"},
		{plan: "steps: [{at: 1s, do: join, node: B}]", want: "want 1 to 16 small letters"},
		{plan: "steps: [{at: 1s, do: pause, node: b, for: 5s}, {at: 2s, do: leave, node: b}]", want: "b is paused until 6s"},
		{plan: "steps: [{at: 1s, do: pause, node: b, for: 5s}, {at: 2s, do: rolling-restart}]", want: "b is paused until 6s"},
	} {
		_, err := Parse([]byte(c.plan), c.cuts)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Parse(%q, %v): %v\nwant %q", c.plan, c.cuts, err, c.want)
		}
	}
}

// Steps are carried out in order of their times, however they stand; an earlier one makes a later one possible.
func TestOrder(t *testing.T) {
	if _, err := Parse([]byte("steps: [{at: 9s, do: kill, node: d}, {at: 1s, do: join}]"), false); err != nil {
		t.Error(err)
	}
}

// A seed makes one plan, which can be carried out, and which is the same when it is written and read.
func TestRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := New()
		p.Seed = rapid.Uint64().Draw(t, "seed")
		p.Nodes = rapid.IntRange(1, 8).Draw(t, "nodes")
		p.Duration = time.Duration(rapid.IntRange(1, 600).Draw(t, "seconds")) * time.Second
		cuts := rapid.Bool().Draw(t, "cuts")

		made := Random(p, cuts)
		if err := made.Check(cuts); err != nil {
			t.Fatalf("Random(%+v, %v) cannot be carried out: %v", p, cuts, err)
		}
		if len(made.Steps) == 0 {
			t.Fatalf("Random(%+v, %v) has no steps", p, cuts)
		}
		if diff := cmp.Diff(made, Random(p, cuts), cmpopts.IgnoreUnexported(Limit{})); diff != "" {
			t.Fatalf("another plan from the same seed:\n%s", diff)
		}
		b, err := made.YAML()
		if err != nil {
			t.Fatal(err)
		}
		read, err := Parse(b, cuts)
		if diff := cmp.Diff(made, read, cmpopts.IgnoreUnexported(Limit{})); err != nil || diff != "" {
			t.Fatalf("Parse(%s): %v, differs:\n%s", b, err, diff)
		}
	})
}

// Every kind of fault comes up, those that need networks only with them.
func TestRandomKinds(t *testing.T) {
	for _, cuts := range []bool{false, true} {
		seen := map[string]bool{}
		for seed := range uint64(100) {
			p := New()
			p.Seed, p.Duration = seed, 2*time.Minute
			for _, s := range Random(p, cuts).Steps {
				seen[s.Do] = true
			}
		}
		for _, deed := range deeds() {
			want := cuts || deed != Cut && deed != Heal && deed != Flap
			if seen[deed] != want {
				t.Errorf("cuts %v: %s is made up: %v, want %v", cuts, deed, seen[deed], want)
			}
		}
	}
}

// Whatever a file holds, it is a plan that can be carried out or an error.
func FuzzParse(f *testing.F) {
	f.Add([]byte("nodes: 3\nsteps:\n  - {at: 1s, do: kill, node: b}"), true)
	f.Add([]byte("limits: [{limit: 1/s, weight: 3}]\nloss: 0.5"), true)
	f.Add([]byte("a: &a [*a]"), false)
	f.Fuzz(func(t *testing.T, b []byte, cuts bool) {
		p, err := Parse(b, cuts)
		if err != nil {
			return
		}
		if err := p.Check(cuts); err != nil {
			t.Errorf("Parse(%q) = %+v, which Check refuses: %v", b, p, err)
		}
	})
}

// Nodes beyond z have names, each its own.
func TestName(t *testing.T) {
	seen := map[string]bool{}
	for i := range 1000 {
		if n := name(i); seen[n] || !nameForm.MatchString(n) {
			t.Fatalf("name(%d) = %q, seen before: %v", i, n, seen[n])
		}
		seen[name(i)] = true
	}
	if got := fmt.Sprint(name(0), name(25), name(26), name(27)); got != "azaaab" {
		t.Errorf("names 0, 25, 26 and 27 are %s", got)
	}
}

// The plans that come with this package can be carried out.
func TestPlans(t *testing.T) {
	files, err := filepath.Glob("plans/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("plans are %q, %v", files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(b, true); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}
