package llm

// A key is one that means something in an answer.
type key uint8

const (
	noKey        key = iota // any other
	choicesKey              // OpenAI: what came out
	outputKey               // OpenAI's responses: what came out
	deltaKey                // what came out, in an event
	contentKey              // what came out, or part of it
	textKey                 // text that came out
	inputKey                // the arguments of a tool of Anthropic
	responseKey             // what holds usage in an event of OpenAI's responses
	messageKey              // what holds usage in Anthropic's first event, or text
	usageKey                // usage
	inKey                   // usage: tokens in
	outKey                  // usage: tokens out
	detailsKey              // usage: an object with cachedKey
	cachedKey               // usage: tokens in that were read from a cache
	cacheReadKey            // usage of Anthropic: tokens read from a cache, beside those of inKey
	cacheMadeKey            // usage of Anthropic: tokens written to a cache, beside those of inKey
)

// keyOf returns what name means.
func keyOf(name []byte) key {
	switch string(name) {
	case "choices":
		return choicesKey
	case "output":
		return outputKey
	case "delta":
		return deltaKey
	case "content":
		return contentKey
	case "text", "reasoning_content", "reasoning", "refusal", "arguments", "thinking", "partial_json", "name":
		return textKey
	case "input":
		return inputKey
	case "response":
		return responseKey
	case "message":
		return messageKey
	case "usage":
		return usageKey
	case "prompt_tokens", "input_tokens":
		return inKey
	case "completion_tokens", "output_tokens":
		return outKey
	case "prompt_tokens_details", "input_tokens_details":
		return detailsKey
	case "cached_tokens":
		return cachedKey
	case "cache_read_input_tokens":
		return cacheReadKey
	case "cache_creation_input_tokens":
		return cacheMadeKey
	}
	return noKey
}

// An answer is what has been read of an answer so far.
type answer struct {
	style Style

	in, out, cached, read, made int64 // the last that usage said
	inKnown, outKnown           bool
	final                       bool  // usage was that of the whole answer, and not of its begin
	since                       int64 // bytes of text that came out after that

	event // what has been read of the event, or of the whole if it is no stream
}

// An event is what has been read of one event.
type event struct {
	usage   bool // usage was told
	choices bool // choices is there, an array
	filled  bool // and not an empty one
}

// bare tells whether the event is there for usage alone.
func (e event) bare() bool { return e.usage && e.choices && !e.filled }

// value notes that a value begins with b.
func (a *answer) value(s *scanner, b byte) {
	if s.depth == 0 || s.key(1) != choicesKey {
		return
	}
	switch {
	case s.depth == 1 && b == '[':
		a.choices = true
	case s.depth <= 2:
		a.filled = true
	}
}

// text notes n bytes of a string.
func (a *answer) text(s *scanner, n int) {
	if cameOut(s) {
		a.since += int64(n)
	}
}

// junk notes text that is not JSON.
func (a *answer) junk(text []byte) { a.since += int64(len(text)) }

// cameOut tells whether the string that s reads came out of the model, and is not told twice.
func cameOut(s *scanner) bool {
	switch s.key(1) {
	case deltaKey:
		if s.depth == 1 {
			return true // of OpenAI's responses
		}
	case choicesKey, outputKey, contentKey:
	default:
		return false
	}
	if leaf := s.key(s.depth); leaf == contentKey || leaf == textKey {
		return true
	}
	for d := 2; d < min(s.depth+1, keyDepth); d++ {
		if s.path[d] == inputKey {
			return true
		}
	}
	return false
}

// count notes a number.
func (a *answer) count(s *scanner, n int64) {
	field, top := usageField(s)
	switch field {
	case inKey:
		a.in, a.inKnown = n, true
	case outKey:
		a.out, a.outKnown = n, true
	case cachedKey:
		a.cached = n
	case cacheReadKey:
		a.read = n
	case cacheMadeKey:
		a.made = n
	default:
		return
	}
	a.usage = true
	// What comes out in the end stands in Anthropic's last event; its first one has usage under message.
	a.final = a.final || a.style == OpenAI || top && field == outKey
}

// usageField returns which number of usage s reads, noKey if none, and whether usage stands at the top.
func usageField(s *scanner) (field key, top bool) {
	under := 1
	if k := s.path[1]; k == responseKey || k == messageKey {
		under = 2
	}
	if s.path[under] != usageKey {
		return noKey, false
	}
	switch field = s.key(s.depth); {
	case s.depth == under+1 && field != cachedKey:
	case s.depth == under+2 && field == cachedKey && s.path[under+1] == detailsKey:
	default:
		return noKey, false
	}
	return field, under == 1
}

// endEvent ends an event.
func (a *answer) endEvent() {
	if a.usage {
		a.since = 0 // usage counts what else stands in its event, be it before or after
	}
	a.event = event{}
}

// total returns what the call came to.
func (a *answer) total(c Call) Usage {
	counted := (a.since + c.BytesPerToken - 1) / c.BytesPerToken
	u := Usage{Input: c.Prompt, Output: counted}
	if a.inKnown {
		u.Input = a.in + a.read + a.made
		u.Cached = min(a.cached+a.read, u.Input)
	}
	if a.outKnown {
		u.Output += a.out
	}
	u.Exact = a.inKnown && a.final && a.since == 0
	if !u.Exact && c.Stated {
		u.Output = min(u.Output, max(c.MaxOutput, a.out))
	}
	return u
}
