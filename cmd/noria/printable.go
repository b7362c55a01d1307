package main

import (
	"fmt"
	"strings"
	"unicode"
)

// printable returns s with what is not printed, such as what moves a terminal's cursor, written out: keys are bytes that anybody
// may choose.
func printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}
