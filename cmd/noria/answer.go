package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport/noriapb"
)

// An answer is a decision as the HTTP API writes it.
type answer struct {
	Allowed      bool   `json:"allowed"`
	Limit        string `json:"limit"`
	Remaining    int64  `json:"remaining"`
	RetryAfterMS int64  `json:"retry_after_ms"`
	ResetAfterMS int64  `json:"reset_after_ms"`
	Node         string `json:"node"`
	Source       string `json:"source"`
	DeniedBy     string `json:"denied_by"`
	DelayMS      int64  `json:"delay_ms,omitempty"`

	Checks []answer `json:"checks,omitempty"` // one for each check, if there were several
}

// answerJSON returns a, the answer on checks.
func answerJSON(checks []*noriapb.CheckRequest, a *noriapb.CheckAllResponse) answer {
	all := make([]answer, len(a.GetChecks()))
	main := 0
	for i, c := range a.GetChecks() {
		all[i] = oneAnswer(checks[i], c)
		if all[main].Allowed && (!c.GetAllowed() || c.GetRemaining() < all[main].Remaining) {
			main = i
		}
	}
	if len(all) == 0 {
		return answer{Allowed: a.GetAllowed(), DeniedBy: a.GetDeniedBy()}
	}
	whole := all[main]
	whole.Allowed, whole.DeniedBy = a.GetAllowed(), a.GetDeniedBy()
	whole.RetryAfterMS, whole.DelayMS = millis(nanos(a.GetRetryAfterNs())), millis(nanos(a.GetDelayNs()))
	if len(all) > 1 {
		whole.Checks = all
	}
	return whole
}

// oneAnswer returns the decision on one check.
func oneAnswer(q *noriapb.CheckRequest, c *noriapb.CheckResponse) answer {
	a := answer{
		Allowed: c.GetAllowed(), Limit: q.GetLimit(), Remaining: c.GetRemaining(), Node: c.GetNode(), Source: sourceOf(c),
		RetryAfterMS: millis(nanos(c.GetRetryAfterNs())), ResetAfterMS: millis(nanos(c.GetResetAfterNs())),
		DelayMS: millis(nanos(c.GetDelayNs())),
	}
	if !a.Allowed {
		a.DeniedBy = q.GetKey()
	}
	return a
}

// sourceOf returns the word for who decided.
func sourceOf(c *noriapb.CheckResponse) string {
	return strings.ToLower(strings.TrimPrefix(c.GetSource().String(), "SOURCE_"))
}

// millis returns d in milliseconds, rounded up; -1 for never.
func millis(d time.Duration) int64 {
	if d == bucket.Never {
		return -1
	}
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// answerText returns what prints a, the answer on checks, for people.
func answerText(c paint, checks []*noriapb.CheckRequest, a *noriapb.CheckAllResponse) func(io.Writer) {
	return func(w io.Writer) {
		verdict := c.green("allowed")
		if !a.GetAllowed() {
			verdict = c.red("denied")
		}
		if len(checks) == 1 {
			one := a.GetChecks()[0]
			fmt.Fprintln(w, verdict)
			table(w, facts(one)...)
			return
		}
		if !a.GetAllowed() {
			verdict += " by " + a.GetDeniedBy() + ", nothing was taken"
		}
		fmt.Fprintln(w, verdict)
		rows := []string{row("  KEY", "LIMIT", "ALLOWED", "REMAINING", "RETRY AFTER", "NODE", "SOURCE")}
		for i, one := range a.GetChecks() {
			rows = append(rows, row("  "+checks[i].GetKey(), checks[i].GetLimit(), yes(one.GetAllowed()), count(one.GetRemaining()),
				lasting(nanos(one.GetRetryAfterNs())), one.GetNode(), sourceOf(one)))
		}
		table(w, rows...)
	}
}

// facts returns what is to be said of one decision.
func facts(c *noriapb.CheckResponse) []string {
	rows := []string{row("  remaining", count(c.GetRemaining()))}
	if !c.GetAllowed() {
		rows = append(rows, row("  retry after", lasting(nanos(c.GetRetryAfterNs()))))
	}
	if d := nanos(c.GetDelayNs()); d > 0 {
		rows = append(rows, row("  wait first", lasting(d)))
	}
	return append(rows,
		row("  full after", lasting(nanos(c.GetResetAfterNs()))),
		row("  node", c.GetNode()),
		row("  source", sourceOf(c)))
}

// yes returns yes or no.
func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
