package llm

import (
	"net/http"
	"time"
)

// A Refusal is an answer that the gateway gives itself, in place of the upstream's.
type Refusal struct {
	// Status is the answer's: 400, 401, 403, 404, 413, 429, 502, 503, 504 and others of 400 and above.
	Status int

	// Message says to people what is wrong and what to do. It must give nothing away.
	Message string

	// Param is the field of the request that is wrong, empty for none.
	Param string

	// RequestID names the request in the answer of Anthropic style, as it may be in logs. Empty leaves it out.
	RequestID string

	// Tokens is whether the limit that refused counts tokens, not requests.
	Tokens bool

	// RetryAfter is when a retry may succeed. 0 says nothing of it.
	RetryAfter time.Duration

	// Hard is whether waiting does not help, so that SDKs are not to retry.
	Hard bool
}

// WriteRefusal answers with d, in the shape that the SDKs of style s read, and with retry-after, retry-after-ms and
// x-should-retry.
func WriteRefusal(w http.ResponseWriter, s Style, d Refusal) {
	w.WriteHeader(d.Status)
}
