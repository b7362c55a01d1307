package descriptors

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/noriahq/noria/bucket"
)

// Key returns the key of the bucket that entries have under r, which they met.
func (r *Rule) Key(entries []Entry) string {
	b := begin(r.domain)
	for i, e := range entries {
		if i < len(r.path) && r.path[i].shared {
			b = appendPart(appendPart(b, ':', e.Key), '*', r.path[i].value)
			continue
		}
		b = appendPart(appendPart(b, ':', e.Key), ':', e.Value)
	}
	return finish(b)
}

// Key returns the key of the bucket that entries have in d under a limit that came with the request. Requests with another
// unit have another bucket.
func (d *Domain) Key(entries []Entry, l Limit) string {
	b := begin(d.Name)
	b = appendPart(b, '/', l.Unit.String())
	for _, e := range entries {
		b = appendPart(appendPart(b, ':', e.Key), ':', e.Value)
	}
	return finish(b)
}

// begin begins a key of the domain.
func begin(domain string) []byte {
	return appendPart(append(make([]byte, 0, 128), "rls"...), ':', domain)
}

// appendPart appends s to b behind its length and a mark that says what it is, so that no two lists of parts are the same.
func appendPart(b []byte, mark byte, s string) []byte {
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, mark)
	return append(b, s...)
}

// finish returns the key b, or its hash if it is longer than keys may be.
func finish(b []byte) string {
	if len(b) <= bucket.MaxKey {
		return string(b)
	}
	sum := sha256.Sum256(b)
	return "rls#" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// maxMetric is the most bytes of a metric's name that has values of entries in it.
const maxMetric = 200

// Metric returns what metrics call r for entries, which met it: the domain and the keys with the values that the file has,
// joined as Envoy's ratelimit does, and the values of entries where detailed_metric or value_to_metric says so.
func (r *Rule) Metric(entries []Entry) string {
	if !r.varies {
		return r.metric
	}
	return r.called(entries)
}

// Label returns the name of r, or what metrics call it without the values of entries.
func (r *Rule) Label() string {
	if r.Name != "" {
		return r.Name
	}
	return r.metric
}

// called is Metric, made anew.
func (r *Rule) called(entries []Entry) string {
	var b strings.Builder
	b.WriteString(r.domain)
	for i := range r.path {
		s := &r.path[i]
		b.WriteByte('.')
		b.WriteString(s.key)
		value := s.value
		if s.told && !s.shared && i < len(entries) {
			value = entries[i].Value
		}
		if value != "" {
			b.WriteByte('_')
			b.WriteString(value)
		}
	}
	name := b.String()
	if len(name) > maxMetric {
		return strings.ToValidUTF8(name[:maxMetric], "")
	}
	return name
}

// DomainOf returns the domain that key, which Key returned, is of, "" where it is a hash. It is a part of key.
func DomainOf(key string) string {
	rest, ok := strings.CutPrefix(key, "rls")
	if !ok {
		return ""
	}
	length, rest, ok := strings.Cut(rest, ":")
	n, err := strconv.Atoi(length)
	if !ok || err != nil || n < 0 || n > len(rest) {
		return ""
	}
	return rest[:n]
}
