package llm

import (
	"bytes"
	"encoding/json"
)

// A cursor walks through JSON text that json.Valid has found valid, and that therefore needs no more errors.
type cursor struct {
	text []byte
	at   int // of the next byte
}

// next skips white space and returns the byte after it, which stays unread.
func (c *cursor) next() byte {
	for {
		switch b := c.text[c.at]; b {
		case ' ', '\t', '\r', '\n':
			c.at++
		default:
			return b
		}
	}
}

// str reads a string and returns what is between its quotes, escapes and all.
func (c *cursor) str() []byte {
	c.next()
	begin := c.at + 1
	for c.at++; c.text[c.at] != '"'; c.at++ {
		if c.text[c.at] == '\\' {
			c.at++
		}
	}
	c.at++
	return c.text[begin : c.at-1]
}

// raw reads any value and returns its text.
func (c *cursor) raw() []byte {
	first := c.next()
	begin := c.at
	switch first {
	case '"':
		c.str()
	case '{', '[':
		c.nested()
	default:
		c.at += len(c.text[c.at:])
		if end := bytes.IndexAny(c.text[begin:], ",]} \t\r\n"); end >= 0 {
			c.at = begin + end
		}
	}
	return c.text[begin:c.at]
}

// nested reads an object or array.
func (c *cursor) nested() {
	for depth := 0; ; {
		switch c.text[c.at] {
		case '"':
			c.str()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		c.at++
		if depth == 0 {
			return
		}
	}
}

// object reads an object and calls field for each key; field reads the value.
func (c *cursor) object(field func(key string)) {
	c.next()
	c.at++
	for c.next() != '}' {
		key := unquote(c.str())
		c.next()
		c.at++ // the colon
		field(key)
		if c.next() == ',' {
			c.at++
		}
	}
	c.at++
}

// array reads an array and calls element for each element, which it reads.
func (c *cursor) array(element func()) {
	c.next()
	c.at++
	for c.next() != ']' {
		element()
		if c.next() == ',' {
			c.at++
		}
	}
	c.at++
}

// unquote returns what raw, the inside of a JSON string, says.
func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw)
	}
	quoted := make([]byte, 0, len(raw)+2)
	quoted = append(append(append(quoted, '"'), raw...), '"')
	var text string
	if json.Unmarshal(quoted, &text) != nil {
		return string(raw) // cannot be: it was part of valid text
	}
	return text
}

// textLen returns how many bytes of UTF-8 raw, the inside of a JSON string, says.
func textLen(raw []byte) int64 {
	n := int64(len(raw))
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return n
		}
		if raw[i+1] != 'u' {
			n--
			raw = raw[i+2:]
			continue
		}
		n += int64(runeLen(hex4(raw[i+2:i+6]))) - 6
		raw = raw[i+6:]
	}
}

// hex4 returns the number that four hexadecimal digits say.
func hex4(digits []byte) (n rune) {
	for _, d := range digits {
		n = n<<4 | rune(hexDigit(d))
	}
	return n
}

// hexDigit returns what one hexadecimal digit says, 255 if it is none.
func hexDigit(d byte) byte {
	switch {
	case d >= '0' && d <= '9':
		return d - '0'
	case d >= 'a' && d <= 'f':
		return d - 'a' + 10
	case d >= 'A' && d <= 'F':
		return d - 'A' + 10
	}
	return 255
}

// runeLen returns how many bytes of UTF-8 the escape of r stands for. Each half of a surrogate pair stands for two.
func runeLen(r rune) int {
	switch {
	case r < 0x80:
		return 1
	case r < 0x800, r >= 0xD800 && r < 0xE000:
		return 2
	}
	return 3
}
