package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/noriahq/noria/e2e/chaos"
)

// What is wrong with a plan, or with what is asked of chaos, is said before anything starts.
func TestChaosBadUsage(t *testing.T) {
	plan := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(plan, []byte("nodes: 3\nsteps:\n  - at: 1s\n    do: kill\n    nod: b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ line, want string }{
		{"", "which faults? Want --plan FILE or --random"},
		{"--random|--plan|" + plan, "--plan and --random exclude each other"},
		{"--plan|testdata/none.yaml", "testdata/none.yaml"},
		{"--plan|" + plan, "line 5: unknown field \"nod\", did you mean node?"},
		{"--random|--nodes|21", "want a whole number from 1 to 20"},
		{"--random|--duration|25h", "want a duration from 1s to 24h"},
		{"--random|--rate|50000|--duration|1h", "are 180000000 requests, want at most 10000000"},
		{"--random|--binary|testdata", "want the path of an executable file"},
		{"--random|--report|testdata/none/r.html", "--report"},
		{"--random|--rat|5", "did you mean --rate?"},
		{"--random|more", `"more" is one argument too many`},
	} {
		args := strings.FieldsFunc("chaos|"+c.line, func(r rune) bool { return r == '|' })
		status, out, errs := once(t, nil, args...)
		if status != statusUsage || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%q ends with %d, prints %q and says\n%s\nwant %d, nothing and %q", args, status, out, errs, statusUsage, c.want)
		}
	}
}

// A binary that is no node does not start: status 3, with what it said.
func TestChaosDoesNotStart(t *testing.T) {
	status, out, errs := once(t, nil, "chaos", "--random", "--duration", "1s", "--binary", "/bin/false")
	if status != statusUnreachable || out != "" || !strings.Contains(errs, "ended before it was ready") {
		t.Errorf("chaos with a binary that fails = %d, %q, %q; want %d", status, out, errs, statusUnreachable)
	}
}

// A seed makes one plan, and the plan that is printed can be read.
func TestChaosPrintPlan(t *testing.T) {
	args := []string{"chaos", "--random", "--seed", "7", "--duration", "2m", "--nodes", "4", "--print-plan"}
	_, first, _ := once(t, nil, args...)
	_, second, _ := once(t, nil, args...)
	if first != second || !strings.Contains(first, "seed: 7") {
		t.Errorf("one seed makes the plans\n%s\nand\n%s", first, second)
	}
	path := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(path, []byte(first), 0o600); err != nil {
		t.Fatal(err)
	}
	status, read, errs := once(t, nil, "chaos", "--plan", path, "--print-plan")
	if status != statusFine || read != first {
		t.Errorf("the plan read and printed again = %d, %q\n%s\nwant\n%s", status, errs, read, first)
	}
}

// What chaos prints for people and for programs is what it was.
func TestChaosOutput(t *testing.T) {
	at, last := 0.021, 2.812
	v := chaos.Verdict{
		Seconds: 30, Notes: []string{"this machine's clocks were up to 120ms late"}, Plan: chaos.New(),
		Requests: chaos.Tally{All: 30_000, Allowed: 20_000, Denied: 9_990, Degraded: 452, Failed: 10, Errors: map[string]int64{
			"no answer until the deadline": 9, "connection refused or broken": 1,
		}},
		Promises: []chaos.Promise{
			{Number: 1, Name: "steady: B + r*t", Bound: "20 tokens", Seen: "20 of quota 20", Key: "k0", Window: "1.05s from 18.5ms on", Kept: true},
			{Number: 3, Name: "kill: B + r*t + lost", Bound: "20 tokens", Seen: "37 of quota 20, 17 too many; 5 keys", Key: "k4", Window: "8.04s from 3.47s on"},
			{Name: "nodes stay up and come back", Bound: "0 break down", Seen: "0", Kept: true},
		},
		Faults: []chaos.FaultReport{
			{
				Kind: "kill", Node: "d", At: 6, Took: 0.01, Agreed: &last, Degraded: 452, First: &at, Last: &last, Keys: 151,
				Before: chaos.Latency{Answers: 1000, P50: 1.2, P99: 11.1}, During: chaos.Latency{Answers: 2000, P50: 1.4, P99: 63.6},
			},
			{Kind: "pause", Node: "a", At: 13, Took: 4, Keys: -1, Note: "something is to be said"},
		},
	}
	var text, data bytes.Buffer
	chaosText(false, v)(&text)
	if err := (output{format: "json"}).print(&data, v, nil); err != nil {
		t.Fatal(err)
	}
	golden(t, "output/chaos.txt", text.String())
	golden(t, "output/chaos.json", data.String())
}
