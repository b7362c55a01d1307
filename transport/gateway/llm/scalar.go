package llm

import "math"

// escape reads what comes after a backslash.
func (s *scanner) escape(b byte, to *answer) bool {
	letter := b
	switch b {
	case 'u':
		s.state, s.hex, s.digits = inHex, 0, 0
		return true
	case '"', '\\', '/':
	case 'b':
		letter = '\b'
	case 'f':
		letter = '\f'
	case 'n':
		letter = '\n'
	case 'r':
		letter = '\r'
	case 't':
		letter = '\t'
	default:
		s.state = lost
		return false
	}
	s.state = inString
	s.put([]byte{letter}, to)
	return true
}

// hexadecimal reads a digit of an escape of a character.
func (s *scanner) hexadecimal(b byte, to *answer) bool {
	d := hexDigit(b)
	if d > 15 {
		s.state = lost
		return false
	}
	s.hex = s.hex<<4 | rune(d)
	if s.digits++; s.digits < 4 {
		return true
	}
	s.state = inString
	letters := [3]byte{0xff, 0xff, 0xff} // no key that means something has others than those of ASCII
	if s.hex < 0x80 {
		letters[0] = byte(s.hex)
	}
	s.put(letters[:runeLen(s.hex)], to)
	return true
}

// scalar reads more of a number or literal, or ends it before b, which then is to be read again.
func (s *scanner) scalar(b byte, to *answer) bool {
	switch b {
	case ',', ']', '}', ' ', '\t', '\r', '\n':
		s.endScalar(to)
		return false
	}
	if s.state != inNumber {
		return true
	}
	switch {
	case b >= '0' && b <= '9':
		s.number = min(s.number*10+int64(b-'0'), math.MaxInt64/16)
	case b == '.':
		s.state = inFraction
	default: // 1e9: nobody counts tokens so
		s.state = inLiteral
	}
	return true
}

// endScalar ends a number or literal.
func (s *scanner) endScalar(to *answer) {
	if s.state != inLiteral {
		if s.negative {
			s.number = 0
		}
		to.count(s, s.number)
	}
	s.done()
}
