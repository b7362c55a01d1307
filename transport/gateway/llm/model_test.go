package llm

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// A model is a slow plain meter: it has the whole stream, splits it into lines, and decodes each event by encoding/json.
type model struct {
	call   Call
	style  Style
	remove bool

	out []byte

	numbers map[string]int64 // what usage says, under its last path
	final   bool
	since   int64
	strange bool // a text was no UTF-8, which encoding/json makes longer than it was
}

// meterOf returns what the model makes of a stream that ends cleanly, and false where some event is not valid JSON or
// UTF-8, of which the model knows nothing.
func meterOf(s Style, c Call, text []byte) (out []byte, u Usage, known bool) {
	m := model{call: c, style: s, numbers: map[string]int64{}}
	m.remove = s == OpenAI && c.Stream && !c.IncludeUsage && (c.Endpoint == ChatCompletions || c.Endpoint == Completions)
	if rest, ok := bytes.CutPrefix(text, []byte(byteOrderMark)); ok {
		m.out = append(m.out, byteOrderMark...)
		text = rest
	}
	var event [][]byte
	for _, line := range linesOf(text) {
		content := bytes.TrimRight(line, "\r\n")
		if len(event) == 0 && len(content) > 0 && content[0] == ':' && len(content) < len(line) {
			m.out = append(m.out, line...) // a comment before its event
			continue
		}
		event = append(event, line)
		if len(content) == 0 {
			if !m.event(event) {
				return nil, Usage{}, false
			}
			event = nil
		}
	}
	if !m.event(event) {
		return nil, Usage{}, false
	}
	return m.out, m.usage(), !m.strange
}

// linesOf splits text after each end of a line: \n, \r, or both.
func linesOf(text []byte) (lines [][]byte) {
	for len(text) > 0 {
		i := bytes.IndexAny(text, "\r\n")
		n := i + 1
		switch {
		case i < 0:
			n = len(text)
		case text[i] == '\r' && n < len(text) && text[n] == '\n':
			n++
		}
		lines, text = append(lines, text[:n]), text[n:]
	}
	return lines
}

// event takes one event and returns false if it is not valid JSON.
func (m *model) event(lines [][]byte) bool {
	var data [][]byte
	for _, line := range lines {
		if value, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			data = append(data, bytes.TrimRight(bytes.TrimPrefix(value, []byte(" ")), "\r\n"))
		}
	}
	text, all := bytes.Join(data, []byte("\n")), bytes.Join(lines, nil)
	if data == nil || string(text) == stopMark {
		m.out = append(m.out, all...)
		return true
	}
	if !json.Valid(text) {
		return false
	}
	var e modelEvent
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	m.walk(d, &e, nil)
	if e.usage {
		m.since = 0
	}
	held := len(all)
	if bytes.HasSuffix(all, []byte("\r\n")) {
		held-- // the event is over before the line feed
	}
	if !m.remove || !e.usage || !e.choices || e.filled || held > mostHeld {
		m.out = append(m.out, all...)
	}
	return true
}

// modelEvent is what an event says of itself.
type modelEvent struct{ usage, choices, filled bool }

// walk reads the next value of d, which is under path; an element of an array is under the array's path and "[]".
func (m *model) walk(d *json.Decoder, e *modelEvent, path []string) {
	token, err := d.Token()
	if err != nil {
		return
	}
	if len(path) == 1 && path[0] == "choices" && token != json.Delim('[') || len(path) == 2 && path[0] == "choices" {
		e.filled = true
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '[' && len(path) == 1 && path[0] == "choices" {
			e.choices = true
		}
		for d.More() {
			under := "[]"
			if v == '{' {
				key, err := d.Token()
				if err != nil {
					return
				}
				under, _ = key.(string)
			}
			m.walk(d, e, append(slices.Clone(path), under))
		}
		_, _ = d.Token()
	case json.Number:
		m.number(e, strings.Join(path, "."), v.String())
	case string:
		m.text(path, v)
	}
}

// number takes a number.
func (m *model) number(e *modelEvent, path, text string) {
	under := ""
	for _, begin := range []string{"usage.", "response.usage.", "message.usage."} {
		if strings.HasPrefix(path, begin) {
			under = begin
		}
	}
	names := map[string]string{
		"prompt_tokens": "in", "input_tokens": "in", "completion_tokens": "out", "output_tokens": "out",
		"prompt_tokens_details.cached_tokens": "cached", "input_tokens_details.cached_tokens": "cached",
		"cache_read_input_tokens": "read", "cache_creation_input_tokens": "made",
	}
	name := names[strings.TrimPrefix(path, under)]
	if under == "" || name == "" || strings.ContainsAny(text, "eE") && !strings.Contains(text, ".") {
		return
	}
	whole, _, _ := strings.Cut(text, ".")
	var n int64
	for _, digit := range strings.TrimPrefix(whole, "-") {
		n = min(n*10+int64(digit-'0'), 1<<59-1)
	}
	if strings.HasPrefix(text, "-") {
		n = 0
	}
	m.numbers[name] = n
	e.usage = true
	m.final = m.final || m.style == OpenAI || under == "usage." && name == "out"
}

// text takes a string.
func (m *model) text(path []string, text string) {
	if len(path) == 0 {
		return
	}
	leaf := path[len(path)-1]
	for i := len(path) - 1; i > 0 && leaf == "[]"; i-- {
		leaf = path[i-1]
	}
	told := slices.Contains([]string{
		"content", "text", "reasoning_content", "reasoning", "refusal", "arguments", "thinking", "partial_json", "name",
	}, leaf) || slices.Contains(path[1:], "input")
	switch path[0] {
	case "choices", "output", "content":
	case "delta":
		told = told || len(path) == 1
	default:
		told = false
	}
	m.strange = m.strange || strings.ContainsRune(text, utf8.RuneError)
	if told {
		m.since += int64(len(text))
	}
}

// usage returns what the call came to.
func (m *model) usage() Usage {
	per := max(m.call.BytesPerToken, 1)
	in, known := m.numbers["in"]
	u := Usage{Input: m.call.Prompt, Output: (m.since+per-1)/per + m.numbers["out"], Exact: known && m.final && m.since == 0}
	if known {
		u.Input = in + m.numbers["read"] + m.numbers["made"]
		u.Cached = min(m.numbers["cached"]+m.numbers["read"], u.Input)
	}
	if !u.Exact && m.call.Stated {
		u.Output = min(u.Output, max(m.call.MaxOutput, m.numbers["out"]))
	}
	return u
}

// pieces is a body that comes in pieces of the sizes that it is told, over and over; none is more than 1 << 20.
type pieces struct {
	text  []byte
	sizes []byte
	next  int
	end   error // after text; nil is io.EOF
}

// Read implements io.Reader.
func (p *pieces) Read(to []byte) (int, error) {
	n := len(p.text)
	if len(p.sizes) > 0 {
		n = min(n, int(p.sizes[p.next%len(p.sizes)])+1)
		p.next++
	}
	n = copy(to, p.text[:n])
	p.text = p.text[n:]
	if len(p.text) > 0 {
		return n, nil
	}
	if p.end != nil {
		return n, p.end
	}
	return n, io.EOF
}

// Close implements io.Closer.
func (p *pieces) Close() error { return nil }
