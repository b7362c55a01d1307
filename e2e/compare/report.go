package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// write writes rs to path, which ends in .md, as JSON beside it, and its pictures into the folder plots there.
func (rs *results) write(path string) error {
	text, err := json.MarshalIndent(rs, "", "  ")
	if err != nil {
		return err
	}
	beside := strings.TrimSuffix(path, filepath.Ext(path)) + ".json"
	if err := os.WriteFile(beside, append(text, '\n'), 0o644); err != nil {
		return err
	}
	if err := rs.writePlots(filepath.Dir(path)); err != nil {
		return err
	}
	return os.WriteFile(path, rs.markdown(), 0o644)
}

// A page is Markdown under construction.
type page struct{ bytes.Buffer }

// para adds a paragraph.
func (p *page) para(format string, args ...any) { fmt.Fprintf(p, format+"\n\n", args...) }

// gap ends a table.
func (p *page) gap() { p.WriteString("\n") }

// row adds a row of a table.
func (p *page) row(cells ...string) { fmt.Fprintf(p, "| %s |\n", strings.Join(cells, " | ")) }

// head adds the first row of a table. All columns but the first are aligned to the right.
func (p *page) head(cells ...string) {
	p.row(cells...)
	p.WriteString("|---|" + strings.Repeat("---:|", len(cells)-1) + "\n")
}

// markdown returns rs for people.
func (rs *results) markdown() []byte {
	var p page
	m := rs.Machine
	p.para("# Noria beside other rate limiters")
	p.para("Written by `make compare`; do not edit. %s, %s, %d cores, %s, %s. Rounds: %d, in %.0f s.",
		m.Date.Format("2006-01-02 15:04 MST"), m.CPU, m.Cores, m.OS, m.Go, rs.Rounds, rs.Took.Seconds())
	if rs.Quick {
		p.para("**A quick run: it shows that everything still runs. Its figures mean nothing.**")
	}
	p.para("Each figure is the median of the rounds, ± how far the furthest round is from it. Every round asks all candidates, " +
		"in another order each time, and ratios are of figures of the same round. Absolute times are this machine's; ratios travel better.")
	rs.writeTargets(&p)
	if len(rs.Remotes) > 0 {
		rs.writeServices(&p)
		rs.writeRemotes(&p)
	}
	if len(rs.Locals) > 0 {
		rs.writeLocals(&p)
	}
	rs.writeGrown(&p)
	rs.writeMachine(&p)
	return append(bytes.TrimRight(p.Bytes(), "\n"), '\n')
}

func (rs *results) writeTargets(p *page) {
	p.para("## Targets")
	p.head("target", "wanted", "measured", "met?")
	for _, v := range rs.Targets {
		p.row(v.Target, v.Bound, figure(v.Measured, v.Unit), map[string]string{"met": "yes", "missed": "**no**"}[v.Verdict])
	}
	p.gap()
}

func (rs *results) writeMachine(p *page) {
	p.para("## Versions")
	p.head("what", "version")
	for _, l := range rs.Machine.Libraries {
		p.row(l.Path, l.Version)
	}
	if rs.Redis != "" {
		p.row("Redis", rs.Redis)
	}
	p.gap()
	if len(rs.Skipped) > 0 {
		p.para("## Not measured")
		for _, s := range rs.Skipped {
			fmt.Fprintf(p, "- %s\n", strings.ReplaceAll(s, "\n", " "))
		}
	}
}

// figure returns the median of s in unit and its spread, "–" if there is none.
func figure(s samples, unit string) string {
	if len(s) == 0 {
		return "–"
	}
	text := number(s.median()) + unit
	if spread := s.spread(); len(s) > 1 && !math.IsNaN(spread) {
		text += fmt.Sprintf(" ±%.0f%%", 100*spread)
	}
	return text
}

// number returns v with three digits, or as a whole number if it has more.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a == 0:
		return "0"
	case a < 10:
		return fmt.Sprintf("%.2f", v)
	case a < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return grouped(fmt.Sprintf("%.0f", v))
}

// grouped returns a whole number with commas between its thousands.
func grouped(digits string) string {
	sign := ""
	if rest, ok := strings.CutPrefix(digits, "-"); ok {
		sign, digits = "-", rest
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}
