package chaos

import (
	"fmt"
	"strings"
)

// didYouMean returns ", did you mean X?" for the one of known that word is most likely a slip of, "" if it is like none.
func didYouMean(word string, known []string) string {
	if len(word) > 64 {
		return ""
	}
	best, least := "", min(len(word), max(2, len(word)/3)+1)
	for _, k := range known {
		if d := distance(strings.ToLower(word), k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %s?", best)
}

// distance returns how many bytes have to be added, dropped or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
