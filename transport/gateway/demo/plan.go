package demo

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/noriahq/noria/transport/gateway/llm"
)

// Bounds on what a request may ask of the demo.
const (
	mostTokens = 1 << 40
	mostText   = 1 << 20 // bytes; an answer of more tokens has no more text
	mostPieces = 1 << 16
	mostPace   = time.Minute
)

// A plan is what one answer is to be.
type plan struct {
	call  llm.Call
	asked []byte // the request's body

	in, out, cached int64
	silent          bool // usage is not told
	cut             bool // the answer is as long as it may be

	pieces int
	pace   time.Duration

	status int // to fail with, 0 for none
	broken int // pieces after which the connection breaks, -1 for never
}

// planOf returns what a request's header makes of c for call.
func planOf(h http.Header, call llm.Call, c Config) (plan, error) {
	p := plan{call: call, in: c.InputTokens, out: c.OutputTokens, cached: c.CachedTokens, pace: c.Pace, broken: -1}
	if p.in == 0 {
		p.in = call.Prompt
	}
	if call.Stated && p.out >= call.MaxOutput {
		p.out, p.cut = call.MaxOutput, true
	}
	f := fields{header: h}
	p.out = f.number("X-Demo-Output-Tokens", p.out, mostTokens)
	p.in = f.number("X-Demo-Input-Tokens", p.in, mostTokens)
	p.cached = min(f.number("X-Demo-Cached-Tokens", p.cached, mostTokens), p.in)
	p.pieces = int(f.number("X-Demo-Pieces", min(p.out, 64), mostPieces))
	p.broken = int(f.number("X-Demo-Break", -1, mostPieces))
	p.status = int(f.number("X-Demo-Status", 0, 599))
	p.pace = f.duration("X-Demo-Pace", p.pace, mostPace)
	switch h.Get("X-Demo-Usage") {
	case "":
	case "none":
		p.silent = true
	default:
		f.fail("X-Demo-Usage", "none")
	}
	if p.status != 0 && p.status < 400 {
		f.fail("X-Demo-Status", "a status from 400 to 599")
	}
	return p, f.err
}

// text returns the text of the answer, of 4 bytes for each token, as an estimate takes it to have.
func (p plan) text() string {
	const turn = "The wheel turns, its buckets fill, the water climbs and runs away. "
	n := int(min(p.out, mostText/4)) * 4
	return strings.Repeat(turn, n/len(turn)+1)[:n]
}

// parts returns the text in pieces.
func (p plan) parts() []string {
	text := p.text()
	parts := make([]string, p.pieces)
	for i := range parts {
		n := len(text) / (len(parts) - i)
		parts[i], text = text[:n], text[n:]
	}
	return parts
}

// fields reads fields of a header.
type fields struct {
	header http.Header
	err    error // the first one
}

// fail notes that a field is not as it should be.
func (f *fields) fail(name, want string) {
	if f.err == nil {
		f.err = fmt.Errorf("%s is %q, want %s", name, f.header.Get(name), want)
	}
}

// number returns the number of a field from 0 to most, or otherwise if there is no such field.
func (f *fields) number(name string, otherwise, most int64) int64 {
	text := f.header.Get(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		f.fail(name, fmt.Sprintf("a whole number from 0 to %d", most))
		return otherwise
	}
	return n
}

// duration returns the duration of a field from 0 to most, or otherwise if there is no such field.
func (f *fields) duration(name string, otherwise, most time.Duration) time.Duration {
	text := f.header.Get(name)
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > most {
		f.fail(name, fmt.Sprintf("a duration such as 50ms, at most %v", most))
		return otherwise
	}
	return d
}
