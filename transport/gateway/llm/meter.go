package llm

import (
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
)

// NewMeter returns a reader of body, the answer to c with these header fields, that tells done what c came to: once, when
// body ends, fails, or is closed before.
//
// Bytes are passed on as they come, but for the event with usage at the end of an OpenAI stream, which is removed if the
// client has not asked for it. What the upstream says of usage counts. Where it says none, as in a stream that breaks,
// the text that has passed counts, and at most what the client had asked for. Where not even that can be known, as in a
// compressed answer, one that comes before its work is done, or one without a stream that breaks off, the estimate counts.
//
// The reader may be closed while it is read. done is called by the goroutine that reads or closes, before Read returns its
// error and before any Close returns. It must be neither nil nor slow, and must not use the reader.
func NewMeter(s Style, c Call, header http.Header, body io.ReadCloser, done func(Usage)) io.ReadCloser {
	c.BytesPerToken = Options{BytesPerToken: c.BytesPerToken}.withDefaults().BytesPerToken
	if c.Endpoint != Other { // which says more than s: upstreams may speak both
		s = OpenAI
		if c.Endpoint == Messages {
			s = Anthropic
		}
	}
	m := &meter{body: body, done: done, call: c, form: formOf(c, header), answer: answer{style: s}}
	m.events.answer = &m.answer
	m.events.remove = c.Stream && !c.IncludeUsage && c.Endpoint.hasStreamOptions()
	return m
}

// A form is how an answer tells what it tells.
type form uint8

const (
	whole  form = iota // one JSON value
	stream             // server-sent events, each of which has one
	sealed             // in an encoding that is not read here
)

// formOf returns the form of an answer to c.
func formOf(c Call, header http.Header) form {
	if encoding := header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return sealed
	}
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if kind == "text/event-stream" || err != nil && c.Stream {
		return stream
	}
	return whole
}

// A meter is what NewMeter returns.
type meter struct {
	body io.ReadCloser
	done func(Usage)
	call Call
	form form

	mu     sync.Mutex
	over   bool    // done was called; guarded by mu
	answer answer  // guarded by mu
	scan   scanner // of a whole answer; guarded by mu
	events events  // of a stream; guarded by mu

	// Only of the goroutine that reads.
	out []byte // to be passed on, from begin on
	at  int
	err error // what to return after out
}

// maxIdle is how often body may return nothing at all before Read gives up.
const maxIdle = 100

// Read implements io.Reader.
func (m *meter) Read(p []byte) (int, error) {
	if !m.events.remove || m.form != stream {
		n, err := m.body.Read(p)
		m.pass(p[:n], err)
		return n, err
	}
	for idle := 0; m.at == len(m.out) && m.err == nil && len(p) > 0; idle++ {
		n, err := m.body.Read(p)
		switch {
		case n > 0:
			idle = 0
		case idle == maxIdle && err == nil:
			err = io.ErrNoProgress
		}
		m.pass(p[:n], err)
		m.err = err
	}
	n := copy(p, m.out[m.at:])
	m.at += n
	if m.at == len(m.out) && m.err != nil {
		return n, m.err
	}
	return n, nil
}

// Close implements io.Closer.
func (m *meter) Close() error {
	m.mu.Lock()
	m.finish(false)
	m.mu.Unlock()
	return m.body.Close()
}

// pass reads text, after which body returned err, and leaves in out what to pass on if events are removed.
func (m *meter) pass(text []byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out, m.at = m.out[:0], 0
	m.read(text, err)
	if err != nil {
		m.finish(err == io.EOF) //nolint:errorlint // readers return it as it is
	}
}

// read is pass without its end. mu must be held.
func (m *meter) read(text []byte, err error) {
	switch {
	case m.over:
		m.out = append(m.out, text...)
	case m.form == whole:
		m.scan.feed(text, &m.answer)
	case m.form == stream:
		m.out = m.events.read(text, m.out)
		if err != nil {
			m.out = m.events.close(m.out)
		}
	}
}

// finish calls done, if nobody has. ended is whether body came to its end. mu must be held, so that whoever reads or closes
// finds that done has returned.
func (m *meter) finish(ended bool) {
	if m.over {
		return
	}
	m.over = true
	if m.form == whole && m.scan.end() {
		m.answer.endEvent()
	}
	u := m.answer.total(m.call)
	if m.unknown(ended) && !m.answer.inKnown {
		u = Usage{Input: m.call.Prompt, Output: m.call.MaxOutput}
	}
	m.done(u)
}

// unknown tells whether what passed says nothing about what the upstream did, unless it said so itself.
func (m *meter) unknown(ended bool) bool {
	if m.form == whole {
		broken := !ended || !m.scan.end() && m.scan.state != lost
		return broken || m.call.Background
	}
	return m.form == sealed
}
