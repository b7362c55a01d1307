package api

import (
	"bytes"
	"fmt"
	"strconv"
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
