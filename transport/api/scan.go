package api

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport"
)

// A scanner reads one JSON text (RFC 8259) whose shape the caller knows. It is stricter than encoding/json, because a
// limiter that guesses what was meant limits the wrong thing: bytes that are not UTF-8, halves of surrogate pairs, null
// and anything after the text are errors. It has no recursion and makes no garbage but strings with escapes.
type scanner struct {
	data []byte
	at   int   // next byte
	in   place // check that is being read, for errors
}

// fail returns an error about the next byte.
func (s *scanner) fail(format string, args ...any) error {
	return fmt.Errorf("%w: %s (at byte %d)", transport.ErrRequest, fmt.Sprintf(format, args...), s.at)
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for ; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// found names what comes next, for errors.
func (s *scanner) found() string {
	switch c := s.peek(); {
	case s.at == len(s.data):
		return "the end of the body"
	case c == '"':
		return "a string"
	case c == '{':
		return "an object"
	case c == '[':
		return "an array"
	case c == '-' || '0' <= c && c <= '9':
		return "a number"
	case bytes.HasPrefix(s.data[s.at:], []byte("null")):
		return "null"
	case bytes.HasPrefix(s.data[s.at:], []byte("true")), bytes.HasPrefix(s.data[s.at:], []byte("false")):
		return "a boolean"
	}
	r, _ := utf8.DecodeRune(s.data[s.at:])
	if r == '\ufeff' {
		return "a byte order mark"
	}
	return strconv.QuoteRune(r)
}

// object reads an object and calls field with each name. field reads the value and does not keep name.
func (s *scanner) object(what string, field func(name []byte) error) error {
	if s.peek() != '{' {
		return s.fail("%s is %s; want an object such as {\"key\":\"user:42\",\"limit\":\"100/s\"}", s.in.of(what), s.found())
	}
	s.at++
	if s.peek() == '}' {
		s.at++
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.fail("found %s; want the name of a field in double quotes", s.found())
		}
		name, err := s.str("the name of a field")
		if err != nil {
			return err
		}
		if s.peek() != ':' {
			return s.fail("found %s; want a colon after the name of a field", s.found())
		}
		s.at++
		if err := field(name); err != nil {
			return err
		}
		if more, err := s.next('}'); err != nil || !more {
			return err
		}
	}
}

// array reads an array and calls item with each index. item reads the value.
func (s *scanner) array(what string, item func(i int) error) error {
	if s.peek() != '[' {
		return s.fail("%s is %s; want an array", s.in.of(what), s.found())
	}
	s.at++
	if s.peek() == ']' {
		s.at++
		return nil
	}
	for i := 0; ; i++ {
		if err := item(i); err != nil {
			return err
		}
		if more, err := s.next(']'); err != nil || !more {
			return err
		}
	}
}

// next reads the comma that more entries follow, or closing.
func (s *scanner) next(closing byte) (more bool, err error) {
	switch s.peek() {
	case ',':
		s.at++
		return true, nil
	case closing:
		s.at++
		return false, nil
	}
	return false, s.fail("found %s; want a comma or %q", s.found(), closing)
}

// end checks that nothing follows.
func (s *scanner) end() error {
	if s.peek(); s.at < len(s.data) {
		return s.fail("found %s after the end of the request", s.found())
	}
	return nil
}

// integer reads a whole number. what names it in errors.
func (s *scanner) integer(what string) (int64, error) {
	c := s.peek()
	start := s.at
	if c == '-' {
		s.at++
	}
	digits := s.at
	for s.at < len(s.data) && '0' <= s.data[s.at] && s.data[s.at] <= '9' {
		s.at++
	}
	switch {
	case s.at == digits && c == '-':
		return 0, s.fail("%s has no digits after the minus sign", s.in.of(what))
	case s.at == digits:
		return 0, s.fail("%s is %s; want a whole number", s.in.of(what), s.found())
	case s.data[digits] == '0' && s.at > digits+1:
		s.at = start
		return 0, s.fail("%s starts with a zero; JSON has no such numbers", s.in.of(what))
	case s.at < len(s.data) && bytes.IndexByte([]byte(".eE"), s.data[s.at]) >= 0:
		s.at = start
		return 0, s.fail("%s has a fraction or an exponent; want a whole number in plain digits", s.in.of(what))
	}
	n, err := strconv.ParseInt(string(s.data[start:s.at]), 10, 64)
	if err != nil {
		s.at = start
		return 0, s.fail("%s does not fit 64 bits; want a whole number of at most %d", s.in.of(what), bucket.MaxCost)
	}
	return n, nil
}

// str reads a string. what names it in errors. The result is part of data where the string has no escapes.
func (s *scanner) str(what string) ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.fail("%s is %s; want a string", s.in.of(what), s.found())
	}
	s.at++
	start := s.at
	for ; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; {
		case c == '"':
			raw := s.data[start:s.at]
			if !utf8.Valid(raw) {
				s.at = start
				return nil, s.fail("%s is not valid UTF-8; encode other bytes, in base64 for example", s.in.of(what))
			}
			s.at++
			return raw, nil
		case c == '\\':
			return s.escaped(what, start)
		case c < 0x20:
			return nil, s.fail("%s has a control character; write it as an escape", s.in.of(what))
		}
	}
	return nil, s.fail("%s has no closing quote", s.in.of(what))
}

// escaped reads the rest of a string that began at start and whose first escape comes next.
func (s *scanner) escaped(what string, start int) ([]byte, error) {
	out := append([]byte(nil), s.data[start:s.at]...)
	for s.at < len(s.data) {
		c := s.data[s.at]
		switch {
		case c == '"':
			s.at++
			if !utf8.Valid(out) {
				return nil, s.fail("%s is not valid UTF-8; encode other bytes, in base64 for example", s.in.of(what))
			}
			return out, nil
		case c < 0x20:
			return nil, s.fail("%s has a control character; write it as an escape", s.in.of(what))
		case c != '\\':
			out = append(out, c)
			s.at++
		default:
			r, err := s.escape(what)
			if err != nil {
				return nil, err
			}
			out = utf8.AppendRune(out, r)
		}
	}
	return nil, s.fail("%s has no closing quote", s.in.of(what))
}

// escape reads one escape.
func (s *scanner) escape(what string) (rune, error) {
	const short, means = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if s.at+1 < len(s.data) {
		if i := bytes.IndexByte([]byte(short), s.data[s.at+1]); i >= 0 {
			s.at += 2
			return rune(means[i]), nil
		}
	}
	r, ok := s.hex(s.at)
	if !ok {
		return 0, s.fail("%s has a backslash that starts no escape of JSON", s.in.of(what))
	}
	if !utf16.IsSurrogate(r) {
		s.at += 6
		return r, nil
	}
	low, _ := s.hex(s.at + 6)
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, s.fail("%s has half of a surrogate pair; write both halves", s.in.of(what))
	}
	s.at += 12
	return r, nil
}

// hex returns what the escape \uXXXX at index i stands for.
func (s *scanner) hex(i int) (rune, bool) {
	if i+6 > len(s.data) || s.data[i] != '\\' || s.data[i+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range s.data[i+2 : i+6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
