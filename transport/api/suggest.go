package api

import (
	"fmt"
	"strings"

	"github.com/noriahq/noria/transport"
)

// unknownField says that the API has no field of that name, and which one may have been meant.
func unknownField(at place, name string, known []string) error {
	return fmt.Errorf("%w: unknown field %q; %s", transport.ErrRequest, at.of(clip(name)), suggest(name, known))
}

// unknownWord says that field does not take value, and which one may have been meant.
func unknownWord(at place, field, value string, known []string) error {
	return fmt.Errorf("%w: %s is %q; %s", transport.ErrRequest, at.of(field), clip(value), suggest(value, known))
}

// suggest returns the rest of an error about an unknown word.
func suggest(word string, known []string) string {
	want := "want " + strings.Join(known[:len(known)-1], ", ")
	if len(known) > 1 {
		want += " or "
	}
	want += known[len(known)-1]
	if near := nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q? %s", near, want)
	}
	return want
}

// nearest returns the known word that word is most likely a slip of, "" if it is like none.
func nearest(word string, known []string) string {
	word = strings.ToLower(clip(word))
	best, least := "", max(1, len(word)/2)+1
	for _, k := range known {
		if d := distance(word, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance returns how many bytes have to be added, dropped or changed to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// clip cuts what a caller sent to a length that fits an error.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
