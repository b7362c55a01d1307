package e2e

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/noriahq/noria/e2e/chaos"
	"github.com/noriahq/noria/e2e/harness"
)

// A fleet that is left alone, under demand for a thousand keys from several clients, keeps every promise; what chaos says of
// it is what it looked at, and nothing is left of the fleet.
func TestChaosSteady(t *testing.T) {
	plan := chaos.New()
	plan.Keys, plan.Rate, plan.Duration = 1000, 300, 8*time.Second
	plan.PeerWait, plan.Timeout = 30*time.Second, 40*time.Second // patient, however slow the machine
	h, v := breakFleet(t, plan)
	if !v.Kept {
		for _, p := range v.Promises {
			t.Logf("%+v", p)
		}
		t.Errorf("a promise was broken, faults are %+v, notes %q", h.Faults, v.Notes)
	}
	if v.Requests.Allowed == 0 || v.Requests.Denied == 0 || v.Promises[0].Key == "" {
		t.Errorf("requests are %+v, the first promise %+v; want both allowed and denied, and a key that came near to its limit", v.Requests, v.Promises[0])
	}
}

// Nodes that join, leave, are killed and are restarted one after the other cost no key more than its limit lets a kill
// cost, and no request its answer. How long faults are felt is not asserted here: machines that run tests are slow.
func TestChaosFaults(t *testing.T) {
	plan := chaos.New()
	plan.Keys, plan.Rate, plan.Duration = 500, 200, 40*time.Second // a restart takes some seconds under the race detector
	plan.PeerWait, plan.Timeout = time.Second, 5*time.Second
	plan.Steps = []chaos.Step{
		{At: 2 * time.Second, Do: chaos.Join},
		{At: 5 * time.Second, Do: chaos.Leave, Node: "b"},
		{At: 7 * time.Second, Do: chaos.Restart, Node: "a", How: chaos.Kill},
		{At: 11 * time.Second, Do: chaos.Rolling},
	}
	h, v := breakFleet(t, plan)
	if len(h.Faults) < 6 || len(h.Notes) > 0 {
		t.Errorf("faults are %+v, notes %q; want all of them and no notes", h.Faults, h.Notes)
	}
	timing := regexp.MustCompile("nobody notices|by its deadline|answered in full again")
	for _, p := range v.Promises {
		if !p.Kept && !timing.MatchString(p.Name) {
			t.Errorf("broken: %+v", p)
		}
		t.Logf("%+v", p)
	}
}

// breakFleet carries out the plan on real processes.
func breakFleet(t *testing.T, plan chaos.Plan) (*chaos.History, chaos.Verdict) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), plan.Duration+2*harness.Hang)
	defer cancel()
	h, err := chaos.Run(ctx, chaos.Config{Plan: plan, Fleet: chaos.Serve(chaos.ServeConfig{Binary: harness.Build(t), PeerWait: plan.PeerWait})})
	if err != nil {
		t.Fatal(err)
	}
	return h, chaos.Judge(h)
}

// The command carries out a plan with faults from a file, tells what was done, writes its report, and its exit status is
// its verdict.
func TestChaosCommand(t *testing.T) {
	dir := t.TempDir()
	plan, report := filepath.Join(dir, "plan.yaml"), filepath.Join(dir, "report.html")
	text := "nodes: 3\nrate: 100\nkeys: 200\nduration: 4s\nlimits:\n  - limit: 100/s\nsteps:\n  - {at: 1s, do: pause, node: c, for: 500ms}\n"
	if err := os.WriteFile(plan, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := harness.Run(t, nil, "chaos", "--plan", plan, "--report", report)
	kept := strings.Contains(r.Stdout, "All promises were kept.")
	if r.Status != 0 && r.Status != 1 || kept != (r.Status == 0) || !strings.Contains(r.Stdout, "pause") {
		t.Errorf("chaos = %d, %s\n%s\nwant a verdict that agrees with the status, and the pause", r.Status, r.Stdout, r.Stderr)
	}
	if page, err := os.ReadFile(report); err != nil || !strings.Contains(string(page), "pause c") {
		t.Errorf("report has %d bytes without the pause, %v", len(page), err)
	}
}
