package rls

import (
	"math"
	"net/http"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	ratelimitpb "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/rls/descriptors"
)

// response returns what Envoy is told of q, which m asked.
func (q *question) response(m *ratelimitpb.RateLimitRequest) *ratelimitpb.RateLimitResponse {
	out := &ratelimitpb.RateLimitResponse{
		OverallCode: code(!q.allowed()),
		Statuses:    make([]*ratelimitpb.RateLimitResponse_DescriptorStatus, len(q.items)),
	}
	for i := range q.items {
		out.Statuses[i] = q.items[i].status()
	}
	h := http.Header{}
	q.writeHeaders(h)
	for _, name := range headerNames() {
		if text := h.Get(name); text != "" {
			out.ResponseHeadersToAdd = append(out.ResponseHeadersToAdd, &corepb.HeaderValue{Key: name, Value: text})
		}
	}
	if q.known {
		out.DynamicMetadata = q.metadata(m)
	}
	return out
}

// headerNames returns the names of the headers that api.WriteHeaders sets, in its order.
func headerNames() []string {
	return []string{
		"RateLimit-Policy", "RateLimit", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-RateLimit-Type", "Retry-After",
	}
}

// writeHeaders sets the headers that tell of the hard limits of which something is known.
func (q *question) writeHeaders(h http.Header) {
	var met []api.Applied
	for i := range q.items {
		it := &q.items[i]
		if it.kind == hard && (it.told || it.over) {
			met = append(met, api.Applied{Name: it.label, Limit: it.bucket, Decision: it.decision})
		}
	}
	api.WriteHeaders(h, met)
}

// status returns what Envoy is told of it.
func (it *item) status() *ratelimitpb.RateLimitResponse_DescriptorStatus {
	switch it.kind {
	case free:
		return &ratelimitpb.RateLimitResponse_DescriptorStatus{Code: ratelimitpb.RateLimitResponse_OK}
	case unlimited:
		return &ratelimitpb.RateLimitResponse_DescriptorStatus{Code: ratelimitpb.RateLimitResponse_OK, LimitRemaining: math.MaxUint32}
	default:
	}
	out := &ratelimitpb.RateLimitResponse_DescriptorStatus{
		Code:           code(it.kind == hard && it.over),
		CurrentLimit:   it.currentLimit(),
		LimitRemaining: clamp(it.decision.Remaining),
	}
	reset := it.decision.ResetAfter
	if it.over {
		reset = it.decision.RetryAfter
	}
	if reset != bucket.Never && (it.told || it.over) {
		out.DurationUntilReset = durationpb.New(reset)
	}
	return out
}

// currentLimit returns the limit of it in Envoy's words.
func (it *item) currentLimit() *ratelimitpb.RateLimitResponse_RateLimit {
	out := &ratelimitpb.RateLimitResponse_RateLimit{RequestsPerUnit: it.limit.Requests, Unit: unitNumber(it.limit.Unit)}
	if it.rule != nil {
		out.Name = it.rule.Name
	}
	if it.limit.Units > 1 {
		out.UnitMultiplier = wrapperspb.UInt32(it.limit.Units)
	}
	return out
}

// code returns the code for what is over its limit or not.
func code(over bool) ratelimitpb.RateLimitResponse_Code {
	if over {
		return ratelimitpb.RateLimitResponse_OVER_LIMIT
	}
	return ratelimitpb.RateLimitResponse_OK
}

// unitNumber returns u in Envoy's words.
func unitNumber(u descriptors.Unit) ratelimitpb.RateLimitResponse_RateLimit_Unit {
	switch u {
	case descriptors.Second:
		return ratelimitpb.RateLimitResponse_RateLimit_SECOND
	case descriptors.Minute:
		return ratelimitpb.RateLimitResponse_RateLimit_MINUTE
	case descriptors.Hour:
		return ratelimitpb.RateLimitResponse_RateLimit_HOUR
	case descriptors.Day:
		return ratelimitpb.RateLimitResponse_RateLimit_DAY
	case descriptors.Week:
		return ratelimitpb.RateLimitResponse_RateLimit_WEEK
	case descriptors.Month:
		return ratelimitpb.RateLimitResponse_RateLimit_MONTH
	case descriptors.Year:
		return ratelimitpb.RateLimitResponse_RateLimit_YEAR
	default:
		return ratelimitpb.RateLimitResponse_RateLimit_UNKNOWN
	}
}
