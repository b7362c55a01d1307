package descriptors

import "strings"

// wild stands in a value for any text, of any length.
const wild = "*"

// fits says whether s is pattern, in which each * may be any text, also none. It takes time with the product of their
// lengths at most.
func fits(pattern, s string) bool {
	head, rest, found := strings.Cut(pattern, wild)
	if !found {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, head)
	if !ok {
		return false
	}
	for {
		part, more, found := strings.Cut(rest, wild)
		if !found {
			return strings.HasSuffix(s, part)
		}
		at := strings.Index(s, part) // the first place leaves most for the others
		if at < 0 {
			return false
		}
		s, rest = s[at+len(part):], more
	}
}
