package llm

import (
	"bytes"

	"github.com/tiktoken-go/tokenizer/codec"
)

// messageTokens is what each message counts beside its text: its role and the marks between messages.
const messageTokens = 4

// A prompt adds up what goes into a model.
type prompt struct {
	options Options
	codec   *codec.Codec // nil for none
	left    int64        // bytes that codec may still count

	tokens int64 // those that are known
	bytes  int64 // of text that is counted by its length
}

// newPrompt returns an empty prompt. o must have its defaults.
func newPrompt(o Options) *prompt {
	return &prompt{options: o, codec: codecOf(o.Tokenizer), left: mostTokenized}
}

// total returns the estimate of all that was added.
func (p *prompt) total() int64 {
	return p.tokens + (p.bytes+p.options.BytesPerToken-1)/p.options.BytesPerToken
}

// text adds raw, the inside of a JSON string.
func (p *prompt) text(raw []byte) {
	n := textLen(raw)
	if p.codec != nil && n <= p.left {
		if tokens, ok := countTokens(p.codec, unquote(raw)); ok {
			p.left -= n
			p.tokens += tokens
			return
		}
	}
	p.bytes += n
}

// definition adds JSON that the model gets to see as it is, such as that of tools.
func (p *prompt) definition(raw []byte) {
	if !bytes.Equal(raw, []byte("null")) {
		p.bytes += int64(len(raw))
	}
}

// messages adds a prompt in any of the forms that the APIs know: text, messages with text or parts, lists of those, and
// lists of tokens. It returns how many prompts these are where each element of a list is one.
func (p *prompt) messages(c *cursor) (prompts int64) {
	if c.next() != '[' {
		p.value(c, "")
		return 1
	}
	numbers := false
	c.array(func() {
		switch c.next() {
		case '{':
			p.tokens += messageTokens
		case '"', '[':
		default:
			numbers = true
		}
		prompts++
		p.element(c, "")
	})
	if numbers {
		return 1
	}
	return max(prompts, 1)
}

// value adds the value under key.
func (p *prompt) value(c *cursor, key string) {
	switch c.next() {
	case '"':
		p.string(c.str(), key)
	case '{':
		p.object(c)
	case '[':
		c.array(func() { p.element(c, key) })
	default:
		c.raw()
	}
}

// element adds an element of the array under key. A number is a token.
func (p *prompt) element(c *cursor, key string) {
	switch b := c.next(); {
	case b == '-', b >= '0' && b <= '9':
		c.raw()
		p.tokens++
	default:
		p.value(c, key)
	}
}

// object adds what is in an object.
func (p *prompt) object(c *cursor) {
	plain := saysText(*c)
	c.object(func(key string) {
		switch {
		case key == "input" && c.next() == '{': // the arguments of a call of a tool
			p.definition(c.raw())
		case key == "data" && plain:
			p.value(c, "text")
		default:
			p.value(c, key)
		}
	})
}

// string adds a string by what its key says it is.
func (p *prompt) string(raw []byte, key string) {
	switch key {
	case "type", "role", "id", "call_id", "tool_call_id", "tool_use_id", "status", "detail", "media_type", "format",
		"signature", "ttl", "filename":
	case "data", "url", "image_url", "file_data", "file_id", "file_url":
		p.tokens += p.options.MediaTokens
	default:
		p.text(raw)
	}
}

// saysText tells whether the object at c is the source of a document in plain text: its data is text then, not a file.
func saysText(c cursor) (plain bool) {
	c.object(func(key string) {
		value := c.raw()
		if key == "type" {
			plain = bytes.Equal(value, []byte(`"text"`))
		}
	})
	return plain
}
