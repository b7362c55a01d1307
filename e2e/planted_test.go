package e2e

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var soak = flag.Bool("soak", false, "run the tests that take minutes too")

// plantedPlan is a plan that both kinds of loss show in: of what moves and of what is replicated.
const plantedPlan = `
nodes: 3
clients: 4
keys: 1000
rate: 800
duration: 14s
limits:
- limit: quota 20
- limit: 30/m burst 10
steps:
- at: 6s
  do: join
- at: 9s
  do: kill
  node: b
`

// noria chaos finds a limit broken with each binary that has a planted bug.
func TestChaosFindsPlantedBugs(t *testing.T) {
	if !*soak {
		t.Skip("builds three binaries and runs each for 14 s; make soak does")
	}
	dir := t.TempDir()
	plan := filepath.Join(dir, "plan.yaml")
	if err := os.WriteFile(plan, []byte(plantedPlan), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bug := range []string{"forget", "halve", "mute"} {
		t.Run(bug, func(t *testing.T) {
			binary := filepath.Join(dir, "noria-"+bug)
			build := exec.CommandContext(t.Context(), "go", "build", "-tags", "noria_plant_"+bug, "-o", binary, "../cmd/noria")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", build, err, out)
			}
			out, err := exec.CommandContext(t.Context(), binary, "chaos", "--plan", plan).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "too many") {
				t.Errorf("noria chaos with the planted bug %q: %v, want exit status 1 and a limit broken\n%s", bug, err, out)
			}
		})
	}
}
