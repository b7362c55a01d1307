package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// pages are the pages for operators, from the top of the repository.
func pages() []string {
	return []string{
		"cmd/noria/OPERATING.md", "cmd/noria/TUNING.md", "cluster/FAILURES.md",
		"transport/gubernator/MIGRATING.md", "transport/rls/MIGRATING.md",
	}
}

// page returns what a page says.
func page(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every setting of serve is explained.
func TestTuningHasAll(t *testing.T) {
	text := page(t, "cmd/noria/TUNING.md")
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addSettings(flags, new(settings))
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		row := regexp.MustCompile("(?m)^\\| [^|]*`--" + f.Name + "`[^|]*\\|(.*)$").FindStringSubmatch(text)
		if row == nil {
			t.Errorf("TUNING.md does not explain --%s", f.Name)
			return
		}
		if value := f.DefValue; slices.Contains([]string{"duration", "number"}, f.Value.Type()) && value != "" {
			said := strings.ReplaceAll(strings.TrimSpace(strings.SplitN(row[1], "|", 2)[0]), ",", "")
			if said != value {
				t.Errorf("TUNING.md says that --%s is %s by default, and it is %s", f.Name, said, value)
			}
		}
	})
}

// Flags that pages name are flags of some command, metrics are those of METRICS.md, alerts have rules, and links lead
// somewhere.
func TestPagesNameWhatThereIs(t *testing.T) {
	flags := map[string]bool{"help": true, "drain-timeout": true}
	for _, c := range all(newRoot(&process{})) {
		c.Flags().VisitAll(func(f *pflag.Flag) { flags[f.Name] = true })
	}
	metrics, alerts := page(t, "transport/metrics/METRICS.md"), page(t, "cmd/noria/deploy/prometheus/alerts.yml")
	for _, path := range pages() {
		text := page(t, path)
		for _, m := range regexp.MustCompile("(?:`|noria [a-z]+ (?:[^\\n`]* )?)--([a-z][a-z-]*)").FindAllStringSubmatch(text, -1) {
			if !flags[m[1]] {
				t.Errorf("%s names --%s, which no command has", path, m[1])
			}
		}
		for _, m := range regexp.MustCompile(`\bnoria_[a-z_]+[a-z]`).FindAllString(text, -1) {
			if !strings.Contains(metrics, "`"+m+"`") {
				t.Errorf("%s names %s, which METRICS.md does not have", path, m)
			}
		}
		for _, a := range regexp.MustCompile("`(Noria[A-Z][A-Za-z]+)`").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(alerts, "alert: "+a[1]+"\n") {
				t.Errorf("%s names the alert %s, which has no rule", path, a[1])
			}
		}
		for _, m := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join("../..", filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			}
		}
	}
}
