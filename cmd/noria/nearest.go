package main

import (
	"fmt"
	"strings"
)

// didYouMean returns ", did you mean X?" for the one of known that word is most likely a slip of, "" if it is like none.
// quote is how X is written.
func didYouMean(word string, known []string, quote string) string {
	near := nearest(word, known)
	if near == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean "+quote+"?", near)
}

// nearest returns the one of known that word is most likely a slip of, "" if it is like none. A beginning of just one of
// them counts as that one.
func nearest(word string, known []string) string {
	if len(word) > 64 {
		return ""
	}
	word = strings.ToLower(word)
	best, least, begins := "", max(1, len(word)/3)+1, ""
	for _, k := range known {
		lower := strings.ToLower(k)
		if d := distance(word, lower); d < least {
			best, least = k, d
		}
		if len(word) > 1 && strings.HasPrefix(lower, word) {
			begins = only(begins, k)
		}
	}
	if best == "" && begins != ambiguous {
		return begins
	}
	return best
}

// ambiguous is what only returns for two words.
const ambiguous = "\x00"

// only returns k if there was none before.
func only(before, k string) string {
	if before == "" {
		return k
	}
	return ambiguous
}

// distance returns how many bytes have to be added, dropped, changed or swapped with their neighbour to make b of a
// (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			same := 1
			if a[i] == b[j] {
				same = 0
			}
			row[j+1] = min(last[j]+same, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
