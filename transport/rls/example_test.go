package rls_test

import (
	"context"
	"fmt"

	commonpb "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	ratelimitpb "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport/rls"
	"github.com/noriahq/noria/transport/rls/descriptors"
)

// A store is a Limiter without a cluster: one bucket.Store, whose time stands still.
type store struct{ *bucket.Store }

// Check implements rls.Limiter.
func (s store) Check(_ context.Context, r bucket.Request) (bucket.Decision, error) {
	d, err := s.Take(0, 0, &r)
	d.Node = "example"
	return d, err
}

// CheckAll implements rls.Limiter.
func (s store) CheckAll(_ context.Context, rs []bucket.Request) (bucket.Decisions, error) {
	items := make([]bucket.Item, len(rs))
	for i := range rs {
		items[i].Request = &rs[i]
	}
	_, err := s.TakeAll(0, items, false)
	ds := make(bucket.Decisions, len(rs))
	for i := range items {
		ds[i] = items[i].Decision
		ds[i].Node = "example"
	}
	return ds, err
}

// GiveBack implements rls.Limiter.
func (s store) GiveBack(_ context.Context, r bucket.Request) (bucket.Decision, error) {
	_, d, err := s.Give(0, 0, &r)
	d.Node = "example"
	return d, err
}

// A service answers by the files that Envoy's ratelimit service has. Its Limiter is a *cluster.Node mostly.
func Example() {
	rules, err := descriptors.Parse(descriptors.File{Name: "messaging.yaml", Text: []byte(`
domain: messaging
descriptors:
  - key: message_type
    value: marketing
    descriptors:
      - key: to_number
        rate_limit: {unit: day, requests_per_unit: 1}
`)})
	if err != nil {
		fmt.Println(err)
		return
	}
	buckets, err := bucket.NewStore(bucket.StoreConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	service, err := rls.New(rls.Config{Limiter: store{buckets}, Rules: rules})
	if err != nil {
		fmt.Println(err)
		return
	}
	request := &ratelimitpb.RateLimitRequest{Domain: "messaging", Descriptors: []*commonpb.RateLimitDescriptor{{
		Entries: []*commonpb.RateLimitDescriptor_Entry{{Key: "message_type", Value: "marketing"}, {Key: "to_number", Value: "2061111111"}},
	}}}
	for range 2 {
		answer, err := service.ShouldRateLimit(context.Background(), request)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(answer.GetOverallCode(), answer.GetStatuses()[0].GetDurationUntilReset().AsDuration())
	}
	// Output:
	// OK 24h0m0s
	// OVER_LIMIT 24h0m0s
}
