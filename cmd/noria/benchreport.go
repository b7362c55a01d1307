package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A report is what came of a bench.
type report struct {
	Targets     []string `json:"targets"`
	Loop        string   `json:"loop"` // closed or open
	Concurrency int      `json:"concurrency"`
	Rate        int      `json:"rate,omitempty"` // wanted, of an open loop
	Stream      bool     `json:"stream,omitempty"`
	Batch       int      `json:"batch"`
	Keys        int      `json:"keys"`
	Dist        string   `json:"dist"`
	Limit       string   `json:"limit"`
	Cost        int      `json:"cost"`
	Seconds     float64  `json:"seconds"`

	Requests       int64            `json:"requests"`
	RequestsPerSec float64          `json:"requests_per_second"` // answered
	ChecksPerSec   float64          `json:"checks_per_second"`   // answered
	Allowed        int64            `json:"allowed"`
	Denied         int64            `json:"denied"`
	Degraded       int64            `json:"degraded"` // of those allowed or denied
	Errors         int64            `json:"errors"`
	ErrorKinds     map[string]int64 `json:"error_kinds,omitempty"`
	NotStarted     int64            `json:"not_started,omitempty"` // of an open loop: due, and no caller was free
	Latency        latency          `json:"latency_us"`            // of answers
}

// A latency is what a histogram says, in microseconds.
type latency struct {
	Mean float64 `json:"mean"`
	Min  float64 `json:"min"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// latencyOf returns what h says.
func latencyOf(h *hdrhistogram.Histogram) latency {
	us := func(ns int64) float64 { return float64(ns) / 1e3 }
	return latency{
		Mean: h.Mean() / 1e3, Min: us(h.Min()), Max: us(h.Max()),
		P50: us(h.ValueAtPercentile(50)), P90: us(h.ValueAtPercentile(90)),
		P99: us(h.ValueAtPercentile(99)), P999: us(h.ValueAtPercentile(99.9)),
	}
}

// report returns what came of l, which took as long.
func (l *load) report(took time.Duration) report {
	b, t := l.bench, l.tally
	r := report{
		Loop: "closed", Concurrency: b.concurrency, Rate: b.rate, Stream: b.stream, Batch: b.batch,
		Keys: b.keys.number, Dist: b.keys.dist, Limit: b.limitText, Cost: b.cost, Seconds: took.Seconds(),
		Allowed: t.allowed.Load(), Denied: t.denied.Load(), Degraded: t.degraded.Load(), Errors: t.errors.Load(),
		ErrorKinds: t.errorKinds(), Latency: latencyOf(t.latencies()),
	}
	for _, target := range b.targets {
		r.Targets = append(r.Targets, target.String())
	}
	answered := r.Allowed + r.Denied
	r.Requests = answered + r.Errors
	if took > 0 {
		r.RequestsPerSec = float64(answered) / took.Seconds()
		r.ChecksPerSec = r.RequestsPerSec * float64(b.batch)
	}
	if b.rate > 0 {
		r.Loop = "open"
		r.NotStarted = max(0, l.due(took)-r.Requests)
	}
	return r
}

// due returns how many requests of an open loop should have started in the time it took.
func (l *load) due(took time.Duration) int64 {
	n := int64(min(took, l.bench.duration).Seconds() * float64(l.bench.rate))
	if l.bench.requests > 0 {
		n = min(n, int64(l.bench.requests))
	}
	return n
}

// String returns t as it is written on a command line.
func (t target) String() string {
	if t.http {
		return "http://" + t.addr
	}
	return "grpc://" + t.addr
}

// commonest returns the error that came most often.
func (r report) commonest() string {
	best := ""
	for kind, n := range r.ErrorKinds {
		if m := r.ErrorKinds[best]; n > m || n == m && kind < best {
			best = kind
		}
	}
	return best
}

// text prints r for people.
func (r report) text(w io.Writer) {
	fmt.Fprintf(w, "%s requests in %.1f s: %s/s", count(r.Requests), r.Seconds, count(int64(r.RequestsPerSec)))
	if r.Batch > 1 {
		fmt.Fprintf(w, ", %s checks/s", count(int64(r.ChecksPerSec)))
	}
	fmt.Fprintf(w, " (%s loop, %s, %s)\n", r.Loop, plural(r.Concurrency, "caller"), plural(len(r.Targets), "target"))
	of := func(n int64) string {
		return fmt.Sprintf("%.1f%%", 100*float64(n)/float64(max(1, r.Requests)))
	}
	table(w,
		row("  allowed", count(r.Allowed), of(r.Allowed)),
		row("  denied", count(r.Denied), of(r.Denied)),
		row("  degraded", count(r.Degraded), of(r.Degraded)),
		row("  errors", count(r.Errors), of(r.Errors)))
	r.errorsText(w)
	if r.NotStarted > 0 {
		fmt.Fprintf(w, "%s requests were due and never started, because every caller waited for an answer. The latencies\n"+
			"leave them out: take a lower --rate or more --concurrency.\n", count(r.NotStarted))
	}
	l := r.Latency
	if r.Allowed+r.Denied > 0 {
		fmt.Fprintln(w, "latency")
		table(w, row("  mean", "p50", "p90", "p99", "p99.9", "max"),
			row("  "+micros(l.Mean), micros(l.P50), micros(l.P90), micros(l.P99), micros(l.P999), micros(l.Max)))
	}
}

// errorsText prints what went wrong how often, the commonest first.
func (r report) errorsText(w io.Writer) {
	kinds := make([]string, 0, len(r.ErrorKinds))
	for k := range r.ErrorKinds {
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b string) int {
		if d := r.ErrorKinds[b] - r.ErrorKinds[a]; d != 0 {
			return int(d)
		}
		return slices.Compare([]string{a}, []string{b})
	})
	for _, k := range kinds {
		fmt.Fprintf(w, "    %s %s\n", count(r.ErrorKinds[k]), k)
	}
}

// micros returns us, in microseconds, for people.
func micros(us float64) string { return lasting(time.Duration(us * 1e3)) }

// plural returns n and word, which takes an s.
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return count(n) + " " + word + "s"
}

// watch prints a line about l to the terminal every second, until stop is called. Where there is no terminal it does not.
func (l *load) watch(p *process) (stop func()) {
	if !isTerminal(p.stderr) {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		l.tell(p.stderr, done)
	}()
	return func() {
		close(done)
		<-ended
	}
}

// tell prints a line about l to w every second until done is closed, and clears it then.
func (l *load) tell(w io.Writer, done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var before int64
	for began := time.Now(); ; {
		select {
		case <-done:
			fmt.Fprint(w, "\r\x1b[K")
			return
		case now := <-tick.C:
			answered, wrong := l.tally.allowed.Load()+l.tally.denied.Load(), l.tally.errors.Load()
			h := latencyOf(l.tally.latencies())
			fmt.Fprintf(w, "\r\x1b[K%4.0fs  %s/s  p50 %s  p99 %s  denied %s  errors %s", now.Sub(began).Seconds(),
				count(answered-before), micros(h.P50), micros(h.P99), count(l.tally.denied.Load()), count(wrong))
			before = answered
		}
	}
}
