package metrics_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/transport/gateway"
	"github.com/noriahq/noria/transport/metrics"
	"github.com/noriahq/noria/transport/peer"
	"github.com/noriahq/noria/transport/rls"
	"github.com/noriahq/noria/transport/shed"
)

var update = flag.Bool("update", false, "rewrite METRICS.md")

// everything is a moment of a node that has all that a node can have.
func everything() *metrics.Moment {
	sizes := peer.Histogram{Bounds: []float64{1, 2}, Counts: []uint64{3, 4, 5}, Sum: 30}
	return &metrics.Moment{
		Node:      cluster.Status{Ready: true, Deciding: true, Policy: "00c0ffee00c0ffee", Policies: 1, Members: []cluster.MemberStatus{{ID: "a", Role: cluster.RoleHolder}}, State: &cluster.StateStatus{}},
		Stats:     cluster.Stats{Ring: 16384, Gossip: gossip.Health{Score: 1}, MaxKeys: 10, MaxReservations: 10},
		Peers:     peer.Stats{MaxQueue: 5, Peers: []peer.LinkStats{{ID: "b", State: "open", Trips: sizes, Batches: sizes}}},
		Decisions: metrics.NewDecisions("a"),
		Gateway:   &gateway.Stats{},
		Reloads:   &metrics.Reloads{OK: 1},
		RLS:       &metrics.RLS{Counts: []rls.Count{{Rule: "d\xff.user", Allowed: 1}}},
		Requests:  metrics.NewRequests(),
		Shed:      shed.NewGate(shed.Config{}).Stats(),
		Ports:     []metrics.Port{{Name: "api", ConnStats: shed.ConnStats{Open: 1}}},
	}
}

// gather returns what Prometheus gets of a node that has everything and of which everything was asked once.
func gather(t *testing.T) []*dto.MetricFamily {
	t.Helper()
	m := everything()
	use(t, m)
	all, err := metrics.New(func() *metrics.Moment { return m }).Registry(m.Decisions, m.Requests).Gather()
	if err != nil {
		t.Fatalf("gather: %v", err)
	}
	return slices.DeleteFunc(all, func(f *dto.MetricFamily) bool { return !strings.HasPrefix(f.GetName(), "noria_") })
}

// Names, units and help are such as Prometheus recommends.
func TestLint(t *testing.T) {
	problems, err := promlint.NewWithMetricFamilies(gather(t)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// The page of all metrics is what the code exports: every name with its type, its labels and its meaning, and no other. Run with
// -update to write it.
func TestPage(t *testing.T) {
	exported := map[string]*dto.MetricFamily{}
	for _, f := range gather(t) {
		exported[f.GetName()] = f
	}
	var rows strings.Builder
	for _, m := range metrics.All() {
		f := exported[m.Name]
		delete(exported, m.Name)
		if f == nil {
			t.Errorf("%s is in a table and not exported", m.Name)
			continue
		}
		if got := strings.ToLower(f.GetType().String()); got != string(m.Kind) {
			t.Errorf("%s is exported as a %s, and is a %s in its table", m.Name, got, m.Kind)
		}
		if f.GetHelp() != m.Help {
			t.Errorf("%s is exported with %q, and has %q in its table", m.Name, f.GetHelp(), m.Help)
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		if diff := cmp.Diff(slices.Sorted(slices.Values(m.Labels)), labels); diff != "" && len(m.Labels)+len(labels) > 0 {
			t.Errorf("labels of %s, in its table and as exported:\n%s", m.Name, diff)
		}
		shown := "`" + strings.Join(m.Labels, "` `") + "`"
		if len(m.Labels) == 0 {
			shown = ""
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, shown, m.Help)
	}
	for name := range exported {
		t.Errorf("%s is exported and in no table", name)
	}
	want := []byte(page + rows.String() + "\n" + after)
	if *update {
		if err := os.WriteFile("METRICS.md", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("METRICS.md is not what the code exports: run go test ./transport/metrics -run TestPage -update\n%s", cmp.Diff(string(want), string(got)))
	}
}

const page = `# Metrics

What a node tells Prometheus at ` + "`/metrics`" + ` on its admin port, and sends by OTLP where it is told to. This page is made from the code:
` + "`go test ./transport/metrics -run TestPage -update`" + ` writes it, and the same test without ` + "`-update`" + ` fails where it is out of date.

A key is never a label. Labels have few values: limits are those of the policy, up to 200 for each way in and ` + "`other`" + ` beyond; peers
are the members of the cluster; methods, codes and results are fixed. Rules of Envoy's rate limit service are counted apart up to
10,000, as its ` + "`detailed_metric`" + ` asks for.

The three histograms of durations are native ones too, for a Prometheus that scrapes protobuf (` + "`scrape_native_histograms: true`" + `);
the buckets are there for all others.

| name | type | labels | meaning |
|---|---|---|---|
`

const after = `Beside these are those of Go's client library: ` + "`go_*`" + ` and ` + "`process_*`" + `.

A dashboard and alerts that are made of them are in ` + "`cmd/noria/deploy/grafana`" + ` and ` + "`cmd/noria/deploy/prometheus`" + `.
`

// Every line of a table says what it means in a sentence, and labels are names that PromQL needs not quote.
func TestTables(t *testing.T) {
	name := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	seen := map[string]bool{}
	for _, m := range metrics.All() {
		if seen[m.Name] {
			t.Errorf("%s is there twice", m.Name)
		}
		seen[m.Name] = true
		if !strings.HasSuffix(m.Help, ".") || strings.Contains(m.Help, "|") || len(m.Help) < 15 {
			t.Errorf("%s: help is %q, want a sentence without |", m.Name, m.Help)
		}
		for _, l := range m.Labels {
			if !name.MatchString(l) {
				t.Errorf("%s: label %q", m.Name, l)
			}
		}
	}
}

// Text that is not UTF-8, which others may send, is no reason for an answer without metrics.
func TestValid(t *testing.T) {
	var page bytes.Buffer
	for _, f := range gather(t) {
		if _, err := expfmt.MetricFamilyToText(&page, f); err != nil {
			t.Fatal(err)
		}
	}
	if want := `noria_rls_hits_total{result="ok",rule="d?.user"} 1`; !strings.Contains(page.String(), want) {
		t.Errorf("no line %s in\n%s", want, page.String())
	}
}
