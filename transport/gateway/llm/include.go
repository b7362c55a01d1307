package llm

import "bytes"

// An edit puts text in place of some bytes of a body. The zero value puts nothing.
type edit struct {
	at, over int // where, and in place of how many bytes
	text     string
}

// apply returns body with e in it. body stays as it is.
func (e edit) apply(body []byte) []byte {
	if e.text == "" {
		return body
	}
	edited := make([]byte, 0, len(body)-e.over+len(e.text))
	edited = append(edited, body[:e.at]...)
	edited = append(edited, e.text...)
	return append(edited, body[e.at+e.over:]...)
}

// streamOptions reads stream_options, and notes what has to change there so that the upstream tells usage.
func (r *reader) streamOptions() {
	const param = "stream_options"
	first := r.next()
	begin := r.at
	switch first {
	case '{':
		r.includeUsage()
	case 'n':
		r.raw()
		r.asking = edit{at: begin, over: r.at - begin, text: `{"include_usage":true}`}
	default:
		r.raw()
		r.fail(param, "%s is not an object", param)
	}
}

// includeUsage reads the object of stream_options.
func (r *reader) includeUsage() {
	const param = "stream_options.include_usage"
	begin, seen, empty := r.at, false, true
	r.object(func(key string) {
		empty = false
		if key != "include_usage" {
			r.raw()
			return
		}
		if seen {
			r.fail(param, "%s stands in the body twice", param)
		}
		seen = true
		r.next()
		at := r.at
		value := r.raw()
		switch {
		case bytes.Equal(value, []byte("true")):
			r.call.IncludeUsage = true
		case bytes.Equal(value, []byte("false")), bytes.Equal(value, []byte("null")):
			r.asking = edit{at: at, over: len(value), text: "true"}
		default:
			r.fail(param, "%s is neither true nor false", param)
		}
	})
	switch {
	case seen:
	case empty:
		r.asking = edit{at: begin + 1, text: `"include_usage":true`}
	default:
		r.asking = edit{at: begin + 1, text: `"include_usage":true,`}
	}
}

// body returns the body to send on.
func (r *reader) body() []byte {
	if !r.call.Stream || r.call.IncludeUsage || !r.call.Endpoint.hasStreamOptions() {
		return r.text
	}
	if r.asking.text != "" {
		return r.asking.apply(r.text)
	}
	// There is a field after it at least: stream.
	return edit{at: bytes.IndexByte(r.text, '{') + 1, text: `"stream_options":{"include_usage":true},`}.apply(r.text)
}
