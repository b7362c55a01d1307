package chaos

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Gateways have the names after those of the other nodes, and a plan with them is read as it was written.
func TestGatewayNames(t *testing.T) {
	p := New()
	p.Nodes, p.Gateways = 3, 6
	if got, want := strings.Join(p.GatewayNames(), ""), "defghi"; got != want {
		t.Errorf("GatewayNames = %q, want %q", got, want)
	}
	b, err := p.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(b, false)
	if err != nil || again.Gateways != 6 || !again.isGateway("i") || again.isGateway("c") || again.isGateway("j") {
		t.Errorf("Parse of\n%s= %d gateways, %v; want 6", b, again.Gateways, err)
	}
}

// Steps may name gateways. The last node that holds keys must stay, whatever gateways there are, and no more nodes than there may
// be are.
func TestGatewayPlans(t *testing.T) {
	for _, c := range []struct {
		nodes, gateways int
		step            Step
		wrong           string
	}{
		{1, 2, Step{Do: Leave, Node: "b"}, ""},
		{1, 2, Step{Do: Restart, Node: "c"}, ""},
		{1, 2, Step{Do: Kill, Node: "a"}, "no node would be left that holds keys"},
		{1, 2, Step{Do: Restart, Node: "a"}, "two nodes that hold keys"},
		{1, 2, Step{Do: Kill, Node: Any}, "no node would be left that holds keys"},
		{3, 6, Step{Do: Kill, Node: "j"}, "not there"},
		{15, 6, Step{Do: Kill, Node: "a"}, "want 0 to 5: at most 20 nodes in all"},
		{3, -1, Step{Do: Kill, Node: "a"}, "want 0 to 17"},
	} {
		p := New()
		p.Nodes, p.Gateways, p.Steps = c.nodes, c.gateways, []Step{c.step}
		err := p.Check(false)
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%d nodes, %d gateways, %+v: %v, want an error with %q", c.nodes, c.gateways, c.step, err, c.wrong)
		}
	}
}

// Made-up plans of a fleet with gateways can be carried out.
func TestRandomWithGateways(t *testing.T) {
	for seed := range uint64(200) {
		p := New()
		p.Nodes, p.Gateways, p.Seed, p.Duration = 3, 6, seed, 2*time.Minute
		if err := Random(p, true).Check(true); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// The larger side of a cut is the one with more nodes that hold keys.
func TestSidesByHolders(t *testing.T) {
	p := New()
	p.Nodes, p.Gateways = 3, 6
	r := newRunner(p, nil)
	r.up = []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}
	side, others := r.sides("a", Step{With: []string{"b"}})
	if got, want := r.holders(side), 2; got != want || r.holders(others) != 1 || !slices.Contains(others, "i") {
		t.Errorf("%v has %d holders and %v %d, want 2 and 1", side, got, others, r.holders(others))
	}
}
