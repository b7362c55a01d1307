package llm

import (
	"net/http"
	"time"
)

// A Budget is what a limit has left.
type Budget struct {
	Limit     int64         // the most there can be
	Remaining int64         // below 0 counts as 0
	Reset     time.Duration // until all of Limit is there again
}

// Budgets are what the limits of a request have left, nil where there is none of a kind. Input and Output are of
// Anthropic style only, for limits that count one of them.
type Budgets struct {
	Requests, Tokens, Input, Output *Budget
}

// WriteHeaders puts into h what the SDKs of style s and their users read of b, in place of what the upstream says:
// x-ratelimit-{limit,remaining,reset}-{requests,tokens} with the time to wait, or
// anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset} with the time it will be, for
// which now is the wall clock's time.
func WriteHeaders(h http.Header, s Style, now time.Time, b Budgets) {
}
