package bucket

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/noriahq/noria/bucket/nearest"
)

// The most bytes of the text that one error repeats: of the whole, and of what was found in it.
const (
	maxEcho  = 60
	maxFound = 32
)

// A kind is a sort of symbol.
type kind uint8

const (
	kindEnd     kind = iota
	kindNumber       // digits
	kindLetters      // ASCII letters
	kindOther        // any other character, alone
)

// A scanner cuts a text into symbols and stands at one of them. Its first error moves it to the end for good.
type scanner struct {
	text string
	err  error

	kind        kind
	start, stop int // of the symbol in text
}

// next moves to the next symbol.
func (s *scanner) next() {
	i := s.stop
	for i < len(s.text) {
		r, size := utf8.DecodeRuneInString(s.text[i:])
		if !unicode.IsSpace(r) {
			break
		}
		i += size
	}
	s.start = i
	if i == len(s.text) {
		s.kind, s.stop = kindEnd, i
		return
	}
	s.kind = kindOf(s.text[i])
	if s.kind == kindOther {
		_, size := utf8.DecodeRuneInString(s.text[i:])
		s.stop = i + size
		return
	}
	for i < len(s.text) && kindOf(s.text[i]) == s.kind {
		i++
	}
	s.stop = i
}

func kindOf(c byte) kind {
	switch {
	case '0' <= c && c <= '9':
		return kindNumber
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		return kindLetters
	}
	return kindOther
}

// word returns the symbol, "" at the end.
func (s *scanner) word() string { return s.text[s.start:s.stop] }

// is says whether the symbol is word, in upper or lower case.
func (s *scanner) is(word string) bool { return s.kind != kindEnd && strings.EqualFold(s.word(), word) }

// skip moves past the symbol if it is word, and says whether it was.
func (s *scanner) skip(word string) bool {
	if !s.is(word) {
		return false
	}
	s.next()
	return true
}

// glued says whether the symbol is a k and follows the one before it without a space.
func (s *scanner) glued(k kind) bool {
	return s.kind == k && s.start > 0 && kindOf(s.text[s.start-1]) != kindOther
}

// rest returns what is left up to the next space and moves past it.
func (s *scanner) rest() string {
	word := s.text[s.start:s.space(s.start)]
	s.stop = s.start + len(word)
	s.next()
	return word
}

// space returns where the first space at or after from is, or the end.
func (s *scanner) space(from int) int {
	if n := strings.IndexFunc(s.text[from:], unicode.IsSpace); n >= 0 {
		return from + n
	}
	return len(s.text)
}

// run returns, in quotes, what is found from a place to the next space.
func (s *scanner) run(from int) string {
	return strconv.Quote(clip(s.text[from:s.space(from)], maxFound))
}

// fail makes the first call's message, about the byte at, the error.
func (s *scanner) fail(at int, format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("%w %q: column %d: %s", ErrLimit, clip(s.text, maxEcho), at+1, fmt.Sprintf(format, args...))
	}
	s.kind, s.start, s.stop = kindEnd, len(s.text), len(s.text)
}

// unexpected fails because the symbol is not what is wanted. A word much like one of choices is taken for a slip.
func (s *scanner) unexpected(want string, choices ...string) {
	switch {
	case s.kind == kindEnd:
		s.fail(s.start, "found the end, want %s", want)
	case s.kind == kindLetters:
		if near := nearest.To(s.word(), choices, 2); near != "" {
			s.fail(s.start, "unknown word %q, did you mean %q?", clip(s.word(), maxFound), near)
			return
		}
		s.fail(s.start, "found %q, want %s", clip(s.word(), maxFound), want)
	default:
		s.fail(s.start, "found %s, want %s", s.run(s.start), want)
	}
}

// clip returns the first bytes of s, at most most of them, and "..." where that is not all.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "..."
}

// unitOf returns the unit that word names, 0 if it names none.
func unitOf(word string) time.Duration {
	switch strings.ToLower(word) {
	case "ns":
		return time.Nanosecond
	case "us":
		return time.Microsecond
	case "ms":
		return time.Millisecond
	case "s":
		return time.Second
	case "m":
		return time.Minute
	case "h":
		return time.Hour
	case "d":
		return day
	}
	return 0
}

// unitHint returns the unit that is meant by other words for it, "" if there is none.
func unitHint(word string) string {
	switch word {
	case "msec", "msecs", "milli", "millis", "millisecond", "milliseconds":
		return "ms"
	case "sec", "secs", "second", "seconds":
		return "s"
	case "min", "mins", "minute", "minutes":
		return "m"
	case "hr", "hrs", "hour", "hours":
		return "h"
	case "day", "days":
		return "d"
	case "w", "week", "weeks":
		return "7d"
	case "month", "months":
		return "30d"
	case "year", "years":
		return "365d"
	}
	return ""
}
