package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/metrics"
	"github.com/noriahq/noria/transport/rls/descriptors"
)

// scripted decides as its keys say: by their last part.
type scripted struct{ api.Limiter }

func (scripted) Check(_ context.Context, r bucket.Request) (bucket.Decision, error) {
	switch d := (bucket.Decision{Node: "a"}); r.Key[strings.LastIndexByte(r.Key, '/')+1:] {
	case "here":
		d.Allowed = true
		return d, nil
	case "there":
		d.Allowed, d.Node = true, "b"
		return d, nil
	case "lease":
		d.Allowed, d.Source = true, bucket.FromLease
		return d, nil
	case "denial":
		d.Source = bucket.FromDenial
		return d, nil
	case "lost":
		d.Allowed, d.Degraded = true, true
		return d, nil
	default:
		return d, cluster.ErrNotReady
	}
}

func (s scripted) CheckAll(ctx context.Context, rs []bucket.Request) (ds bucket.Decisions, err error) {
	for _, r := range rs {
		d, err := s.Check(ctx, r)
		if err != nil {
			return nil, err
		}
		ds = append(ds, d)
	}
	return ds, nil
}

func (scripted) Settle(_ context.Context, s ...bucket.Settlement) ([]bucket.Settled, error) {
	said := make([]bucket.Settled, len(s))
	for i := range s {
		said[i].Known = s[i].ID != "gone"
	}
	return said, nil
}

func (s scripted) GiveBack(ctx context.Context, r bucket.Request) (bucket.Decision, error) {
	return s.Check(ctx, r)
}

func (s scripted) Drain(ctx context.Context, r bucket.Request) (bucket.Decision, error) {
	return s.Check(ctx, r)
}

