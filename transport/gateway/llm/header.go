package llm

import (
	"net/http"
	"strconv"
	"strings"
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

// WriteHeaders puts into h what the SDKs of style s and their users read of b:
// x-ratelimit-{limit,remaining,reset}-{requests,tokens} with the time to wait, such as 6m0s or 20ms, or
// anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset} with the time it will be, for
// which now is the wall clock's. All that h has of these is removed first: what the upstream says is of the gateway's own
// account there.
func WriteHeaders(h http.Header, s Style, now time.Time, b Budgets) {
	for name := range h {
		if ofFamily(name) {
			delete(h, name)
		}
	}
	if s == Anthropic {
		writeAnthropic(h, "Requests", now, b.Requests)
		writeAnthropic(h, "Tokens", now, b.Tokens)
		writeAnthropic(h, "Input-Tokens", now, b.Input)
		writeAnthropic(h, "Output-Tokens", now, b.Output)
		return
	}
	writeOpenAI(h, "Requests", b.Requests)
	writeOpenAI(h, "Tokens", b.Tokens)
}

// ofFamily tells whether name, in canonical form, is a header field of the two families.
func ofFamily(name string) bool {
	if rest, ok := strings.CutPrefix(name, "X-Ratelimit-"); ok {
		return strings.HasPrefix(rest, "Limit-") || strings.HasPrefix(rest, "Remaining-") || strings.HasPrefix(rest, "Reset-")
	}
	return strings.HasPrefix(name, "Anthropic-Ratelimit-")
}

// writeOpenAI says of b what x-ratelimit-*-KIND says.
func writeOpenAI(h http.Header, kind string, b *Budget) {
	if b == nil {
		return
	}
	h.Set("X-Ratelimit-Limit-"+kind, strconv.FormatInt(b.Limit, 10))
	h.Set("X-Ratelimit-Remaining-"+kind, strconv.FormatInt(max(b.Remaining, 0), 10))
	h.Set("X-Ratelimit-Reset-"+kind, wholeMilliseconds(b.Reset).String())
}

// writeAnthropic says of b what anthropic-ratelimit-KIND-* says.
func writeAnthropic(h http.Header, kind string, now time.Time, b *Budget) {
	if b == nil {
		return
	}
	begin := "Anthropic-Ratelimit-" + kind
	h.Set(begin+"-Limit", strconv.FormatInt(b.Limit, 10))
	h.Set(begin+"-Remaining", strconv.FormatInt(max(b.Remaining, 0), 10))
	at := now.Add(max(b.Reset, 0))
	if whole := at.Truncate(time.Second); whole.Before(at) {
		at = whole.Add(time.Second)
	}
	h.Set(begin+"-Reset", at.UTC().Format(time.RFC3339))
}

// wholeMilliseconds returns d rounded up to milliseconds, 0 if it is negative.
func wholeMilliseconds(d time.Duration) time.Duration {
	const mostRounded = time.Duration(1<<63-1) - time.Millisecond
	return time.Duration(roundUp(min(max(d, 0), mostRounded), time.Millisecond)) * time.Millisecond
}
