package api

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

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
