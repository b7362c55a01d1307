package api

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/noriahq/noria/bucket"
)

// appendAnswer appends the body of an answer of POST /v1/check: v on checks, in the form with an array if many.
func appendAnswer(b []byte, checks []check, v *verdict, many bool) []byte {
	main := v.decisions[v.main]
	main.Allowed, main.RetryAfter, main.Delay = v.allowed, v.retryAfter, v.delay
	b = appendDecision(b, &main, checks[v.main].text, v.source, v.deniedBy)
	if many {
		b = append(b, `,"checks":[`...)
		for i := range checks {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendOne(b, &checks[i], &v.decisions[i])
		}
		b = append(b, ']')
	}
	return append(b, "}\n"...)
}

// appendOne appends the decision on one of several checks.
func appendOne(b []byte, c *check, d *bucket.Decision) []byte {
	deniedBy := ""
	if !d.Allowed {
		deniedBy = c.label()
	}
	return append(appendDecision(b, d, c.text, sourceOf(d), deniedBy), '}')
}

// appendDecision appends d as a JSON object without its closing brace.
func appendDecision(b []byte, d *bucket.Decision, limit string, source bucket.Source, deniedBy string) []byte {
	b = append(b, `{"allowed":`...)
	b = strconv.AppendBool(b, d.Allowed)
	b = append(b, `,"limit":`...)
	b = appendText(b, limit)
	b = append(b, `,"remaining":`...)
	b = strconv.AppendInt(b, d.Remaining, 10)
	b = append(b, `,"retry_after_ms":`...)
	b = strconv.AppendInt(b, millis(d.RetryAfter), 10)
	b = append(b, `,"reset_after_ms":`...)
	b = strconv.AppendInt(b, millis(d.ResetAfter), 10)
	b = append(b, `,"node":`...)
	b = appendText(b, d.Node)
	b = append(b, `,"source":"`...)
	b = append(b, source.String()...)
	b = append(b, `","denied_by":`...)
	b = appendText(b, deniedBy)
	if d.Delay > 0 {
		b = append(b, `,"delay_ms":`...)
		b = strconv.AppendInt(b, millis(d.Delay), 10)
	}
	return b
}

// millis returns d in milliseconds, rounded up; -1 for never.
func millis(d time.Duration) int64 {
	if d == bucket.Never {
		return -1
	}
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond > 0 {
		ms++
	}
	return ms
}

// appendText appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		i++
	}
	return append(b, '"')
}
