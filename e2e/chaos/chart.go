package chaos

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"
)

// A chart is a picture over the time of a run, in SVG.
type chart struct {
	out  strings.Builder
	took time.Duration
	top  float64 // the value at the upper edge
	low  float64 // the value at the lower edge
	log  bool
}

// The sizes of a chart, in its own units.
const (
	wide, high          = 960.0, 230.0
	left, right         = 46.0, 10.0
	above, below        = 26.0, 24.0
	innerWide, innerTop = wide - left - right, above
	floor               = high - below
)

// newChart returns a chart from low to top, with its axes and the faults of h.
func (h *History) newChart(low, top float64, logarithmic bool) *chart {
	c := &chart{took: max(h.Took, time.Second), low: low, top: top, log: logarithmic}
	c.printf(`<svg viewBox="0 0 %g %g" role="img">`, wide, high)
	c.valueAxis()
	c.timeAxis()
	c.faults(h.Faults)
	return c
}

// printf adds to the picture.
func (c *chart) printf(format string, args ...any) { fmt.Fprintf(&c.out, format, args...) }

// html ends the picture and returns it. All that is in it are numbers, our own words and escaped names.
func (c *chart) html() template.HTML { return template.HTML(c.out.String() + "</svg>") } //nolint:gosec // as said

// x returns where a time is.
func (c *chart) x(t time.Duration) float64 {
	return left + innerWide*min(1, max(0, t.Seconds()/c.took.Seconds()))
}

// y returns where a value is.
func (c *chart) y(value float64) float64 {
	low, top := c.low, c.top
	if c.log {
		value, low, top = math.Log10(max(value, c.low)), math.Log10(c.low), math.Log10(c.top)
	}
	return floor - (floor-innerTop)*min(1, max(0, (value-low)/(top-low)))
}

// valueAxis draws lines at round values.
func (c *chart) valueAxis() {
	draw := func(v float64) {
		c.printf(`<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text x="%g" y="%.1f" text-anchor="end">%g</text>`,
			left, wide-right, c.y(v), c.y(v), left-6, c.y(v)+4, v)
	}
	if c.log {
		for v := c.low; v <= c.top*1.001; v *= 10 {
			draw(math.Round(v*1000) / 1000)
		}
		return
	}
	step := roundStep(c.top / 4)
	for v := 0.0; v <= c.top*1.001; v += step {
		draw(v)
	}
}

// timeAxis writes seconds.
func (c *chart) timeAxis() {
	step := max(1, roundStep(c.took.Seconds()/10))
	for s := 0.0; s <= c.took.Seconds(); s += step {
		c.printf(`<text x="%.1f" y="%g" text-anchor="middle">%g s</text>`, c.x(time.Duration(s*1e9)), high-6, s)
	}
}

// faults marks what was done when. Names that would lie on each other take turns on two lines, and where that does not
// help they are left to the tip of the mark.
func (c *chart) faults(all []Fault) {
	var ends [2]float64
	for _, f := range all {
		from, to := c.x(f.Began), c.x(max(f.Over, f.Calm, f.Down))
		label := template.HTMLEscapeString(strings.TrimSpace(f.Kind + " " + f.Node))
		c.printf(`<g><title>%s, %s to %s</title><rect class="mark" x="%.1f" y="%g" width="%.1f" height="%g"/><line class="edge" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/></g>`,
			label, brief(f.Began), brief(max(f.Over, f.Calm, f.Down)), from, innerTop, max(1, to-from), floor-innerTop, from, from, innerTop, floor)
		for line, end := range ends {
			if end < from {
				at := min(from, wide-right-6*float64(len(label)))
				c.printf(`<text class="name" x="%.1f" y="%g">%s</text>`, at, 11+12*float64(line), label)
				ends[line] = at + 6*float64(len(label)) + 8
				break
			}
		}
	}
}

// A point is a value at a time.
type point struct {
	at    time.Duration
	value float64
}

// line draws points, joined straight or by steps.
func (c *chart) line(class string, points []point, stepped bool) {
	if len(points) == 0 {
		return
	}
	c.printf(`<polyline class="line %s" points="`, class)
	for i, p := range points {
		if stepped && i > 0 {
			c.printf("%.1f,%.1f ", c.x(p.at), c.y(points[i-1].value))
		}
		c.printf("%.1f,%.1f ", c.x(p.at), c.y(p.value))
	}
	c.printf(`"/>`)
}

// bar draws a bar from one value to another, over a span of time.
func (c *chart) bar(class string, from, to time.Duration, low, top float64) {
	if top > low {
		c.printf(`<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, class, c.x(from), c.y(top), max(0.5, c.x(to)-c.x(from)-0.6), c.y(low)-c.y(top))
	}
}

// roundStep returns the smallest of 1, 2 and 5 times a power of ten that is not below least.
func roundStep(least float64) float64 {
	if least <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= least*0.999 {
			return m * power
		}
	}
	return 10 * power
}
