package chaos

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
)

//go:embed report.html
var page string

// A report is what the page shows.
type report struct {
	Verdict Verdict
	Summary string
	Answers template.HTML
	Latency template.HTML
	Keys    []keyFigure
	Plan    string
}

// A keyFigure is the figure of one key.
type keyFigure struct {
	Key, Limit, Words string
	Slack             bool // faults may have cost something
	Chart             template.HTML
}

// WriteReport writes one HTML page about the history and its verdict to w: it needs nothing from elsewhere, and runs no
// script.
func WriteReport(w io.Writer, h *History, v Verdict) error {
	h = h.withSlow()
	t, err := template.New("report").Funcs(template.FuncMap{
		"after": func(s *float64) string {
			if s == nil {
				return "–"
			}
			return fmt.Sprintf("%.2f s", *s)
		},
		"ms": func(l Latency, value float64) string {
			if l.Answers == 0 {
				return "–"
			}
			return fmt.Sprintf("%.1f ms", value)
		},
	}).Parse(page)
	if err != nil {
		return err
	}
	plan, err := h.Plan.YAML()
	if err != nil {
		return err
	}
	r := report{Verdict: v, Answers: h.answersChart(), Latency: h.latencyChart(), Keys: keyFigures(h, v), Plan: string(plan)}
	r.Summary = fmt.Sprintf("%d requests in %.1f s from %s over %d keys to %s, seed %d: %d allowed, %d of them by leases, %d denied, %d of all degraded, %d failed.",
		v.Requests.All, v.Seconds, plural(h.Plan.Clients, "client"), h.Plan.Keys, crewOf(h.Plan), h.Plan.Seed,
		v.Requests.Allowed, v.Requests.Leased, v.Requests.Denied, v.Requests.Degraded, v.Requests.Failed)
	return t.Execute(w, r)
}

// keyFigures returns the figures of the keys that the verdict names for their limits, the broken first, each once.
func keyFigures(h *History, v Verdict) []keyFigure {
	j := newJudge(h)
	lines := slices.Clone(v.Promises)
	slices.SortStableFunc(lines, func(a, b Promise) int { return cmp.Compare(kept01(a), kept01(b)) })
	var all []keyFigure
	done := map[int]bool{}
	for _, p := range lines {
		if !p.judged || done[p.key] {
			continue
		}
		done[p.key] = true
		limit := h.limitOf(p.key)
		f := keyFigure{Key: keyName(p.key), Limit: limit.Limit + options(limit), Slack: len(j.slack[p.key]) > 0}
		f.Words = fmt.Sprintf("Worst window: %s, %s.", p.Window, p.Seen)
		f.Chart = j.keyChart(p)
		all = append(all, f)
	}
	return all
}

// kept01 returns 0 for a broken promise and 1 for a kept one.
func kept01(p Promise) int {
	if p.Kept {
		return 1
	}
	return 0
}

// crewOf says of how many nodes p's fleet is.
func crewOf(p Plan) string {
	if p.Gateways == 0 {
		return plural(p.Nodes, "node")
	}
	return plural(p.Nodes, "node") + " and " + plural(p.Gateways, "gateway")
}
