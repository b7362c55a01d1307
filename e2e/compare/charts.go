package main

import (
	"cmp"
	"slices"
	"strings"
)

// A barChart has a row for each thing that is compared, and in it a bar for each series.
type barChart struct {
	title, note string
	series      []string // what the bars of a row are, if there are several
	rows        []barRow
	unit        string
}

// A barRow is one thing and its values.
type barRow struct {
	name   string
	values []float64
	ours   bool
}

// Measures of charts in pixels. Text of 12 pixels is some 6.5 wide a character.
const (
	chartWidth  = 760
	letterWidth = 6.4
	chartTop    = 66
	barHeight   = 13
	rowGap      = 10
)

// draw returns c as a picture.
func (c barChart) draw() []byte {
	names, values := 0, []float64{}
	for _, r := range c.rows {
		names = max(names, len(r.name))
		values = append(values, r.values...)
	}
	rowHeight := float64(barHeight*max(len(c.series), 1)) + rowGap
	left := float64(names)*letterWidth + 28
	bottom := chartTop + rowHeight*float64(len(c.rows))
	x := newAxis(values, left, chartWidth-90)
	s := newSVG(chartWidth, bottom+40, c.title, c.note+logNote(x))
	for _, v := range x.ticks() {
		s.rule(x.at(v), chartTop-6, x.at(v), bottom, "grid")
		s.text(x.at(v), bottom+16, "soft", "middle", amount(v, c.unit))
	}
	for i, r := range c.rows {
		y := chartTop + rowHeight*float64(i)
		class := map[bool]string{true: "noria", false: "other"}[r.ours]
		s.text(left-10, y+(rowHeight-rowGap)/2+3, map[bool]string{true: "strong", false: ""}[r.ours], "end", r.name)
		for k, v := range r.values {
			at, shade := y+float64(barHeight*k), class
			if k > 0 {
				shade += " pale"
			}
			s.bar(left, at, max(x.at(v)-left, 1), barHeight-2, shade)
			label := amount(v, c.unit)
			if len(c.series) > 0 && i == 0 {
				label = c.series[k] + " " + label
			}
			s.text(x.at(v)+6, at+barHeight-3, "", "start", label)
		}
	}
	return s.done()
}

// logNote says that an axis is logarithmic, if it is.
func logNote(a axis) string {
	if a.log {
		return " Logarithmic scale."
	}
	return ""
}

// A lineChart has a line for each series.
type lineChart struct {
	title, note string
	xName       string // of what goes to the right
	unit        string
	lines       []lineSeries
}

// A lineSeries is a line and its name, which stands at its end.
type lineSeries struct {
	name   string
	points []point
}

// Measures of a lineChart in pixels.
const (
	lineHeight = 260
	nameHeight = 15
)

// draw returns c as a picture.
func (c lineChart) draw() []byte {
	var xs, ys []float64
	names := 0
	for _, l := range c.lines {
		names = max(names, len([]rune(l.name)))
		for _, p := range l.points {
			xs, ys = append(xs, p.x), append(ys, p.y)
		}
	}
	right := chartWidth - float64(names)*letterWidth - 24
	bottom := float64(chartTop + lineHeight)
	x, y := newAxis(xs, 60, right), newAxis(ys, bottom, chartTop)
	if len(xs) > 0 && slices.Min(xs) < slices.Max(xs) {
		x.low, x.high = slices.Min(xs), slices.Max(xs)
	}
	s := newSVG(chartWidth, bottom+48, c.title, c.note+logNote(y))
	for _, v := range y.ticks() {
		s.rule(60, y.at(v), right, y.at(v), "grid")
		s.text(54, y.at(v)+4, "soft", "end", amount(v, c.unit))
	}
	marks := slices.Compact(slices.Sorted(slices.Values(xs)))
	for _, v := range marks {
		s.rule(x.at(v), bottom, x.at(v), bottom+4, "axis")
		s.text(x.at(v), bottom+18, "soft", "middle", short(v))
	}
	s.rule(60, bottom, right, bottom, "axis")
	s.text((60+right)/2, bottom+38, "soft", "middle", c.xName)
	c.drawLines(s, x, y)
	return s.done()
}

// drawLines adds the lines, and their names at their ends, moved apart where they would touch.
func (c lineChart) drawLines(s *svg, x, y axis) {
	type end struct {
		at    point
		class string
		name  string
	}
	var ends []end
	for i, l := range c.lines {
		class := "s" + string(rune('0'+i%4))
		var path []point
		for _, p := range l.points {
			path = append(path, point{x.at(p.x), y.at(p.y)})
		}
		if len(path) == 0 {
			continue
		}
		s.path(path, class+" line")
		for _, p := range path {
			s.dot(p.x, p.y, class)
		}
		ends = append(ends, end{path[len(path)-1], class + " name", l.name})
	}
	slices.SortFunc(ends, func(a, b end) int { return cmp.Compare(a.at.y, b.at.y) })
	for i := range ends {
		if i > 0 {
			ends[i].at.y = max(ends[i].at.y, ends[i-1].at.y+nameHeight)
		}
	}
	for i := len(ends) - 1; i >= 0; i-- { // the lowest ones may not leave the chart
		lowest := y.from - float64(len(ends)-1-i)*nameHeight
		ends[i].at.y = min(ends[i].at.y, lowest)
	}
	for _, e := range ends {
		s.text(e.at.x+9, e.at.y+4, e.class, "start", e.name)
	}
}

// isOurs says whether a row is one of Noria's.
func isOurs(name string) bool { return strings.HasPrefix(name, "Noria") }
