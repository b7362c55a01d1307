package main

import (
	"fmt"

	"github.com/noriahq/noria/bucket/nearest"
)

// didYouMean returns ", did you mean X?" for the one of known that word is most likely a slip of, "" if it is like none.
// quote is how X is written.
func didYouMean(word string, known []string, quote string) string {
	near := nearest.To(word, known, 3)
	if near == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean "+quote+"?", near)
}
