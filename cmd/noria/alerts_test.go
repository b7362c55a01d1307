package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/noriahq/noria/transport/metrics"
)

// The files that look at the metrics, and what is tested with them.
const (
	alertsFile     = "deploy/prometheus/alerts.yml"
	prometheusFile = "deploy/prometheus/prometheus.yml"
	dashboardFile  = "deploy/grafana/noria.json"
	scenesFile     = "testdata/alerts_test.yml"
)

// An alert is one rule of alertsFile.
type alert struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

// alerts returns the rules of alertsFile.
func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal([]byte(contentOf(t, alertsFile)), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 15 {
		t.Fatalf("%d alerts", len(all))
	}
	return all
}

// A panel is a picture of dashboardFile, or a row of them.
type panel struct {
	ID      int
	Type    string
	Title   string
	GridPos struct{ H, W, X, Y int }
	Targets []struct{ Expr string }
	Panels  []panel
}

// panels returns the pictures of dashboardFile.
func panels(t *testing.T) []panel {
	t.Helper()
	var board struct {
		UID    string
		Panels []panel
	}
	if err := json.Unmarshal([]byte(contentOf(t, dashboardFile)), &board); err != nil {
		t.Fatal(err)
	}
	if board.UID != "noria" || len(board.Panels) < 20 {
		t.Fatalf("dashboard %s has %d panels", board.UID, len(board.Panels))
	}
	return board.Panels
}

func contentOf(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// expressions returns all PromQL of both files by where it stands, with Grafana's variables filled in.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, a := range alerts(t) {
		all["alert "+a.Alert] = a.Expr
	}
	fill := strings.NewReplacer("$job", "noria", "$instance", ".*", "$__rate_interval", "1m")
	for _, p := range panels(t) {
		for i, target := range p.Targets {
			all[fmt.Sprintf("panel %s, %d", p.Title, i)] = fill.Replace(target.Expr)
		}
	}
	var board struct {
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal([]byte(contentOf(t, dashboardFile)), &board); err != nil {
		t.Fatal(err)
	}
	for _, one := range board.Templating.List {
		if inner, ok := strings.CutPrefix(one.Definition, "label_values("); ok {
			all["variable "+one.Name] = fill.Replace(inner[:strings.LastIndex(inner, ",")])
		}
	}
	return all
}

// A vocabulary is what a fleet exports: the labels of each series, without those that every one has.
type vocabulary map[string][]string

// exported returns what a running fleet with everything that can be counted exports.
func exported(t *testing.T) vocabulary {
	t.Helper()
	v := vocabulary{"up": nil, "ALERTS": {"alertname", "alertstate"}}
	for _, m := range metrics.All() {
		if v[m.Name] = m.Labels; m.Kind == metrics.Histogram {
			v[m.Name+"_bucket"] = append(slices.Clone(m.Labels), "le")
			v[m.Name+"_sum"], v[m.Name+"_count"] = m.Labels, m.Labels
		}
	}
	_, d := startFleet(t, "--nodes", "2", "--demo")
	_, page := fetch(t, "http://"+d.Nodes[0].Admin+"/metrics")
	for line := range strings.Lines(page) {
		if words := strings.Fields(line); len(words) > 3 && words[1] == "TYPE" {
			if _, known := v[words[2]]; !known && strings.HasPrefix(words[2], "noria_") {
				t.Errorf("a node exports %s, which is in no table of package metrics", words[2])
			} else if !known {
				v[words[2]] = nil
			}
		}
	}
	for _, name := range []string{"noria_partitions_without_replica", "noria_peer_round_trip_seconds", "noria_http_requests_in_flight", "noria_gateway_held", "noria_check_duration_seconds", "go_goroutines"} {
		if !strings.Contains(page, "# TYPE "+name+" ") {
			t.Errorf("a running node does not export %s", name)
		}
	}
	return v
}

var (
	quoted   = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	selector = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)\s*""`)
	grouping = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	word     = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*(\s*\()?`)
	span     = regexp.MustCompile(`\[[^]]*\]`)
)

