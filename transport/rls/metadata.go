package rls

import (
	ratelimitpb "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// metadata returns what Envoy hands on to its filters and access logs:
//
//	{"domain": "d", "descriptors": [{"entries": ["key=value"]}], "hitsAddend": 2,
//	 "quotaModeEnabled": true, "quotaModeViolations": [0], "metadata": {...}}
//
// hitsAddend is the request's, if it has one. quotaModeViolations are the indexes of the descriptors whose limits have
// quota_mode and are over, absent without one. metadata is that of the first limit that has some and is not over.
func (q *question) metadata(m *ratelimitpb.RateLimitRequest) *structpb.Struct {
	list := make([]*structpb.Value, len(m.GetDescriptors()))
	for i, one := range m.GetDescriptors() {
		entries := make([]*structpb.Value, len(one.GetEntries()))
		for k, e := range one.GetEntries() {
			entries[k] = structpb.NewStringValue(e.GetKey() + "=" + e.GetValue())
		}
		list[i] = object(map[string]*structpb.Value{"entries": array(entries)})
	}
	fields := map[string]*structpb.Value{
		"domain":      structpb.NewStringValue(m.GetDomain()),
		"descriptors": array(list),
	}
	if n := m.GetHitsAddend(); n > 0 {
		fields["hitsAddend"] = structpb.NewNumberValue(float64(n))
	}
	q.quota(fields)
	return &structpb.Struct{Fields: fields}
}

// quota sets the fields that tell of quota_mode and of what limits have to tell.
func (q *question) quota(fields map[string]*structpb.Value) {
	var (
		enabled bool
		over    []*structpb.Value
	)
	for i := range q.items {
		it := &q.items[i]
		if it.rule == nil {
			continue
		}
		enabled = enabled || it.rule.Quota
		if it.rule.Quota && it.over {
			over = append(over, structpb.NewNumberValue(float64(i)))
		}
		if fields["metadata"] == nil && it.rule.Metadata != nil && !it.over {
			if own, err := structpb.NewStruct(it.rule.Metadata); err == nil { // of what package descriptors reads it is nil
				fields["metadata"] = structpb.NewStructValue(own)
			}
		}
	}
	fields["quotaModeEnabled"] = structpb.NewBoolValue(enabled)
	if over != nil {
		fields["quotaModeViolations"] = array(over)
	}
}

// array returns all as a value.
func array(all []*structpb.Value) *structpb.Value {
	return structpb.NewListValue(&structpb.ListValue{Values: all})
}

// object returns fields as a value.
func object(fields map[string]*structpb.Value) *structpb.Value {
	return structpb.NewStructValue(&structpb.Struct{Fields: fields})
}
