// Package nearest finds the word that somebody meant who wrote another one.
package nearest

import "strings"

// most is the longest word, in bytes, that is compared: what is longer is no slip, and the work grows with the square.
const most = 64

// To returns the one of known that word is most likely a slip of, "" if it is like none: the one that needs the fewest
// changes, the first of several, if those are at most one, or one for every part letters of the longer of the two. A
// beginning of two letters or more of just one of known counts as that one. Upper and lower case are the same. It is made for ASCII.
func To(word string, known []string, part int) string {
	if word == "" || len(word) > most {
		return ""
	}
	word = strings.ToLower(word)
	best, least, begins, begun := "", most, "", 0
	for _, k := range known {
		lower := strings.ToLower(k)
		if d := Distance(word, lower); d < least && d < len(word) && d <= max(1, max(len(word), len(k))/part) {
			best, least = k, d
		}
		if len(word) > 1 && strings.HasPrefix(lower, word) {
			begins, begun = k, begun+1
		}
	}
	if best == "" && begun == 1 {
		return begins
	}
	return best
}

// Distance returns how many bytes have to be added, dropped, changed or swapped with their neighbour to make b of a: the
// optimal string alignment distance. It takes len(a) * len(b) steps.
func Distance(a, b string) int {
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
