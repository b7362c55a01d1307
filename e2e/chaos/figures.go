package chaos

import (
	"cmp"
	"html/template"
	"math"
	"slices"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/e2e/oracle"
)

// columns is into how many pieces the time of a run is cut.
const columns = 120

// column returns the beginning of the i-th piece.
func (h *History) column(i int) time.Duration {
	return time.Duration(float64(h.Took) * float64(i) / columns)
}

// answersChart shows how many answers of which kind came when.
func (h *History) answersChart() template.HTML {
	var counts [columns][4]float64
	most := 1.0
	each := max(h.Took, time.Second).Seconds() / columns
	for i := range counts {
		for _, r := range h.between(h.column(i), h.column(i+1)) {
			counts[i][kindIndex(r)] += 1 / each
		}
		most = max(most, counts[i][0]+counts[i][1]+counts[i][2]+counts[i][3])
	}
	c := h.newChart(0, upper(most), false)
	for i, kinds := range counts {
		low := 0.0
		for kind, n := range kinds {
			c.bar([]string{"allowed", "denied", "degraded", "failed"}[kind], h.column(i), h.column(i+1), low, low+n)
			low += n
		}
	}
	return c.html()
}

// kindIndex returns which kind of answer r is: allowed, denied, degraded or failed.
func kindIndex(r Record) int {
	switch {
	case r.Outcome == Failed:
		return 3
	case r.Source == SourceDegraded:
		return 2
	case r.Outcome == Denied:
		return 1
	}
	return 0
}

// latencyChart shows how long answers took when.
func (h *History) latencyChart() template.HTML {
	var half, most []point
	top := 10.0
	for i := range columns {
		l := latencyOf(h.between(h.column(i), h.column(i+1)))
		if l.Answers == 0 {
			continue
		}
		at := (h.column(i) + h.column(i+1)) / 2
		half, most = append(half, point{at, l.P50}), append(most, point{at, l.P99})
		top = max(top, l.P99)
	}
	c := h.newChart(0.1, math.Pow(10, math.Ceil(math.Log10(top))), true)
	c.line("s-degraded", most, false)
	c.line("s-allowed", half, false)
	return c.html()
}

// keyChart shows how many tokens of the line's key were taken and not refilled, beside what it may be.
func (j *judge) keyChart(p Promise) template.HTML {
	limit := j.limitOf(p.key)
	taken := takenOf(limit.parsed, j.admitted[p.key], j.Took)
	burst := float64(limit.parsed.Burst)
	may, most := []point{{0, burst}}, burst
	slacks := slices.Clone(j.slack[p.key])
	slices.SortFunc(slacks, func(a, b oracle.Slack) int { return cmp.Compare(a.From, b.From) })
	for _, s := range slacks {
		may = append(may, point{s.From, may[len(may)-1].value + float64(s.Tokens)})
	}
	for _, t := range taken {
		most = max(most, t.value)
	}
	most = max(most, min(may[len(may)-1].value, 3*most))
	c := j.newChart(0, upper(most), false)
	c.line("s-bound", []point{{0, burst}, {j.Took, burst}}, false)
	if len(slacks) > 0 {
		c.line("s-slack", append(may, point{j.Took, may[len(may)-1].value}), true)
	}
	c.line("s-allowed", taken, false)
	return c.html()
}

// takenOf returns how many tokens of an ideal bucket would be taken and not refilled after each admission, and before the
// next one.
func takenOf(l bucket.Limit, admissions []oracle.Admission, end time.Duration) []point {
	byReturn := slices.SortedFunc(slices.Values(admissions), func(a, b oracle.Admission) int { return cmp.Compare(a.Returned, b.Returned) })
	rate := 0.0
	if l.Per > 0 {
		rate = float64(l.Tokens) / l.Per.Seconds()
	}
	points := []point{{0, 0}}
	pass := func(to time.Duration) float64 {
		last := points[len(points)-1]
		empty := last.at + time.Duration(1e9*last.value/max(rate, 1e-9))
		if rate > 0 && empty < to {
			points = append(points, point{empty, 0})
		}
		level := max(0, last.value-rate*(to-last.at).Seconds())
		points = append(points, point{to, level})
		return level
	}
	for _, a := range byReturn {
		level := pass(a.Returned)
		points = append(points, point{a.Returned, level + float64(a.Cost)})
	}
	pass(max(end, points[len(points)-1].at))
	return points
}

// upper returns a round value above most, with a little room.
func upper(most float64) float64 {
	step := roundStep(most * 1.05 / 4)
	return math.Ceil(most*1.05/step) * step
}
