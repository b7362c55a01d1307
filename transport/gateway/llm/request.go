package llm

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxModel is the most bytes that the name of a model may have: it becomes part of keys, which are bounded.
const maxModel = 256

// unset is a number that a request does not say.
const unset = -1

// A reader reads the fields of one request.
type reader struct {
	cursor
	known  []string // fields that mean something
	prompt *prompt
	call   Call
	err    error // the first one

	seen          uint64 // bit i is set once known[i] was read
	output        int64  // most tokens of one choice, or unset
	choices, best int64  // of one prompt, or unset
	prompts       int64  // that are to be answered
	asking        edit   // what asks for usage, if the call streams
}

// newReader returns a reader of the request body to endpoint e.
func newReader(e Endpoint, body []byte, o Options) *reader {
	return &reader{
		cursor: cursor{text: body}, known: fields(e), prompt: newPrompt(o), call: Call{Endpoint: e, BytesPerToken: o.BytesPerToken},
		output: unset, choices: unset, best: unset, prompts: 1,
	}
}

// fields returns the names of the fields that mean something at e.
func fields(e Endpoint) []string {
	switch e {
	case ChatCompletions:
		return []string{
			"model", "stream", "stream_options", "messages", "tools", "functions", "response_format", "prediction",
			"max_tokens", "max_completion_tokens", "n",
		}
	case Completions:
		return []string{"model", "stream", "stream_options", "prompt", "suffix", "max_tokens", "n", "best_of"}
	case Responses:
		return []string{"model", "stream", "input", "instructions", "prompt", "tools", "text", "max_output_tokens", "background"}
	case Embeddings:
		return []string{"model", "input"}
	case Messages:
		return []string{"model", "stream", "system", "messages", "tools", "max_tokens"}
	case Other:
	}
	return nil
}

// field reads the value of one field of the request.
func (r *reader) field(key string) {
	i := slices.IndexFunc(r.known, func(name string) bool { return strings.EqualFold(name, key) })
	if i < 0 || r.err != nil {
		r.raw()
		return
	}
	name := r.known[i]
	if name != key || r.seen&(1<<i) != 0 {
		// Upstreams differ in which of two they take, and in whether case matters, so that one could be read here and
		// another one there.
		r.fail(name, "%q stands in the body twice, or in other letters than %q", key, name)
		r.raw()
		return
	}
	r.seen |= 1 << i
	r.meaning(name)
}

// meaning reads the value of a field that means something.
func (r *reader) meaning(name string) {
	switch name {
	case "model":
		r.model()
	case "stream":
		r.call.Stream = r.boolean(name)
	case "background":
		r.call.Background = r.boolean(name)
	case "stream_options":
		r.streamOptions()
	case "max_tokens", "max_completion_tokens", "max_output_tokens":
		r.output = max(r.output, r.number(name, 0))
	case "n":
		r.choices = r.number(name, 1)
	case "best_of":
		r.best = r.number(name, 1)
	case "tools", "functions", "response_format", "text":
		r.prompt.definition(r.raw())
	case "prompt", "input", "messages":
		prompts := r.prompt.messages(&r.cursor)
		if name == "prompt" && r.call.Endpoint == Completions {
			r.prompts = prompts
		}
	default:
		r.prompt.value(&r.cursor, name)
	}
}

// fail notes what is wrong with the field param, unless something was wrong before.
func (r *reader) fail(param, format string, args ...any) {
	if r.err == nil {
		r.err = &RequestError{Reason: fmt.Sprintf(format, args...), Param: param}
	}
}

// model reads the name of the model.
func (r *reader) model() {
	if r.next() != '"' {
		r.raw()
		r.fail("model", "model is not a string")
		return
	}
	r.call.Model = unquote(r.str())
	if len(r.call.Model) > maxModel {
		r.fail("model", "model is longer than %d bytes", maxModel)
	}
}

// boolean reads true, false, or null, which is false.
func (r *reader) boolean(name string) bool {
	switch value := r.raw(); string(value) {
	case "true":
		return true
	case "false", "null":
	default:
		r.fail(name, "%s is neither true nor false", name)
	}
	return false
}

// number reads a whole number from least on, or null, which is unset.
func (r *reader) number(name string, least int64) int64 {
	value := r.raw()
	if bytes.Equal(value, []byte("null")) {
		return unset
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n < least {
		r.fail(name, "%s is not a whole number from %d on", name, least)
	}
	return n
}

// finish makes the call of what was read.
func (r *reader) finish(path string, o Options) {
	c := &r.call
	if c.Model == "" {
		c.Model = modelOf(path)
	}
	if c.Model == "" {
		r.fail("model", "model is missing")
	}
	c.Prompt = r.prompt.total()
	if c.Endpoint == Embeddings {
		c.Stated = true
		return
	}
	c.Stated = r.output != unset
	c.MaxOutput = o.MaxOutput
	if c.Stated {
		c.MaxOutput = r.output
	}
	c.MaxOutput = times(times(c.MaxOutput, max(r.choices, r.best, 1)), r.prompts)
}
