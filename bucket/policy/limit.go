package policy

import (
	"github.com/noriahq/noria/bucket"
)

// A Unit is what a limit counts.
type Unit uint8

// The units.
const (
	Requests    Unit = iota // each request costs 1
	LLMTokens               // tokens of language models, known once the answer has passed
	Concurrency             // requests under way at once
	Bytes                   // bytes of bodies, to and from the upstream
)

// String returns the word that policy files use for u.
func (u Unit) String() string {
	switch u {
	case Requests:
		return "requests"
	case LLMTokens:
		return "llm_tokens"
	case Concurrency:
		return "concurrency"
	case Bytes:
		return "bytes"
	}
	return "unknown"
}

// A Limit is one limit of the policy: what it counts, for whom, and how much there is.
type Limit struct {
	Name string
	Unit Unit

	// Shadow says that the limit decides and counts, and never refuses.
	Shadow bool

	// OnLost, Durability and ColdStart are for the requests to the buckets.
	OnLost     bucket.OnLost
	Durability bucket.Durability
	ColdStart  bucket.ColdStart

	parts  []part
	single bucket.Limit            // for all, where there are no tiers
	tiers  map[string]bucket.Limit // nil for a single limit; the zero Limit for unlimited
	other  string                  // the tier of tiers that answers for those it does not name
	when   *condition              // nil for always

	anonymous string // the tier of callers without identity
}
