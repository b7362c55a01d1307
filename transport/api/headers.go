package api

import (
	"math/bits"
	"net/http"
	"strconv"
	"time"

	"github.com/noriahq/noria/bucket"
)

// Applied is a limit that a request met, and the decision on it.
type Applied struct {
	// Name names the limit to callers, such as the rule or the key it comes from. Any text; bytes that a header cannot carry
	// are percent-encoded. "default" if empty.
	Name string

	// Limit is the limit.
	Limit bucket.Limit

	// Decision is the decision on it.
	Decision bucket.Decision
}

// What headers hold at most, so that they fit the 4 KiB that common proxies take.
const (
	maxApplied    = 10                  // limits listed
	maxHeaderName = 96                  // bytes of a name
	maxInteger    = 999_999_999_999_999 // of a structured field, RFC 9651 section 3.3.1
)

// retryNever is the Retry-After of a request that waiting does not help. No number is right; a day is seldom enough to
// cost nothing, and clients' timers hold it. The JSON body says -1.
const retryNever = 24 * time.Hour

// The header names, as http.Header spells them.
const (
	headerPolicy     = "Ratelimit-Policy"
	headerRateLimit  = "Ratelimit"
	headerLimit      = "X-Ratelimit-Limit"
	headerRemaining  = "X-Ratelimit-Remaining"
	headerReset      = "X-Ratelimit-Reset"
	headerType       = "X-Ratelimit-Type"
	headerRetryAfter = "Retry-After"
)

// WriteHeaders sets the headers that tell a client of the limits its request met:
//
//	RateLimit-Policy: "user";q=100;w=1, "month";q=10000;w=2678400
//	RateLimit: "user";r=0;t=1, "month";r=812;t=40000
//	X-RateLimit-Limit: 200          burst of the limit that denied, or of the one with the fewest tokens left
//	X-RateLimit-Remaining: 0        whole tokens left of it
//	X-RateLimit-Reset: 2            seconds until it is full again; absent if it never is
//	X-RateLimit-Type: user          name of the limit that denied; absent if none did
//	Retry-After: 1                  seconds, at least 1; absent if none denied, a day if waiting does not help
//
// The first two follow draft-ietf-httpapi-ratelimit-headers-11: q tokens every w seconds, rounded so that a client that
// believes them asks too little and never too much; r tokens left, t seconds until the limit is full again or, where it
// denied, until Retry-After. A limit that is never refilled has no w and no t. At most ten limits are listed, the first
// ones and the one that denied.
//
// It sets nothing if met is empty. h is the caller's; met is not kept.
func WriteHeaders(h http.Header, met []Applied) {
	if len(met) == 0 {
		return
	}
	main := mainApplied(met)
	denied := !met[main].Decision.Allowed
	values := make([]string, 7) // one allocation for the values of all headers
	set := func(name, value string) {
		values[0] = value
		h[name] = values[:1:1]
		values = values[1:]
	}
	policy, state := items(met, main)
	set(headerPolicy, policy)
	set(headerRateLimit, state)
	m := &met[main]
	set(headerLimit, strconv.FormatInt(m.Limit.Burst, 10))
	set(headerRemaining, strconv.FormatInt(max(0, m.Decision.Remaining), 10))
	if m.Decision.ResetAfter != bucket.Never {
		set(headerReset, strconv.FormatInt(seconds(m.Decision.ResetAfter), 10))
	}
	if denied {
		set(headerType, string(appendName(nil, m.Name)))
		set(headerRetryAfter, retryAfter(longestRetry(met)))
	}
}

// retryAfter returns the value of Retry-After for a wait of d.
func retryAfter(d time.Duration) string {
	if d == bucket.Never {
		d = retryNever
	}
	return strconv.FormatInt(max(1, seconds(d)), 10)
}

// mainApplied returns the index of the first limit that denied or, where none did, of the first with the fewest tokens
// left.
func mainApplied(met []Applied) int {
	least := 0
	for i := range met {
		if !met[i].Decision.Allowed {
			return i
		}
		if met[i].Decision.Remaining < met[least].Decision.Remaining {
			least = i
		}
	}
	return least
}

// longestRetry returns the longest RetryAfter of the limits that denied.
func longestRetry(met []Applied) time.Duration {
	var d time.Duration
	for i := range met {
		if !met[i].Decision.Allowed {
			d = max(d, met[i].Decision.RetryAfter)
		}
	}
	return d
}

// items returns the values of RateLimit-Policy and RateLimit. The limit at index main is in both.
func items(met []Applied, main int) (policy, state string) {
	p, s := make([]byte, 0, 128), make([]byte, 0, 128)
	for i := range met {
		if listed := i < maxApplied-1 || i == main || (i == maxApplied-1 && main < maxApplied); !listed {
			continue
		}
		if i > 0 {
			p, s = append(p, ", "...), append(s, ", "...)
		}
		p = appendPolicy(p, &met[i])
		s = appendState(s, &met[i])
	}
	return string(p), string(s)
}

// appendPolicy appends a quota policy item.
func appendPolicy(b []byte, a *Applied) []byte {
	q, w := quota(a.Limit)
	b = appendString(b, a.Name)
	b = append(b, ";q="...)
	b = strconv.AppendInt(b, q, 10)
	if w > 0 {
		b = append(b, ";w="...)
		b = strconv.AppendInt(b, w, 10)
	}
	return b
}

// appendState appends a service limit item.
func appendState(b []byte, a *Applied) []byte {
	d := &a.Decision
	b = appendString(b, a.Name)
	b = append(b, ";r="...)
	b = strconv.AppendInt(b, max(0, d.Remaining), 10)
	t := d.ResetAfter
	if !d.Allowed {
		t = d.RetryAfter
	}
	if t != bucket.Never {
		b = append(b, ";t="...)
		b = strconv.AppendInt(b, seconds(t), 10)
	}
	return b
}

// quota returns how many tokens l gives in how many seconds, 0 for never again. Where seconds cannot say it exactly the
// tokens are rounded down; a month counts 31 days and a year 366.
func quota(l bucket.Limit) (tokens, window int64) {
	const day = 86400
	switch l.Window {
	case bucket.None, bucket.Concurrency: // below
	case bucket.Hour:
		return l.Burst, 3600
	case bucket.Day:
		return l.Burst, day
	case bucket.Week:
		return l.Burst, 7 * day
	case bucket.Month:
		return l.Burst, 31 * day
	case bucket.Year:
		return l.Burst, 366 * day
	case bucket.Fixed:
		return l.Burst, max(1, seconds(l.Per))
	}
	if l.Tokens == 0 || l.Per <= 0 {
		return l.Burst, 0
	}
	window = seconds(l.Per)
	return scale(l.Tokens, window, l.Per), window
}

// scale returns the whole tokens that a rate of tokens every per gives in window seconds, at most maxInteger. window is
// per rounded up.
func scale(tokens, window int64, per time.Duration) int64 {
	hi, lo := bits.Mul64(uint64(tokens), uint64(window)*uint64(time.Second))
	if hi >= uint64(per) {
		return maxInteger
	}
	n, _ := bits.Div64(hi, lo, uint64(per))
	return int64(min(n, maxInteger))
}

// seconds returns d in whole seconds, rounded up and at most maxInteger.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}
