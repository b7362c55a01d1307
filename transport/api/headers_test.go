package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/noriahq/noria/bucket"
)

// limitOf returns the limit that text says.
func limitOf(t testing.TB, text string) bucket.Limit {
	t.Helper()
	l, err := bucket.ParseLimit(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// The headers of the outward contract.
func TestWriteHeaders(t *testing.T) {
	applied := func(name, limit string, d bucket.Decision) Applied {
		return Applied{Name: name, Limit: limitOf(t, limit), Decision: d}
	}
	for _, c := range []struct {
		name string
		met  []Applied
		want http.Header
	}{
		{"none", nil, http.Header{}},
		{"allowed", []Applied{applied("user", "100/s burst 200", bucket.Decision{Allowed: true, Remaining: 199, ResetAfter: 10 * time.Millisecond})}, http.Header{
			"Ratelimit-Policy":      {`"user";q=100;w=1`},
			"Ratelimit":             {`"user";r=199;t=1`},
			"X-Ratelimit-Limit":     {"200"},
			"X-Ratelimit-Remaining": {"199"},
			"X-Ratelimit-Reset":     {"1"},
		}},
		{"full", []Applied{applied("", "20/m", bucket.Decision{Allowed: true, Remaining: 20})}, http.Header{
			"Ratelimit-Policy":      {`"default";q=20;w=60`},
			"Ratelimit":             {`"default";r=20;t=0`},
			"X-Ratelimit-Limit":     {"20"},
			"X-Ratelimit-Remaining": {"20"},
			"X-Ratelimit-Reset":     {"0"},
		}},
		{"denied, rounded up to a second", []Applied{applied("user", "100/s", bucket.Decision{RetryAfter: time.Millisecond, ResetAfter: time.Second + 1})}, http.Header{
			"Ratelimit-Policy":      {`"user";q=100;w=1`},
			"Ratelimit":             {`"user";r=0;t=1`},
			"X-Ratelimit-Limit":     {"100"},
			"X-Ratelimit-Remaining": {"0"},
			"X-Ratelimit-Reset":     {"2"},
			"X-Ratelimit-Type":      {"user"},
			"Retry-After":           {"1"},
		}},
		{"denied for no time is still a second", []Applied{applied("user", "100/s", bucket.Decision{})}, http.Header{
			"Ratelimit-Policy":      {`"user";q=100;w=1`},
			"Ratelimit":             {`"user";r=0;t=0`},
			"X-Ratelimit-Limit":     {"100"},
			"X-Ratelimit-Remaining": {"0"},
			"X-Ratelimit-Reset":     {"0"},
			"X-Ratelimit-Type":      {"user"},
			"Retry-After":           {"1"},
		}},
		{"denied for good", []Applied{applied("trial", "quota 5", bucket.Decision{RetryAfter: bucket.Never, ResetAfter: bucket.Never})}, http.Header{
			"Ratelimit-Policy":      {`"trial";q=5`},
			"Ratelimit":             {`"trial";r=0`},
			"X-Ratelimit-Limit":     {"5"},
			"X-Ratelimit-Remaining": {"0"},
			"X-Ratelimit-Type":      {"trial"},
			"Retry-After":           {"86400"},
		}},
		{"the first denial names, the longest one waits", []Applied{
			applied("ip", "9/s", bucket.Decision{Allowed: true, Remaining: 0, ResetAfter: time.Second}),
			applied("user", "9/m", bucket.Decision{Remaining: 3, RetryAfter: 4 * time.Second, ResetAfter: time.Minute}),
			applied("all", "quota 9 per month", bucket.Decision{Remaining: 2, RetryAfter: time.Hour, ResetAfter: time.Hour}),
		}, http.Header{
			"Ratelimit-Policy":      {`"ip";q=9;w=1, "user";q=9;w=60, "all";q=9;w=2678400`},
			"Ratelimit":             {`"ip";r=0;t=1, "user";r=3;t=4, "all";r=2;t=3600`},
			"X-Ratelimit-Limit":     {"9"},
			"X-Ratelimit-Remaining": {"3"},
			"X-Ratelimit-Reset":     {"60"},
			"X-Ratelimit-Type":      {"user"},
			"Retry-After":           {"3600"},
		}},
	} {
		h := http.Header{}
		WriteHeaders(h, c.met)
		if diff := cmp.Diff(h, c.want); diff != "" {
			t.Errorf("%s: WriteHeaders (-got +want):\n%s", c.name, diff)
		}
	}
}

// At most ten limits are listed, and the one that denied is always among them.
func TestWriteHeadersMany(t *testing.T) {
	for _, denied := range []int{0, 8, 9, 10, 999} {
		met := make([]Applied, 1000)
		for i := range met {
			met[i] = Applied{Name: fmt.Sprintf("%0100d", i), Limit: limitOf(t, "1/s"), Decision: bucket.Decision{Allowed: i != denied}}
		}
		met[denied].Name = "culprit"
		h := http.Header{}
		WriteHeaders(h, met)
		for _, name := range []string{"RateLimit", "RateLimit-Policy"} {
			got := h.Get(name)
			if n := strings.Count(got, ", ") + 1; n != 10 || !strings.Contains(got, `"culprit";`) || len(got) > 2048 {
				t.Errorf("denied %d: %s lists %d limits in %d bytes, want 10 with the culprit: %s", denied, name, n, len(got), got)
			}
		}
	}
}

// q tokens in w seconds are never more than the limit gives.
func TestQuota(t *testing.T) {
	for _, c := range []struct {
		limit           string
		tokens, seconds int64
	}{
		{"100/s", 100, 1},
		{"100/500ms", 200, 1},
		{"1/1500ms", 1, 2}, // 1.33 rounded down
		{"20/m", 20, 60},
		{"1000/10s", 1000, 10},
		{"3/d", 3, 86400},
		{"1000000000/s", 1_000_000_000, 1},
		{"quota 5", 5, 0},
		{"quota 5 per hour", 5, 3600},
		{"quota 5 per day", 5, 86400},
		{"quota 5 per week", 5, 604800},
		{"quota 5 per month in Europe/Berlin", 5, 2678400},
		{"quota 5 per year", 5, 31622400},
		{"window 5 per 1m", 5, 60},
		{"window 5 per 100ms", 5, 1},
	} {
		if q, w := quota(limitOf(t, c.limit)); q != c.tokens || w != c.seconds {
			t.Errorf("quota(%s) = %d in %d s, want %d in %d s", c.limit, q, w, c.tokens, c.seconds)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		l := bucket.Limit{Burst: 1, Per: time.Duration(rapid.Int64Min(1).Draw(t, "per"))}
		l.Tokens = rapid.Int64Range(1, int64(l.Per)).Draw(t, "tokens") // more are not valid
		q, w := quota(l)
		if q < 0 || q > maxInteger || w < 1 || w > maxInteger {
			t.Fatalf("quota(%v) = %d, %d, want numbers of a structured field", l, q, w)
		}
		// q/w <= tokens/per, as floats can tell it
		if got, most := float64(q)/float64(w), float64(l.Tokens)/l.Per.Seconds(); got > most*(1+1e-9) {
			t.Fatalf("quota(%v) = %d in %d s, which is more than %v/s", l, q, w, most)
		}
	})
}

// Whatever the name, what is written is a structured field string: printable ASCII in quotes, from which the name can be
// read back.
func TestAppendString(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := string(rapid.SliceOfN(rapid.Byte(), 1, maxHeaderName/3).Draw(t, "name"))
		got := string(appendString(nil, name))
		back, ok := readString(got)
		if !ok || back != name {
			t.Fatalf("appendString(%q) = %s, which reads as %q, %v", name, got, back, ok)
		}
		if strings.ContainsAny(got, "\r\n\x00") {
			t.Fatalf("appendString(%q) = %q breaks the header", name, got)
		}
	})
	if got := appendName(nil, strings.Repeat("é", 100)); len(got) > maxHeaderName {
		t.Errorf("appendName(a long name) has %d bytes, want at most %d", len(got), maxHeaderName)
	}
}

// readString reads a structured field string (RFC 9651 section 4.2.5) and then undoes the percent-encoding. It is a
// plain second opinion on appendString.
func readString(s string) (string, bool) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", false
	}
	var plain []byte
	for i := 1; i < len(s)-1; i++ {
		c := s[i]
		switch {
		case c == '\\' && (s[i+1] == '"' || s[i+1] == '\\') && i+1 < len(s)-1:
			i++
			plain = append(plain, s[i])
		case c == '\\' || c == '"' || c < 0x20 || c > 0x7e:
			return "", false
		default:
			plain = append(plain, c)
		}
	}
	var out []byte
	for i := 0; i < len(plain); i++ {
		if plain[i] != '%' {
			out = append(out, plain[i])
			continue
		}
		var b byte
		if i+3 > len(plain) {
			return "", false
		}
		if _, err := fmt.Sscanf(string(plain[i+1:i+3]), "%02X", &b); err != nil {
			return "", false
		}
		out = append(out, b)
		i += 2
	}
	return string(out), true
}
