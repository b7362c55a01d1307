package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/noriahq/noria/bucket/policy"
)

// written returns the path of a file with that text.
func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "noria.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The sample is a policy that serve takes, with three layers of protection and tokens on routes of both styles.
func TestSample(t *testing.T) {
	_, out, _ := once(t, nil, "config", "sample")
	path := written(t, out)
	status, out, errs := once(t, nil, "config", "check", path)
	if status != statusFine || !strings.Contains(out, "a policy of 4 limits and 2 routes with the hash ") {
		t.Errorf("config check ends with %d, %q, %q", status, out, errs)
	}
	s, err := told(t, string(sample), []string{"NORIA_LIMITS_USER_TIERS_PRO=900/m"})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/v1/chat/completions": "chat openai", "/v1/messages": "messages anthropic"} {
		r := s.policy.Route("127.0.0.1:8080", "POST", path)
		if r == nil || r.Name+" "+r.Kind.String() != want || len(r.Limits) != 4 || r.Upstreams[0].Hostname() != "127.0.0.1" {
			t.Errorf("the route of %s is %+v, want %s with four limits and an upstream on this machine", path, r, want)
		}
	}
}

// A file may have both settings and a policy, and everything that is wrong in both is told at once.
func TestPolicyInFile(t *testing.T) {
	const text = "node: {name: a}\nlimits:\n  a: {limit: 1/s}\nroutes:\n  r: {limits: a}\n"
	s, err := told(t, text, nil)
	if err != nil || s.policy == nil || len(s.policy.Routes) != 1 || s.name != "a" {
		t.Errorf("settings are %+v, %v", s, err)
	}
	if s, err := told(t, "node: {name: a}\n", nil); err != nil || s.policy != nil {
		t.Errorf("without a policy it is %+v, %v", s.policy, err)
	}
	_, err = told(t, "node: {nam: a}\nlimits:\n  a: {limit: 1}\nlimts: {}\n", nil)
	if err == nil || !strings.Contains(err.Error(), "noria.yaml:4:1: unknown section limts, did you mean limits?") {
		t.Errorf("a wrong section gives %v", err)
	}
	_, err = told(t, "node: {nam: a}\nlimits:\n  a: {limit: 1}\n", []string{"NORIA_LIMITS_B_LIMIT=1/s", "NORIA_CLIENT_NODE=x"})
	for _, want := range []string{"noria.yaml:1:13: unknown field node.nam", "noria.yaml:3:14: limits.a.limit", "NORIA_LIMITS_B_LIMIT: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a wrong file gives\n%v\nwant also %s", err, want)
		}
	}
	status, _, errs := once(t, nil, "config", "check", written(t, "node: {nam: a}\nlimits:\n  a: {limit: 1}\n"))
	if status != statusUsage || strings.Count(errs, "\n") != 2 {
		t.Errorf("config check ends with %d, %q, want %d and two errors", status, errs, statusUsage)
	}
}

// The schema for editors has every section of serve.
func TestSchemaHasSections(t *testing.T) {
	b, err := os.ReadFile("../../bucket/policy/noria.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct{ Properties map[string]any }
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, f := range allFields() {
		section, _, _ := strings.Cut(f.Field, ".")
		want[section] = true
	}
	if got, want := slices.Sorted(maps.Keys(schema.Properties)), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
		t.Errorf("the schema has the sections %q, want %q", got, want)
	}
}

// No setting of serve and no field of a policy share a variable.
func TestVariablesDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, f := range allFields() {
		if other := seen[f.Env]; other != "" {
			t.Errorf("%s and %s have the same variable %s", f.Field, other, f.Env)
		}
		seen[f.Env] = f.Field
	}
}

// Variables of other commands are not taken for slips of a policy's.
func TestVariablesOfCommands(t *testing.T) {
	env := map[string]string{}
	for _, c := range all(newRoot(&process{})) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if name := annotation(f, inEnv); name != "" {
				env[name] = "x"
			}
		})
	}
	if _, err := policy.Parse("sample.yaml", sample, env, variables()...); err != nil || len(env) < 50 {
		t.Errorf("with %d variables of commands: %v", len(env), err)
	}
}