// unknown returns what expr speaks of and v does not have: series, and labels of series.
func (v vocabulary) unknown(expr string) (wrong []string) {
	general := []string{"job", "instance"}
	expr = span.ReplaceAllString(quoted.ReplaceAllString(expr, `""`), "")
	labels := slices.Clone(general)
	named := selector.ReplaceAllStringFunc(expr, func(s string) string {
		parts := selector.FindStringSubmatch(s)
		for _, m := range matcher.FindAllStringSubmatch(parts[2], -1) {
			if !slices.Contains(general, m[1]) && !slices.Contains(v[parts[1]], m[1]) {
				wrong = append(wrong, "label "+m[1]+" of "+parts[1])
			}
		}
		return parts[1]
	})
	by := grouping.FindAllStringSubmatch(named, -1)
	for _, found := range word.FindAllString(grouping.ReplaceAllString(named, " "), -1) {
		switch {
		case strings.HasSuffix(found, "("), slices.Contains([]string{"and", "or", "unless", "bool", "offset", "inf", "nan"}, strings.ToLower(found)):
			continue
		}
		of, known := v[found]
		if !known {
			wrong = append(wrong, "series "+found)
		}
		labels = append(labels, of...)
	}
	for _, g := range by {
		for l := range strings.SplitSeq(g[1], ",") {
			if l = strings.TrimSpace(l); l != "" && !slices.Contains(labels, l) {
				wrong = append(wrong, "label "+l+" in a grouping")
			}
		}
	}
	return wrong
}

// Every series and every label in the alerts and the dashboard is one that nodes export.
func TestNamesInExpressions(t *testing.T) {
	v := exported(t)
	all := expressions(t)
	if len(all) < 60 {
		t.Errorf("%d expressions found", len(all))
	}
	for where, expr := range all {
		for _, wrong := range v.unknown(expr) {
			t.Errorf("%s: %s is not exported, in %s", where, wrong, expr)
		}
	}
	// And what is not exported is found.
	for expr, want := range map[string]string{
		`rate(noria_decision_total[5m])`:                                     "series noria_decision_total",
		`sum by (limt) (noria_decisions_total)`:                              "label limt in a grouping",
		`noria_decisions_total{origin="holder"}`:                             "label origin of noria_decisions_total",
		`1 - max(noria_keys_max) / noria_key`:                                "series noria_key",
		`histogram_quantile(0.9, noria_check_duration_seconds_buckets{})`:    "series noria_check_duration_seconds_buckets",
		`noria_ready{job="x"} == 0 and on (node, job) noria_ready{a=~"a}b"}`: "label a of noria_ready",
	} {
		if got := v.unknown(expr); !slices.Contains(got, want) {
			t.Errorf("%s: unknown is %q, want %q among them", expr, got, want)
		}
	}
}

// Every alert says how bad it is, what has happened, and what to do first; and the scenes have each of them go off.
func TestAlerts(t *testing.T) {
	scenes := contentOf(t, scenesFile)
	seen := map[string]bool{}
	for _, a := range alerts(t) {
		if !strings.HasPrefix(a.Alert, "Noria") || seen[a.Alert] {
			t.Errorf("alert %q: want a name of its own that begins with Noria", a.Alert)
		}
		seen[a.Alert] = true
		if s := a.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity is %q, want critical or warning", a.Alert, s)
		}
		for _, name := range []string{"summary", "description", "runbook"} {
			if len(a.Annotations[name]) < 15 {
				t.Errorf("%s: %s is %q", a.Alert, name, a.Annotations[name])
			}
		}
		if want := fmt.Sprintf("alertname=%q, severity=%q", a.Alert, a.Labels["severity"]); !strings.Contains(scenes, want) {
			t.Errorf("no scene of %s has %s", scenesFile, want)
		}
	}
	for _, other := range regexp.MustCompile(`Noria[A-Z][A-Za-z]+`).FindAllString(contentOf(t, alertsFile), -1) {
		if !seen[other] {
			t.Errorf("%s speaks of the alert %s, which is not there", alertsFile, other)
		}
	}
}

// Pictures of the dashboard do not lie over each other, and each shows something.
func TestDashboard(t *testing.T) {
	taken := map[[2]int]string{}
	ids := map[int]bool{}
	for _, p := range panels(t) {
		if ids[p.ID] {
			t.Errorf("panel %s: id %d is there twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 || p.Title == "" || len(p.Panels) > 0 {
			t.Errorf("panel %d, %q, has %d targets", p.ID, p.Title, len(p.Targets))
		}
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("panel %s is at %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("panels %s and %s are both at %d, %d", other, p.Title, x, y)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// Prometheus itself finds nothing wrong: with its configuration, with the rules, with what they say of the scenes, and with the
// expressions of the dashboard.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("promtool is not there; it is in Debian's package prometheus")
	}
	if err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: all\n  rules:\n")
	i := 0
	for _, expr := range expressions(t) {
		i++
		fmt.Fprintf(&rules, "  - {record: 'x:%d', expr: '%s'}\n", i, strings.ReplaceAll(strings.ReplaceAll(expr, "'", "''"), "\n", " "))
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"check", "config", prometheusFile},
		{"check", "rules", alertsFile},
		{"check", "rules", file},
		{"test", "rules", scenesFile},
	} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
