package rls_test

import (
	"fmt"
	"strings"
	"testing"

	commonpb "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	ratelimitpb "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"pgregory.net/rapid"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport/rls"
)

// A model is what a request may do to limits, in as few words as there are: it is for requests in which no limit comes
// twice, while no time passes.
type model struct {
	limits map[string]int64 // by name; those that begin with s are soft
	left   map[string]int64 // by name and value
}

// ask returns which of the descriptors, written name=value, are over their limits, and charges the others if none of them
// is a hard one.
func (m *model) ask(all []string, costs []int64) (over []bool, allowed bool) {
	over, allowed = make([]bool, len(all)), true
	for i, one := range all {
		name, _, _ := strings.Cut(one, "=")
		if _, ok := m.left[one]; !ok {
			m.left[one] = m.limits[name]
		}
		over[i] = costs[i] > m.left[one]
		allowed = allowed && (!over[i] || name[0] == 's')
	}
	for i, one := range all {
		if allowed && !over[i] {
			m.left[one] -= costs[i]
		}
	}
	return over, allowed
}

// Whatever is asked, hard limits are charged together or not at all, soft ones where they have room, and answers say so.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"h0", "h1", "h2", "s0", "s1", "s2"}
		m := &model{limits: map[string]int64{}, left: map[string]int64{}}
		var text strings.Builder
		text.WriteString("domain: d\ndescriptors:\n")
		for _, name := range names {
			m.limits[name] = rapid.Int64Range(0, 12).Draw(t, name)
			fmt.Fprintf(&text, "- {key: %s, shadow_mode: %v, rate_limit: {unit: year, requests_per_unit: %d}}\n", name, name[0] == 's', m.limits[name])
		}
		buckets, err := bucket.NewStore(bucket.StoreConfig{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := rls.New(rls.Config{Limiter: store{buckets}, Rules: mustParse(t, text.String())})
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 30).Draw(t, "requests") {
			var (
				all   []string
				costs []int64
				q     = &ratelimitpb.RateLimitRequest{Domain: "d"}
			)
			for _, name := range rapid.Permutation(names).Draw(t, "order")[:rapid.IntRange(1, len(names)).Draw(t, "many")] {
				all = append(all, name+"="+rapid.SampledFrom([]string{"x", "y"}).Draw(t, "value"))
				costs = append(costs, rapid.Int64Range(0, 5).Draw(t, "cost"))
				q.Descriptors = append(q.Descriptors, own(uint64(costs[len(costs)-1]), of(all[len(all)-1])))
			}
			over, allowed := m.ask(all, costs)
			got, err := s.ShouldRateLimit(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if (got.GetOverallCode() == ratelimitpb.RateLimitResponse_OK) != allowed {
				t.Fatalf("%v for %v is answered %s, want allowed %v", all, costs, short(got), allowed)
			}
			for i, one := range all {
				st := got.GetStatuses()[i]
				if hard := one[0] == 'h'; (st.GetCode() == ratelimitpb.RateLimitResponse_OVER_LIMIT) != (over[i] && hard) || int64(st.GetLimitRemaining()) != m.left[one] {
					t.Fatalf("%s for %d of %v for %v is answered %s, want over %v and %d left", one, costs[i], all, costs, short(got), over[i], m.left[one])
				}
			}
			peek(t, s, m)
		}
	})
}

// peek checks that s has left what m says.
func peek(t *rapid.T, s *rls.Service, m *model) {
	for one, left := range m.left {
		got, err := s.ShouldRateLimit(t.Context(), &ratelimitpb.RateLimitRequest{Domain: "d", Descriptors: []*commonpb.RateLimitDescriptor{own(0, of(one))}})
		if err != nil || int64(got.GetStatuses()[0].GetLimitRemaining()) != left {
			t.Fatalf("%s has %s, %v, want %d left", one, short(got), err, left)
		}
	}
}
