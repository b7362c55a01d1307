package rls

import (
	"fmt"
	"math"

	commonpb "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	ratelimitpb "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typepb "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport"
	"github.com/noriahq/noria/transport/rls/descriptors"
)

// A question is a request with the limits that it meets, and what came of it.
type question struct {
	known bool // there is such a domain
	items []item
}

// An item is one descriptor of a request.
type item struct {
	kind   kind
	limit  descriptors.Limit // what Envoy is told of it
	bucket bucket.Limit      // the zero value if it lets nothing through
	rule   *descriptors.Rule // nil where the limit came with the request
	key    string
	label  string // for headers
	metric string
	hits   uint64 // that it asks for
	back   bool   // it gives them back instead
	cost   int64  // what its bucket is charged, at most as much as it holds

	over     bool // it would be too much
	told     bool // decision says how much there is
	decision bucket.Decision
}

// A kind says what a limit is good for.
type kind uint8

const (
	free      kind = iota // there is no limit
	unlimited             // the limit is that there is none
	soft                  // it denies nothing
	hard
)

// never says that no waiting lets so many hits through.
func (it *item) never() bool { return it.hits > uint64(it.bucket.Burst) && !it.back }

// read returns what m asks.
func read(rules *descriptors.Rules, m *ratelimitpb.RateLimitRequest) (*question, error) {
	all := m.GetDescriptors()
	switch {
	case m.GetDomain() == "":
		return nil, fmt.Errorf("%w: rate limit domain must not be empty", transport.ErrRequest)
	case len(all) == 0:
		return nil, fmt.Errorf("%w: rate limit descriptor list must not be empty", transport.ErrRequest)
	case len(all) > MaxDescriptors:
		return nil, fmt.Errorf("%w: rate limit descriptor list has %d entries; want at most %d", transport.ErrRequest, len(all), MaxDescriptors)
	}
	q := &question{items: make([]item, len(all))}
	domain := rules.Domain(m.GetDomain())
	if domain == nil {
		return q, nil
	}
	q.known = true
	for i, one := range all {
		q.items[i].hits, q.items[i].back = hits(m, one), one.GetIsNegativeHits()
		if err := q.items[i].meet(domain, one); err != nil {
			return nil, fmt.Errorf("descriptors[%d].limit: %w", i, err)
		}
	}
	q.replace()
	return q, nil
}

// hits returns what one of the descriptors of m costs.
func hits(m *ratelimitpb.RateLimitRequest, one *commonpb.RateLimitDescriptor) uint64 {
	if own := one.GetHitsAddend(); own != nil {
		return own.GetValue()
	}
	return uint64(max(1, m.GetHitsAddend()))
}

// meet sets what limit the descriptor one meets in the domain.
func (it *item) meet(domain *descriptors.Domain, one *commonpb.RateLimitDescriptor) error {
	entries := make([]descriptors.Entry, len(one.GetEntries()))
	for i, e := range one.GetEntries() {
		entries[i] = descriptors.Entry{Key: e.GetKey(), Value: e.GetValue()}
	}
	if own := one.GetLimit(); own != nil {
		return it.override(domain, entries, own)
	}
	r := domain.Match(entries)
	if r == nil {
		return nil
	}
	it.rule, it.limit, it.bucket = r, r.Limit, r.Bucket
	it.label, it.metric = r.Label(), r.Metric(entries)
	switch {
	case r.Unlimited:
		it.kind = unlimited
		return nil
	case r.Shadow || r.Quota:
		it.kind = soft
	default:
		it.kind = hard
	}
	it.key = r.Key(entries)
	return nil
}

// override sets the limit to own, which came with the request.
func (it *item) override(domain *descriptors.Domain, entries []descriptors.Entry, own *commonpb.RateLimitDescriptor_RateLimitOverride) error {
	it.limit = descriptors.Limit{Requests: own.GetRequestsPerUnit(), Unit: unitOf(own.GetUnit())}
	if many := own.GetUnitMultiplier(); many != nil {
		it.limit.Units = many.GetValue()
		if many.GetValue() == 0 {
			return fmt.Errorf("%w: unit_multiplier is 0; want at least 1", bucket.ErrLimit)
		}
	}
	var err error
	if it.bucket, err = it.limit.Bucket(domain.Algorithm); err != nil {
		return err
	}
	it.kind, it.key = hard, domain.Key(entries, it.limit)
	it.label = domain.Name
	for _, e := range entries {
		it.label += "." + e.Key
	}
	it.metric = it.label
	return nil
}

// unitOf returns u, NoUnit if it is unknown.
func unitOf(u typepb.RateLimitUnit) descriptors.Unit {
	switch u {
	case typepb.RateLimitUnit_SECOND:
		return descriptors.Second
	case typepb.RateLimitUnit_MINUTE:
		return descriptors.Minute
	case typepb.RateLimitUnit_HOUR:
		return descriptors.Hour
	case typepb.RateLimitUnit_DAY:
		return descriptors.Day
	case typepb.RateLimitUnit_MONTH:
		return descriptors.Month
	case typepb.RateLimitUnit_YEAR:
		return descriptors.Year
	default:
		return descriptors.NoUnit
	}
}

// replace drops the limits that others of the question replace.
func (q *question) replace() {
	var gone map[string]bool
	for i := range q.items {
		if r := q.items[i].rule; r != nil && len(r.Replaces) > 0 {
			if gone == nil {
				gone = map[string]bool{}
			}
			for _, name := range r.Replaces {
				gone[name] = true
			}
		}
	}
	if gone == nil {
		return
	}
	for i := range q.items {
		if r := q.items[i].rule; r != nil && gone[r.Name] {
			q.items[i] = item{}
		}
	}
}

// clamp returns n as a field of the answer holds it.
func clamp(n int64) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }
