package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A quick run measures every candidate inside the process and writes it down twice.
func TestQuickRun(t *testing.T) {
	out := filepath.Join(t.TempDir(), "results.md")
	var stderr strings.Builder
	if got := command(t.Context(), []string{"-quick", "-local", "-out", out}, nil, nil, &stderr); got != 0 {
		t.Fatalf("exit status %d, want 0; stderr:\n%s", got, &stderr)
	}
	page, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(strings.TrimSuffix(out, ".md") + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var rs results
	if err := json.Unmarshal(text, &rs); err != nil {
		t.Fatal(err)
	}
	for _, c := range candidates() {
		if !strings.Contains(string(page), "| "+c.name+" |") {
			t.Errorf("results.md has no row of %s", c.name)
		}
		if got, want := len(rs.cases(c.name)), casesOf(c); got != want {
			t.Errorf("results.json has %d cases of %s, want %d", got, c.name, want)
		}
	}
	checkVerdicts(t, &rs)
}

// cases returns the cases of who with a figure.
func (rs *results) cases(who string) (cases []localCase) {
	for _, l := range rs.Locals {
		if l.Who == who && l.NS.median() > 0 {
			cases = append(cases, l.localCase)
		}
	}
	return cases
}

// casesOf returns how many cases a candidate has: three for each number of keys, but two for the largest.
func casesOf(c candidate) int {
	if c.one {
		return 3
	}
	return 3 + 3 + 2
}

// checkVerdicts checks that targets inside the process were measured and none of the others was.
func checkVerdicts(t *testing.T, rs *results) {
	t.Helper()
	if len(rs.Targets) == 0 {
		t.Error("results.json has no targets")
	}
	for _, v := range rs.Targets {
		if v.Unit == " ms" && strings.Contains(v.Target, "the same without") {
			continue // who may run threads before all others has it measured
		}
		inside := strings.Contains(v.Target, "Store") || strings.Contains(v.Target, "held here") || strings.Contains(v.Target, "full node")
		if got := v.Verdict != "not measured"; got != inside {
			t.Errorf("target %q is %s", v.Target, v.Verdict)
		}
	}
}

// Every candidate enforces both limits: what is compared does the same work.
func TestCandidates(t *testing.T) {
	for _, c := range candidates() {
		t.Run(c.name, func(t *testing.T) {
			for _, l := range []limit{plenty(), spent()} {
				opened, err := c.open(t.Context(), l)
				if err != nil {
					t.Fatal(err)
				}
				defer opened.shut()
				ask := opened.asker()
				if !ask(key(1)) {
					t.Errorf("limit %s: the first request is denied", l.name)
				}
				if got := ask(key(1)); got != l.allows() {
					t.Errorf("limit %s: the second request is allowed: %v, want %v", l.name, got, l.allows())
				}
			}
		})
	}
}

// Keys have the length that they are said to have, and are met and asked about with the same bytes.
func TestKeys(t *testing.T) {
	ks := newKeySet(1000, 1)
	met := make(map[string]bool)
	for i := range ks.n {
		met[key(i)] = true
	}
	for _, k := range ks.list() {
		if len(k) != keyBytes || !met[k] {
			t.Errorf("key %q of %d bytes is asked about, want one of those met, of %d", k, len(k), keyBytes)
		}
		delete(met, k)
	}
	if len(met) > 0 {
		t.Errorf("%d keys are never asked about", len(met))
	}
}

// What is wrong with the arguments is said, with what would be right.
func TestWrongArguments(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"results.md"}, `argument "results.md" is none of ours`},
		{[]string{"-out", "results.txt"}, "want a name that ends in .md"},
		{[]string{"-rounds", "0"}, "-rounds is 0, want 1 or more"},
		{[]string{"-budget", "0s"}, "-budget is 0s, want more than 0"},
		{[]string{"-fast"}, "not defined: -fast"},
	} {
		var stderr strings.Builder
		if got := command(context.Background(), c.args, nil, nil, &stderr); got != 2 || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("compare %v: exit status %d, %q; want 2 and %q", c.args, got, &stderr, c.want)
		}
	}
}

// One check with one goroutine: what the tool measures, for go test -bench.
func BenchmarkCheck(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		ks := newKeySet(n, 0)
		for _, c := range candidates() {
			if c.one && n > 1 {
				continue
			}
			b.Run(counted(n)+"/"+c.name, func(b *testing.B) { benchCandidate(b, c, ks) })
		}
	}
}

func benchCandidate(b *testing.B, c candidate, ks keySet) {
	opened, err := c.open(b.Context(), plenty())
	if err != nil {
		b.Fatal(err)
	}
	defer opened.shut()
	if err := fill(opened, ks.n); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	ask, at := opened.asker(), 0
	for b.Loop() {
		ask(ks.asked(at))
		if at++; at == ks.n {
			at = 0
		}
	}
}
