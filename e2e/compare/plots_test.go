package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"runtime/metrics"
	"testing"
	"time"
)

// Pictures have bars, lines, axes with units and names that do not touch.
func TestPictures(t *testing.T) {
	for file, picture := range map[string][]byte{
		"bars.svg": barChart{
			title: "How long a check takes", note: "A <note> & more.", unit: " µs", series: []string{"p50", "p99"},
			rows: []barRow{{"Noria", []float64{12, 340}, true}, {"another", []float64{2100, 7300}, false}},
		}.draw(),
		"percent.svg": barChart{
			title: "Admitted", unit: " %",
			rows: []barRow{{"Noria", []float64{99.5}, true}, {"another", []float64{300}, false}, {"nobody", []float64{0}, false}},
		}.draw(),
		"lines.svg": lineChart{
			title: "As keys grow", note: "One goroutine.", unit: " ns", xName: "keys",
			lines: []lineSeries{
				{"one", []point{{1000, 90}, {1e6, 500}, {1e7, 2000}}},
				{"two", []point{{1000, 95}, {1e6, 510}, {1e7, 2010}}},
				{"none", nil},
			},
		}.draw(),
	} {
		wellFormed(t, file, picture)
		golden(t, file, picture)
	}
}

func wellFormed(t *testing.T, file string, picture []byte) {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(picture)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
}

// Every picture of a run is well-formed, and the page shows each.
func TestPlots(t *testing.T) {
	rs := sampleRun().results
	page := rs.markdown()
	if len(rs.plots()) < 8 {
		t.Errorf("%d pictures", len(rs.plots()))
	}
	for _, p := range rs.plots() {
		wellFormed(t, p.file, p.draw())
		if !bytes.Contains(page, []byte("("+plotsDir+"/"+p.file+")")) {
			t.Errorf("the page does not show %s", p.file)
		}
	}
}

// An axis holds all values, has round marks, and is logarithmic where values are far apart.
func TestAxis(t *testing.T) {
	for _, c := range []struct {
		values    []float64
		low, high float64
		log       bool
	}{
		{[]float64{0, 99.5}, 0, 100, false},
		{[]float64{3, 30}, 0, 30, false},
		{[]float64{12, 7300}, 10, 10_000, true},
		{[]float64{10, 1000}, 5, 1000, true},
		{[]float64{2200, 3_300_000}, 1000, 10_000_000, true},
		{nil, 0, 1, false},
	} {
		a := newAxis(c.values, 0, 100)
		if a.low != c.low || math.Abs(a.high-c.high) > 1e-9 || a.log != c.log {
			t.Errorf("axis of %v is %g to %g, logarithmic: %v; want %g to %g, %v", c.values, a.low, a.high, a.log, c.low, c.high, c.log)
		}
		if marks := a.ticks(); len(marks) < 2 || len(marks) > 12 {
			t.Errorf("axis of %v has marks at %v", c.values, marks)
		}
	}
}

// Values are short.
func TestShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.456: "0.46", 2: "2", 7.26: "7.3", 15.2: "15", 999.6: "1k", 82_135: "82k", 1_540_000: "1.5M"} {
		if got := short(v); got != want {
			t.Errorf("short(%g) = %q, want %q", v, got, want)
		}
	}
}

// Thousands are in the larger unit, if there is one.
func TestAmount(t *testing.T) {
	for _, c := range []struct {
		v          float64
		unit, want string
	}{
		{0.26, " µs", "0.26 µs"},
		{12_345, " µs", "12 ms"},
		{2_000_000, " ns", "2 ms"},
		{7400, " B", "7.4 kB"},
		{82_135, "", "82k"},
	} {
		if got := amount(c.v, c.unit); got != c.want {
			t.Errorf("amount(%g, %q) = %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

// What more keys take is told from fewer in proportion, but where those are so few that their number hardly counts, and where the
// others are left out from then on.
func TestNextTime(t *testing.T) {
	for _, c := range []struct {
		keys, next int
		want       time.Duration
	}{
		{1000, 10_000, time.Second},
		{100_000, 1_000_000, 10 * time.Second},
		{500_000, 1_000_000, 2 * time.Second},
		{1_000_000, 10_000_000, 2 * time.Second},
		{2_000_000, 4_000_000, 2 * time.Second},
	} {
		if got := nextTime(time.Second, c.keys, c.next); got != c.want {
			t.Errorf("%d keys take 1s: %d take %v, want %v", c.keys, c.next, got, c.want)
		}
	}
}

// The quantile is of what came between, by the upper bound of its bucket.
func TestQuantile(t *testing.T) {
	buckets := []float64{0, 1, 2, 3, math.Inf(1)}
	before := &metrics.Float64Histogram{Counts: []uint64{5, 0, 0, 0}, Buckets: buckets}
	after := &metrics.Float64Histogram{Counts: []uint64{995, 9, 1, 0}, Buckets: buckets}
	for q, want := range map[float64]float64{0.5: 1, 0.995: 2, 1: 3} {
		if n, got := quantile(before, after, q); n != 1000 || got != want {
			t.Errorf("quantile %g of %d is %g, want %g of 1000", q, n, got, want)
		}
	}
	if n, got := quantile(before, before, 0.5); n != 0 || got != 0 {
		t.Errorf("quantile of nothing is %g of %d", got, n)
	}
	after.Counts[3]++
	if _, got := quantile(before, after, 1); got != 3 {
		t.Errorf("what is beyond all bounds is %g, want the last bound", got)
	}
}
