package main

import "github.com/noriahq/noria/bucket/policy/strict"

// didYouMean returns ", did you mean X?" for the one of known that word is most likely a slip of, "" if it is like none.
// quote is how X is written.
func didYouMean(word string, known []string, quote string) string {
	return strict.DidYouMean(word, known, quote)
}
