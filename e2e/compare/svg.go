package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// An svg is a picture under construction: self-contained, on a card of its own, which is light or dark as the reader's
// system is.
type svg struct {
	bytes.Buffer
	width, height float64
}

// svgStyle says how all pictures look.
const svgStyle = `<style>
text{font:12px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#1f2937}
.title{font-size:15px;font-weight:600}.soft{fill:#64748b}.strong{font-weight:600}
.card{fill:#ffffff;stroke:#e2e8f0}.grid{stroke:#e2e8f0}.axis{stroke:#94a3b8}
.s0{fill:#0f766e;stroke:#0f766e}.s1{fill:#c2410c;stroke:#c2410c}.s2{fill:#2563eb;stroke:#2563eb}.s3{fill:#7c3aed;stroke:#7c3aed}
.other{fill:#94a3b8}.noria{fill:#0f766e}.pale{fill-opacity:.45}.line{fill:none;stroke-width:2}.name{stroke:none}
@media (prefers-color-scheme:dark){text{fill:#e5e7eb}.soft{fill:#94a3b8}.card{fill:#0f172a;stroke:#334155}.grid{stroke:#273449}
.s0{fill:#2dd4bf;stroke:#2dd4bf}.s1{fill:#fb923c;stroke:#fb923c}.s2{fill:#60a5fa;stroke:#60a5fa}.s3{fill:#c084fc;stroke:#c084fc}
.other{fill:#64748b}.noria{fill:#2dd4bf}.line{fill:none}.name{stroke:none}}
</style>
`

// newSVG begins a picture.
func newSVG(width, height float64, title, note string) *svg {
	s := &svg{width: width, height: height}
	fmt.Fprintf(s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%s" height="%s" role="img">`+"\n",
		px(width), px(height), px(width), px(height))
	fmt.Fprintf(s, "<title>%s</title>\n%s", html.EscapeString(title), svgStyle)
	fmt.Fprintf(s, `<rect class="card" x="0.5" y="0.5" width="%s" height="%s" rx="6"/>`+"\n", px(width-1), px(height-1))
	s.text(16, 26, "title", "start", title)
	s.text(16, 44, "soft", "start", note)
	return s
}

// px returns a length in pixels, to a tenth.
func px(v float64) string { return strconv.FormatFloat(math.Round(10*v)/10, 'f', -1, 64) }

// text adds text of a class; anchor is start, middle or end.
func (s *svg) text(x, y float64, class, anchor, text string) {
	fmt.Fprintf(s, `<text x="%s" y="%s" class="%s" text-anchor="%s">%s</text>`+"\n", px(x), px(y), class, anchor, html.EscapeString(text))
}

// rule adds a straight line.
func (s *svg) rule(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(s, `<line x1="%s" y1="%s" x2="%s" y2="%s" class="%s"/>`+"\n", px(x1), px(y1), px(x2), px(y2), class)
}

// bar adds a rectangle.
func (s *svg) bar(x, y, width, height float64, class string) {
	fmt.Fprintf(s, `<rect x="%s" y="%s" width="%s" height="%s" rx="2" class="%s"/>`+"\n", px(x), px(y), px(width), px(height), class)
}

// dot adds a circle.
func (s *svg) dot(x, y float64, class string) {
	fmt.Fprintf(s, `<circle cx="%s" cy="%s" r="3.5" class="%s"/>`+"\n", px(x), px(y), class)
}

// path adds a line through points.
func (s *svg) path(points []point, class string) {
	var d []string
	for i, p := range points {
		d = append(d, map[bool]string{true: "M", false: "L"}[i == 0]+px(p.x)+" "+px(p.y))
	}
	fmt.Fprintf(s, `<path d="%s" class="%s"/>`+"\n", strings.Join(d, " "), class)
}

// done ends the picture and returns it.
func (s *svg) done() []byte {
	s.WriteString("</svg>\n")
	return s.Bytes()
}

// A point is a place in a picture, or the values that belong there.
type point struct{ x, y float64 }

// An axis maps values to pixels.
type axis struct {
	low, high float64 // values at the ends
	from, to  float64 // pixels there
	log       bool
}

// decades is how much larger than the smallest value the largest is where an axis becomes logarithmic.
const decades = 12

// manyDecades is the same for an axis that goes from one power of ten to another and marks nothing between.
const manyDecades = 500

// newAxis returns an axis for values; it begins at 0 or, if it is logarithmic, at a power of ten or half of one.
func newAxis(values []float64, from, to float64) axis {
	low, high := math.Inf(1), 0.0
	for _, v := range values {
		if v > 0 {
			low, high = min(low, v), max(high, v)
		}
	}
	if high == 0 {
		return axis{low: 0, high: 1, from: from, to: to}
	}
	if high/low < decades {
		step := tickStep(high)
		return axis{low: 0, high: math.Ceil(high/step) * step, from: from, to: to}
	}
	a := axis{low: below(low), high: above(high), from: from, to: to, log: true}
	if a.high/a.low >= manyDecades {
		a.low, a.high = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
	}
	return a
}

// below returns the next 1, 2 or 5 times a power of ten that is less than v.
func below(v float64) float64 {
	ten := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{5, 2, 1} {
		if f*ten < v*0.999 {
			return f * ten
		}
	}
	return ten / 2
}

// above returns the next 1, 2 or 5 times a power of ten that is not less than v.
func above(v float64) float64 {
	ten := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 5} {
		if f*ten >= v*0.999 {
			return f * ten
		}
	}
	return 10 * ten
}

// tickStep returns a round step of which some four make high.
func tickStep(high float64) float64 { return above(high / 5) }

// at returns the pixel of v.
func (a axis) at(v float64) float64 {
	part := (v - a.low) / (a.high - a.low)
	if a.log {
		part = math.Log(v/a.low) / math.Log(a.high/a.low)
	}
	return a.from + (a.to-a.from)*min(max(part, 0), 1)
}

// ticks returns the values that are marked.
func (a axis) ticks() []float64 {
	var marks []float64
	if !a.log {
		step := tickStep(a.high)
		for i := 0; float64(i)*step <= a.high*1.001; i++ {
			marks = append(marks, float64(i)*step)
		}
		return marks
	}
	factors := []float64{1}
	if a.high/a.low < manyDecades {
		factors = []float64{1, 2, 5}
	}
	for ten := math.Pow(10, math.Floor(math.Log10(a.low))); ten <= a.high*1.001; ten *= 10 {
		for _, f := range factors {
			if v := f * ten; v >= a.low*0.999 && v <= a.high*1.001 {
				marks = append(marks, v)
			}
		}
	}
	return marks
}

// larger are the units that stand for a thousand of others.
func larger(unit string) string {
	return map[string]string{" ns": " µs", " µs": " ms", " B": " kB"}[unit]
}

// amount returns v in unit, or in the larger one.
func amount(v float64, unit string) string {
	if l := larger(unit); l != "" && v >= 999.5 {
		return amount(v/1000, l)
	}
	return short(v) + unit
}

// short returns v with two or three digits and k or M for thousands and millions.
func short(v float64) string {
	switch {
	case v >= 999_500:
		return digits(v/1e6) + "M"
	case v >= 999.5:
		return digits(v/1e3) + "k"
	}
	return digits(v)
}

func digits(v float64) string {
	places := 0
	switch {
	case v == 0:
	case v < 0.995:
		places = 2
	case v < 9.95:
		places = 1
	}
	text := strconv.FormatFloat(v, 'f', places, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
