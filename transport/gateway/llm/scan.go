package llm

// maxDepth is how deep a scanner follows JSON. What is deeper is no answer of a model.
const maxDepth = 512

// keyDepth is how deep the keys are that mean something: choices, [], delta, tool_calls, [], function, arguments.
const keyDepth = 10

// A state is what a scanner expects next.
type state uint8

const (
	wantValue  state = iota // a value
	wantFirst               // a value, or the end of the array
	wantKey                 // a key
	firstKey                // a key, or the end of the object
	wantColon               // the colon after a key
	wantMore                // a comma, or the end of what is open
	inString                // the rest of a string, be it a key
	inEscape                // what is escaped in it
	inHex                   // the digits of such an escape
	inNumber                // the rest of a number
	inFraction              // the rest of a number that no longer matters
	inLiteral               // the rest of true, false or null
	ended                   // nothing but white space
	lost                    // this is not JSON
)

// A scanner reads JSON piece by piece, in bounded memory, and tells an answer what it meets. The zero value is ready. It
// takes some things that are not JSON, such as 1.2.3; what it does not take is text to it from there on.
type scanner struct {
	state  state
	depth  int
	arrays [maxDepth / 64]uint64 // bit d is set if what is open at depth d+1 is an array
	path   [keyDepth]key         // the keys above the next value; an array's elements have the array's

	isKey  bool
	name   [32]byte // of the key being read
	length int      // of the string being read, in bytes of UTF-8
	hex    rune
	digits int // of hex that were read

	number   int64
	negative bool
}

// feed reads text and tells to what it says.
func (s *scanner) feed(text []byte, to *answer) {
	for i := 0; i < len(text); {
		switch s.state {
		case inString:
			i += s.letters(text[i:], to)
		case lost:
			to.junk(text[i:])
			return
		default:
			if s.step(text[i], to) {
				i++
			}
		}
	}
}

// end ends the text and tells whether it was one whole JSON value.
func (s *scanner) end() bool {
	return s.state == ended || s.depth == 0 && (s.state == inNumber || s.state == inFraction || s.state == inLiteral)
}

// step reads b and returns whether that is done; else b is to be read again in the next state.
func (s *scanner) step(b byte, to *answer) bool {
	switch s.state {
	case inEscape:
		return s.escape(b, to)
	case inHex:
		return s.hexadecimal(b, to)
	case inNumber, inFraction, inLiteral:
		return s.scalar(b, to)
	default:
		if b == ' ' || b == '\t' || b == '\r' || b == '\n' {
			return true
		}
		return s.token(b, to)
	}
}

// token reads the first byte of a token. It returns false if b is text.
func (s *scanner) token(b byte, to *answer) bool {
	switch s.state {
	case wantValue, wantFirst:
		if b == ']' && s.state == wantFirst {
			s.close()
			return true
		}
		return s.begin(b, to)
	case wantKey, firstKey:
		if b == '}' && s.state == firstKey {
			s.close()
			return true
		}
		if b == '"' {
			s.state, s.isKey, s.length = inString, true, 0
			return true
		}
	case wantColon:
		if b == ':' {
			s.state = wantValue
			return true
		}
	case wantMore:
		if s.more(b) {
			return true
		}
	default: // nothing may come after the end
	}
	s.state = lost
	return false
}

// more reads what comes after a value. It returns false if b does not fit there.
func (s *scanner) more(b byte) bool {
	array := s.inArray()
	switch {
	case b == ',' && array:
		s.state = wantValue
	case b == ',':
		s.state = wantKey
	case b == ']' && array, b == '}' && !array:
		s.close()
	default:
		return false
	}
	return true
}

// begin reads the first byte of a value. It returns false if b is none.
func (s *scanner) begin(b byte, to *answer) bool {
	to.value(s, b)
	switch {
	case b == '"':
		s.state, s.isKey, s.length = inString, false, 0
	case b == '{', b == '[':
		return s.open(b == '[')
	case b == '-':
		s.state, s.number, s.negative = inNumber, 0, true
	case b >= '0' && b <= '9':
		s.state, s.number, s.negative = inNumber, int64(b-'0'), false
	case b == 't', b == 'f', b == 'n':
		s.state = inLiteral
	default:
		s.state = lost
		return false
	}
	return true
}

// open enters an object or array.
func (s *scanner) open(array bool) bool {
	if s.depth == maxDepth {
		s.state = lost
		return false
	}
	word, bit := s.depth/64, uint64(1)<<(s.depth%64)
	s.arrays[word] &^= bit
	s.state = firstKey
	inherited := noKey
	if array {
		s.arrays[word] |= bit
		s.state = wantFirst
		inherited = s.key(s.depth)
	}
	s.depth++
	if s.depth < keyDepth {
		s.path[s.depth] = inherited
	}
	return true
}

// close leaves an object or array.
func (s *scanner) close() {
	s.depth--
	s.done()
}

// done ends a value.
func (s *scanner) done() {
	s.state = wantMore
	if s.depth == 0 {
		s.state = ended
	}
}

// inArray tells whether what is open is an array.
func (s *scanner) inArray() bool {
	d := s.depth - 1
	return s.arrays[d/64]>>(d%64)&1 != 0
}

// key returns the key at a depth, from 1 on.
func (s *scanner) key(depth int) key {
	if depth >= keyDepth {
		return noKey
	}
	return s.path[depth]
}

// letters reads the begin of text as part of a string, and returns how many bytes that took.
func (s *scanner) letters(text []byte, to *answer) int {
	for i, b := range text {
		switch {
		case b == '"':
			s.put(text[:i], to)
			s.endString()
			return i + 1
		case b == '\\':
			s.put(text[:i], to)
			s.state = inEscape
			return i + 1
		case b < ' ':
			s.put(text[:i], to)
			s.state = lost
			return i
		}
	}
	s.put(text, to)
	return len(text)
}

// put adds letters to the string.
func (s *scanner) put(letters []byte, to *answer) {
	if s.isKey {
		if s.length < len(s.name) {
			copy(s.name[s.length:], letters)
		}
	} else {
		to.text(s, len(letters))
	}
	s.length += len(letters)
}

// endString ends the string.
func (s *scanner) endString() {
	if !s.isKey {
		s.done()
		return
	}
	s.state = wantColon
	if s.depth < keyDepth {
		s.path[s.depth] = noKey
		if s.length <= len(s.name) {
			s.path[s.depth] = keyOf(s.name[:s.length])
		}
	}
}