// use asks everything of m once.
func use(t *testing.T, m *metrics.Moment) {
	t.Helper()
	ctx := t.Context()
	l := m.Decisions.Limiter("gateway", scripted{}, firstPart)
	for _, key := range []string{"ip/here", "ip/there", "user/lease", "user/denial", "user/lost", "user/lost"} {
		if _, err := l.Check(ctx, bucket.Request{Key: key, Cost: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Check(ctx, bucket.Request{Key: "ip/here"}); err != nil { // takes nothing, and is not counted
		t.Fatal(err)
	}
	if _, err := l.CheckAll(ctx, []bucket.Request{{Key: "ip/here", Cost: 1}, {Key: "user/denial", Cost: 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Check(ctx, bucket.Request{Key: "ip/", Cost: 1}); !errors.Is(err, cluster.ErrNotReady) {
		t.Fatalf("Check returns %v, want what the limiter says", err)
	}
	if _, err := l.Settle(ctx, bucket.Settlement{ID: "1"}, bucket.Settlement{ID: "2", Renew: 1}, bucket.Settlement{ID: "gone"}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.GiveBack(ctx, bucket.Request{Key: "ip/here", Cost: 1}); err != nil {
		t.Fatal(err)
	}
	h := m.Requests.HTTP("api", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v1/check", nil))
	grpcCall(t, m.Requests)
}

// grpcCall makes r count a call of the health service.
func grpcCall(t *testing.T, r *metrics.Requests) {
	t.Helper()
	s := grpc.NewServer(r.GRPC()...)
	defer s.Stop()
	callHealth(t, s)
}

func firstPart(key string) string {
	limit, _, _ := strings.Cut(key, "/")
	return limit
}

// Every decision is counted once, by its limit, what became of it, and who decided; one that takes nothing is not, and what another
// limit denied is not counted as allowed.
func TestDecisions(t *testing.T) {
	m := everything()
	use(t, m)
	collector := metrics.New(func() *metrics.Moment { return m })
	err := testutil.CollectAndCompare(collector, strings.NewReader(`
# HELP noria_decisions_total Decisions on requests to limits, by way in, limit of the policy (ad-hoc where it came with the request, other beyond 200), outcome (allowed; denied; uncharged where another limit of the request denied), and source (holder, lease, denial, degraded).
# TYPE noria_decisions_total counter
noria_decisions_total{limit="ip",outcome="allowed",source="holder",way="gateway"} 2
noria_decisions_total{limit="ip",outcome="denied",source="holder",way="gateway"} 0
noria_decisions_total{limit="ip",outcome="uncharged",source="holder",way="gateway"} 1
noria_decisions_total{limit="user",outcome="allowed",source="holder",way="gateway"} 0
noria_decisions_total{limit="user",outcome="allowed",source="lease",way="gateway"} 1
noria_decisions_total{limit="user",outcome="allowed",source="degraded",way="gateway"} 2
noria_decisions_total{limit="user",outcome="denied",source="denial",way="gateway"} 2
noria_decisions_total{limit="user",outcome="denied",source="holder",way="gateway"} 0
# HELP noria_check_errors_total Requests that were not decided, by way in and gRPC code: Canceled where the client went away, Unavailable where the node is not ready.
# TYPE noria_check_errors_total counter
noria_check_errors_total{code="Unavailable",way="gateway"} 1
# HELP noria_settlements_total Settlements of reservations, by way in and what came of them: settled, renewed, or unknown where there was no such reservation any more.
# TYPE noria_settlements_total counter
noria_settlements_total{result="renewed",way="gateway"} 1
noria_settlements_total{result="settled",way="gateway"} 1
noria_settlements_total{result="unknown",way="gateway"} 1
# HELP noria_grpc_calls_total gRPC calls that ended, by method and code; a stream is one call.
# TYPE noria_grpc_calls_total counter
noria_grpc_calls_total{code="NotFound",method="/grpc.health.v1.Health/Check"} 1
`), "noria_decisions_total", "noria_check_errors_total", "noria_settlements_total", "noria_grpc_calls_total")
	if err != nil {
		t.Error(err)
	}
	if got, want := m.Decisions.Totals(), (metrics.Totals{Allowed: 5, Denied: 2, Degraded: 2}); got != want {
		t.Errorf("Totals returns %+v, want %+v", got, want)
	}
}

// How long checks take is told by how far they went, in buckets and as native histograms; of HTTP the last status counts.
func TestDurations(t *testing.T) {
	counts := map[string]uint64{}
	for _, f := range gather(t) {
		for _, one := range f.GetMetric() {
			name := f.GetName()
			for _, l := range one.GetLabel() {
				name += " " + l.GetValue()
			}
			if h := one.GetHistogram(); h != nil {
				counts[name] = h.GetSampleCount()
				if f.GetName() == "noria_check_duration_seconds" && (h.Schema == nil || len(h.GetPositiveSpan()) == 0 || len(h.GetBucket()) == 0) {
					t.Errorf("%s has no native histogram, or no buckets: %v", name, h)
				}
				continue
			}
			counts[name] = uint64(one.GetCounter().GetValue())
		}
	}
	for name, want := range map[string]uint64{
		"noria_check_duration_seconds local": 5, "noria_check_duration_seconds forwarded": 1, "noria_check_duration_seconds degraded": 2,
		"noria_http_requests_total 429 api": 1, "noria_http_request_duration_seconds api": 1,
		"noria_peer_round_trip_seconds b checks": 12,
	} {
		if got := counts[name]; got != want {
			t.Errorf("%s counts %d, want %d", name, got, want)
		}
	}
}

// However many names limits have, no more than MaxLimits and one are counted apart, also where many are new at once; and those that
// come with requests are one.
func TestLimitsAreFew(t *testing.T) {
	d := metrics.NewDecisions("a")
	named, adhoc := d.Limiter("gateway", scripted{}, firstPart), d.Limiter("http", scripted{}, nil)
	var asking sync.WaitGroup
	for g := range 8 {
		asking.Go(func() {
			for i := range 3 * metrics.MaxLimits {
				key := fmt.Sprintf("limit-%d/here", (i*7+g)%(3*metrics.MaxLimits))
				_, _ = named.Check(t.Context(), bucket.Request{Key: key, Cost: 1})
				_, _ = adhoc.Check(t.Context(), bucket.Request{Key: key, Cost: 1})
			}
		})
	}
	asking.Wait()
	if got, want := d.Totals().Allowed, uint64(2*8*3*metrics.MaxLimits); got != want {
		t.Errorf("%d decisions counted, want %d", got, want)
	}
	names := map[string]map[string]bool{"gateway": {}, "http": {}}
	m := everything()
	m.Decisions = d
	all, err := metrics.New(func() *metrics.Moment { return m }).Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() != "noria_decisions_total" {
			continue
		}
		for _, one := range f.GetMetric() {
			names[labelOf(one, "way")][labelOf(one, "limit")] = true
		}
	}
	if n := len(names["gateway"]); n != metrics.MaxLimits+1 || !names["gateway"][metrics.Other] {
		t.Errorf("%d limits of the gateway are counted apart, want %d, one of them other", n, metrics.MaxLimits+1)
	}
	if n := len(names["http"]); n != 1 || !names["http"][metrics.AdHoc] {
		t.Errorf("limits that come with requests are counted as %v, want as ad-hoc alone", names["http"])
	}
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// The limits of keys are found in them, and nothing in what is no such key.
func TestLimitOfKeys(t *testing.T) {
	for _, c := range []struct{ key, limit, domain string }{
		{"2:ip9:192.0.2.1", "ip", ""},
		{"2:ip", "ip", ""},
		{"43#abc", "", ""},
		{"", "", ""},
		{"7:ip", "", ""},
		{"user:42", "", ""},
		{"99999999999999999999:x", "", ""},
		{"rls6:domain3:key5:value", "", "domain"},
		{"rls#abc", "", ""},
		{"rls9:domain", "", ""},
		{"rls-1:x", "", ""},
	} {
		if got := policy.LimitOf(c.key); got != c.limit {
			t.Errorf("policy.LimitOf(%q) is %q, want %q", c.key, got, c.limit)
		}
		if got := descriptors.DomainOf(c.key); got != c.domain {
			t.Errorf("descriptors.DomainOf(%q) is %q, want %q", c.key, got, c.domain)
		}
	}
}

// Counting a check costs no memory, and some nanoseconds.
func BenchmarkCount(b *testing.B) {
	l := metrics.NewDecisions("a").Limiter("gateway", scripted{}, firstPart)
	ctx, r := context.Background(), bucket.Request{Key: "ip/here", Cost: 1}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = l.Check(ctx, r)
	}
}
