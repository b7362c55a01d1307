package chaos

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/noriahq/noria/e2e/oracle"
)

// A judge looks at a history.
type judge struct {
	*History
	admitted [][]oracle.Admission // by key; without what on_lost: allow admitted
	slack    [][]oracle.Slack     // by key
}

// newJudge returns the judge of h.
func newJudge(h *History) *judge {
	j := &judge{History: h, admitted: make([][]oracle.Admission, h.Plan.Keys), slack: make([][]oracle.Slack, h.Plan.Keys)}
	for _, r := range h.Records {
		if r.Outcome != Allowed || r.Source == SourceDegraded && h.limitOf(int(r.Key)).OnLost == "allow" {
			continue
		}
		j.admitted[r.Key] = append(j.admitted[r.Key], oracle.Admission{Called: r.Called, Returned: r.Returned, Cost: int64(r.Cost)})
	}
	for key, a := range j.admitted {
		j.slack[key] = h.slacks(key, a)
	}
	return j
}

// A place is where a window has to lie.
type place struct {
	inside   oracle.Span  // it begins and ends in it
	touching *oracle.Span // it shares a moment with it; nil for any
}

// forever ends after any run.
const forever = time.Duration(1 << 60)

// limits returns the lines about limits: one of windows that touch no fault, one for each kind of faults of windows that
// touch only such, and one of all windows.
func (j *judge) limits() []Promise {
	steady := Promise{Number: 1, Name: "steady: B + r*t"}
	var calm []place
	for _, gap := range j.gaps(func(Fault) bool { return true }) {
		calm = append(calm, place{inside: gap})
	}
	j.worst(&steady, calm)
	lines := []Promise{steady}
	for _, kind := range []Promise{
		{Number: 2, Name: "join, leave, rolling restart: B + r*t"},
		{Number: 3, Name: "kill: B + r*t + lost"},
		{Number: 4, Name: "pause, cut, slow: B + r*t + split"},
	} {
		if places := j.places(kind.Number); len(places) > 0 {
			j.worst(&kind, places)
			lines = append(lines, kind)
		}
	}
	if len(j.Faults) > 0 {
		all := Promise{Name: "all faults together"}
		j.worst(&all, []place{{inside: oracle.Span{To: forever}}})
		lines = append(lines, all)
	}
	return lines
}

// places returns where windows lie that touch faults of the promise and no others.
func (j *judge) places(number int) []place {
	gaps := j.gaps(func(f Fault) bool { return promiseOf(f.Kind) != number })
	var places []place
	for _, f := range j.Faults {
		if promiseOf(f.Kind) != number {
			continue
		}
		span := spanOf(f)
		for _, gap := range gaps {
			if gap.From <= span.To && gap.To >= span.From {
				places = append(places, place{gap, &span})
			}
		}
	}
	return places
}

// gaps returns the times without those faults that which likes.
func (j *judge) gaps(which func(Fault) bool) []oracle.Span {
	var gaps []oracle.Span
	from := time.Duration(0)
	for _, f := range j.Faults {
		if !which(f) {
			continue
		}
		span := spanOf(f)
		if span.From > from {
			gaps = append(gaps, oracle.Span{From: from, To: span.From - 1})
		}
		from = max(from, span.To+1)
	}
	return append(gaps, oracle.Span{From: from, To: forever})
}

// worst completes a line with the window of any key that lies in one of places and comes nearest to breaking its limit, or
// breaks it most.
func (j *judge) worst(line *Promise, places []place) {
	var mu sync.Mutex
	most, broken := int64(0), 0
	line.Kept = true
	var g sync.WaitGroup
	lanes := max(1, runtime.GOMAXPROCS(0))
	for lane := range lanes {
		g.Go(func() {
			for key := lane; key < len(j.admitted); key += lanes {
				w, over, ok := j.worstOf(key, places)
				if !ok {
					continue
				}
				mu.Lock()
				if over > 0 {
					broken++
				}
				if !line.judged || over > most || over == most && key < line.key {
					line.judged, most, line.key, line.worst = true, over, key, w
				}
				mu.Unlock()
			}
		})
	}
	g.Wait()
	if line.judged {
		j.describe(line, most, broken)
	} else {
		line.Bound, line.Seen = "-", "no request was admitted"
	}
}

// worstOf returns the worst window of a key in places, and by how much it is over its bound.
func (j *judge) worstOf(key int, places []place) (worst oracle.Window, over int64, found bool) {
	limit := j.limitOf(key).parsed
	for _, p := range places {
		admissions := within(j.admitted[key], p.inside)
		w, ok := oracle.WorstOf(limit, admissions, j.slack[key], p.touching)
		if ok && (!found || w.Over(limit) > over) {
			worst, over, found = w, w.Over(limit), true
		}
	}
	return worst, over, found
}

// within returns the admissions that were called and had returned in the span.
func within(all []oracle.Admission, s oracle.Span) []oracle.Admission {
	var some []oracle.Admission
	for _, a := range all {
		if a.Called >= s.From && a.Returned <= s.To {
			some = append(some, a)
		}
	}
	return some
}

// describe says in words what the line found.
func (j *judge) describe(line *Promise, over int64, broken int) {
	l, w := j.limitOf(line.key), line.worst
	line.Kept = over <= 0
	line.Key = keyName(line.key)
	line.Window = fmt.Sprintf("%s from %s on", brief(w.To-w.From), brief(w.From))
	line.Bound = plural(int(w.Cost-over), "token")
	line.Seen = fmt.Sprintf("%d of %s%s", w.Cost, l.Limit, options(l))
	if broken > 0 {
		line.Seen += fmt.Sprintf(", %d too many; %s", over, plural(broken, "key"))
	}
}
