package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/noriahq/noria/bucket/policy/strict"
	"github.com/noriahq/noria/e2e/chaos"
)

// watchChaos returns what keeps a line on the terminal about how a run goes, nil where there is no terminal.
func watchChaos(p *process) func(chaos.Progress) {
	if !isTerminal(p.stderr) {
		return nil
	}
	c := p.paint(p.stderr)
	var before int64
	var last time.Duration
	return func(now chaos.Progress) {
		answered := now.Allowed + now.Denied
		rate := int64(float64(answered-before) / max(0.001, (now.At-last).Seconds()))
		before, last = answered, now.At
		doing := ""
		if now.Doing != "" {
			doing = "  " + c.yellow(now.Doing)
		}
		failed := "failed " + count(now.Failed)
		if now.Failed > 0 {
			failed = c.red(failed)
		}
		fmt.Fprintf(p.stderr, "\r\x1b[K%4.0fs of %s  %s/s  allowed %s  denied %s  degraded %s  %s%s", now.At.Seconds(), strict.Short(now.Of),
			count(rate), count(now.Allowed), count(now.Denied), count(now.Degraded), failed, doing)
	}
}

// chaosText returns what prints v for people.
func chaosText(c paint, v chaos.Verdict) func(io.Writer) {
	return func(w io.Writer) {
		fmt.Fprintf(w, "%s requests in %.1f s over %s keys, seed %d: %s allowed, %s of them by leases, %s denied, %s degraded, %s failed\n\n", count(v.Requests.All), v.Seconds,
			count(v.Plan.Keys), v.Plan.Seed, count(v.Requests.Allowed), count(v.Requests.Leased), count(v.Requests.Denied), count(v.Requests.Degraded), count(v.Requests.Failed))
		rows := []string{row("PROMISE", "", "BOUND", "WORST SEEN", "KEY", "WINDOW", "VERDICT")}
		for _, p := range v.Promises {
			verdict := c.green("kept")
			if !p.Kept {
				verdict = c.red("BROKEN")
			}
			rows = append(rows, row(number(p.Number), p.Name, p.Bound, p.Seen, dash(p.Key), dash(p.Window), verdict))
		}
		table(w, rows...)
		if len(v.Faults) > 0 {
			fmt.Fprintln(w)
			table(w, faultRows(v.Faults)...)
		}
		for _, kind := range slices.Sorted(maps.Keys(v.Requests.Errors)) {
			fmt.Fprintf(w, "\n%s: %s\n", plural(int(v.Requests.Errors[kind]), "failed request"), kind)
		}
		for _, n := range v.Notes {
			fmt.Fprintf(w, "\nNote: %s\n", n)
		}
		for _, f := range v.Faults {
			if f.Note != "" {
				fmt.Fprintf(w, "\nNote on %s %s at %.1f s: %s\n", f.Kind, f.Node, f.At, f.Note)
			}
		}
		fmt.Fprintln(w)
		switch {
		case !v.Kept:
			fmt.Fprintln(w, c.red("A promise was broken."))
		case v.Stopped:
			fmt.Fprintln(w, c.yellow("No promise was broken until the run was stopped."))
		default:
			fmt.Fprintln(w, c.green("All promises were kept."))
		}
	}
}

// faultRows returns a table of what clients felt of faults.
func faultRows(faults []chaos.FaultReport) []string {
	rows := []string{row("FAULT", "NODE", "AT", "TOOK", "AGREED AFTER", "DEGRADED", "FROM", "TO", "FAILED", "P50 BEFORE", "DURING", "P99 BEFORE", "DURING")}
	after := func(s *float64) string {
		if s == nil {
			return "-"
		}
		return fmt.Sprintf("%.2fs", *s)
	}
	ms := func(l chaos.Latency, value float64) string {
		if l.Answers == 0 {
			return "-"
		}
		return fmt.Sprintf("%.1fms", value)
	}
	for _, f := range faults {
		rows = append(rows, row(f.Kind, dash(f.Node), fmt.Sprintf("%.1fs", f.At), fmt.Sprintf("%.2fs", f.Took), after(f.Agreed), count(f.Degraded),
			after(f.First), after(f.Last), count(f.Failed), ms(f.Before, f.Before.P50), ms(f.During, f.During.P50), ms(f.Before, f.Before.P99), ms(f.During, f.During.P99)))
	}
	return rows
}

// number returns the number of a promise, a dash where it has none.
func number(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// dash returns s, or a dash for nothing.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
