package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/noriahq/noria/e2e/oracle"
)

// A Verdict says which promises were kept.
type Verdict struct {
	Kept     bool          `json:"kept"`    // all that were judged
	Stopped  bool          `json:"stopped"` // before the plan's end
	Seconds  float64       `json:"seconds"`
	Requests Tally         `json:"requests"`
	Promises []Promise     `json:"promises"`
	Faults   []FaultReport `json:"faults"`
	Notes    []string      `json:"notes,omitempty"`
	Plan     Plan          `json:"plan"`
}

// A Tally is how requests ended.
type Tally struct {
	All      int              `json:"all"`
	Allowed  int              `json:"allowed"`
	Denied   int              `json:"denied"`
	Leased   int              `json:"leased"`   // of those allowed: by what a holder had lent
	Degraded int              `json:"degraded"` // of those allowed or denied
	Failed   int              `json:"failed"`
	Skipped  int64            `json:"skipped"` // due, and not started in time
	Errors   map[string]int64 `json:"errors,omitempty"`
	Latency  Latency          `json:"latency"`
}

// A Promise is one line of the verdict.
type Promise struct {
	Number int    `json:"promise"` // of DESIGN, 0 for none of them
	Name   string `json:"name"`
	Bound  string `json:"bound"`
	Seen   string `json:"seen"`
	Key    string `json:"key,omitempty"`
	Window string `json:"window,omitempty"`
	Kept   bool   `json:"kept"`

	key    int           // index, of a limit's line
	worst  oracle.Window // likewise
	judged bool          // something was there to be judged
}

// Judge says which promises the history kept.
func Judge(h *History) Verdict {
	h = h.withSlow()
	j := newJudge(h)
	v := Verdict{
		Kept: true, Stopped: h.Stopped, Seconds: h.Took.Seconds(), Requests: tallyOf(h), Plan: h.Plan, Notes: h.Notes,
		Faults: faultReports(h),
	}
	v.Promises = append(v.Promises, j.limits()...)
	v.Promises = append(v.Promises, j.answers(v.Faults)...)
	slices.SortStableFunc(v.Promises, func(a, b Promise) int { return cmp.Compare(uint(a.Number-1), uint(b.Number-1)) }) // 0 comes last
	for i := range v.Promises {
		v.Kept = v.Kept && v.Promises[i].Kept
	}
	if h.Stolen > 0.02 {
		v.Notes = append(v.Notes, fmt.Sprintf("the host of this virtual machine gave %.0f%% of its processors' time to others, and at %s a quarter or more", 100*h.Stolen, plural(len(h.Withheld), "time")))
	}
	if h.Late > 100*time.Millisecond {
		v.Notes = append(v.Notes, fmt.Sprintf("this machine's clocks were up to %v late: it has too much to do, and what takes long here may be its fault", h.Late.Round(time.Millisecond)))
	}
	return v
}

// options returns what l says beside the limit, for a person.
func options(l Limit) string {
	var words []string
	for _, w := range []string{l.Durability, l.OnLost} {
		if w != "" {
			words = append(words, w)
		}
	}
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, ", ") + ")"
}

// brief returns d rounded to what a person reads.
func brief(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// plural returns n and word, which takes an s.
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
