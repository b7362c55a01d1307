package rls_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	ratelimitpb "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/google/go-cmp/cmp"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport/rls"
)

// inBubble runs test with the service of one node in a bubble.
func inBubble(t *testing.T, rules string, test func(t *testing.T, r *rig)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		test(t, newRig(t, clustertest.Start(t, "a").Node("a"), rules))
	})
}

// full returns the answer to q.
func (r *rig) full(q *ratelimitpb.RateLimitRequest) *ratelimitpb.RateLimitResponse {
	r.t.Helper()
	m, err := r.client.ShouldRateLimit(r.t.Context(), q)
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// headers returns the headers that Envoy is to add, one a line.
func headers(m *ratelimitpb.RateLimitResponse) string {
	var all []string
	for _, h := range m.GetResponseHeadersToAdd() {
		all = append(all, h.GetKey()+": "+h.GetValue())
	}
	return strings.Join(all, "\n")
}

const metered = `
domain: d
descriptors:
  - {key: user, rate_limit: {name: per user, unit: minute, requests_per_unit: 6}}
  - {key: all, rate_limit: {unit: hour, requests_per_unit: 100}}
  - {key: none, rate_limit: {unit: hour, requests_per_unit: 0}}
  - {key: soft, shadow_mode: true, rate_limit: {unit: hour, requests_per_unit: 1}}
`

// Clients are told of the limits that may deny, and when to come back.
func TestHeaders(t *testing.T) {
	inBubble(t, metered, func(t *testing.T, r *rig) {
		for _, c := range []struct {
			ask  *ratelimitpb.RateLimitRequest
			want string
		}{
			{hits(6, of("user=1"), of("all=1"), of("soft=1")), "RateLimit-Policy: \"per user\";q=6;w=60, \"d.all\";q=100;w=3600\nRateLimit: \"per user\";r=0;t=60, \"d.all\";r=94;t=216\n" +
				"X-RateLimit-Limit: 6\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 60"},
			{ask(of("user=1"), of("all=1")), "RateLimit-Policy: \"per user\";q=6;w=60, \"d.all\";q=100;w=3600\nRateLimit: \"per user\";r=0;t=10, \"d.all\";r=94;t=216\n" +
				"X-RateLimit-Limit: 6\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 60\nX-RateLimit-Type: per user\nRetry-After: 10"},
			{ask(of("none=1")), "RateLimit-Policy: \"d.none\";q=0\nRateLimit: \"d.none\";r=0\nX-RateLimit-Limit: 0\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 0\n" +
				"X-RateLimit-Type: d.none\nRetry-After: 86400"},
			{ask(of("soft=1"), of("x=1")), ""},
		} {
			if diff := cmp.Diff(c.want, headers(r.full(c.ask))); diff != "" {
				t.Errorf("headers of %v (-want +got):\n%s", c.ask, diff)
			}
		}
	})
}

// duration_until_reset is until all is there again, and after a denial until it pays to come back.
func TestReset(t *testing.T) {
	inBubble(t, metered, func(t *testing.T, r *rig) {
		if got := r.full(hits(3, of("user=1"))).GetStatuses()[0].GetDurationUntilReset().AsDuration(); got != 30*time.Second {
			t.Errorf("half of a minute's limit is back after %s", got)
		}
		if got := r.full(hits(6, of("user=1"))).GetStatuses()[0].GetDurationUntilReset().AsDuration(); got != 30*time.Second {
			t.Errorf("a denied request may come back after %s", got)
		}
		if got := r.full(ask(of("none=1"))).GetStatuses()[0].GetDurationUntilReset(); got != nil {
			t.Errorf("what nothing lets through is reset after %v", got)
		}
	})
}

// algorithm: fixed_window counts by the clock: all comes back at once when the unit begins, and not before.
func TestFixedWindow(t *testing.T) {
	inBubble(t, "domain: d\nalgorithm: fixed_window\ndescriptors:\n- {key: a, rate_limit: {unit: hour, requests_per_unit: 3}}\n", func(t *testing.T, r *rig) {
		next := time.Now().Truncate(time.Hour).Add(time.Hour)
		r.run([]step{
			{ask: ask(of("a=1")), want: "OK: OK 3/HOUR left 2"},
			{sleep: 30 * time.Minute},
			{ask: hits(2, of("a=1")), want: "OK: OK 3/HOUR left 0"},
			{ask: ask(of("a=1")), want: "OVER: OVER 3/HOUR left 0"},
		})
		got := r.full(ask(of("a=1"))).GetStatuses()[0].GetDurationUntilReset().AsDuration()
		if want := time.Until(next); got < want-time.Second || got > want+time.Second {
			t.Errorf("the hour ends after %s, want %s", got, want)
		}
		time.Sleep(time.Until(next) - time.Minute)
		r.run([]step{{ask: ask(of("a=1")), want: "OVER: OVER 3/HOUR left 0"}})
		time.Sleep(2 * time.Minute)
		r.run([]step{{ask: ask(of("a=1")), want: "OK: OK 3/HOUR left 2"}})
	})
}

// Dynamic metadata tell what was asked, which quotas are over, and what the first limit that is not over has to tell.
func TestMetadata(t *testing.T) {
	const quotas = `
domain: d
descriptors:
  - {key: pool, value: small, quota_mode: true, metadata: {cluster: small}, rate_limit: {unit: hour, requests_per_unit: 1}}
  - {key: pool, value: large, quota_mode: true, metadata: {cluster: large, weights: [1, 2]}, rate_limit: {unit: hour, requests_per_unit: 9}}
  - {key: user, rate_limit: {unit: hour, requests_per_unit: 9}}
`
	inBubble(t, quotas, func(t *testing.T, r *rig) {
		q := ask(of("pool=small"), of("pool=large"), of("user=1", "x=y"))
		asked := map[string]any{
			"domain":      "d",
			"descriptors": []any{map[string]any{"entries": []any{"pool=small"}}, map[string]any{"entries": []any{"pool=large"}}, map[string]any{"entries": []any{"user=1", "x=y"}}},
		}
		for i, more := range []map[string]any{
			{"quotaModeEnabled": true, "metadata": map[string]any{"cluster": "small"}},
			{"quotaModeEnabled": true, "quotaModeViolations": []any{0.0}, "metadata": map[string]any{"cluster": "large", "weights": []any{1.0, 2.0}}},
			{"quotaModeEnabled": true, "quotaModeViolations": []any{0.0, 1.0}, "hitsAddend": 9.0},
		} {
			if i == 2 {
				q.HitsAddend = 9
			}
			for name, v := range asked {
				more[name] = v
			}
			m := r.full(q)
			if diff := cmp.Diff(more, m.GetDynamicMetadata().AsMap()); diff != "" || m.GetOverallCode() != ratelimitpb.RateLimitResponse_OK {
				t.Errorf("request %d is answered %s with (-want +got):\n%s", i, short(m), diff)
			}
		}
		if m := r.full(in("other", of("a=1"))); m.GetDynamicMetadata() != nil {
			t.Errorf("an unknown domain has the metadata %v", m.GetDynamicMetadata())
		}
	})
}

// POST /json answers as gRPC does, by the status and in JSON; what is wrong is a problem.
func TestJSON(t *testing.T) {
	inBubble(t, metered, func(t *testing.T, r *rig) {
		for i, c := range []struct {
			method, body string
			status       int
			want         string // a part of the body, without spaces
		}{
			{"POST", `{"domain":"d","hitsAddend":6,"descriptors":[{"entries":[{"key":"user","value":"1"}]}]}`, 200, `"overallCode":"OK","statuses":[{"code":"OK","currentLimit":{"name":"peruser","requestsPerUnit":6,"unit":"MINUTE"},"durationUntilReset":"60s"}]`},
			{"POST", `{"domain":"d","hits_addend":1,"descriptors":[{"entries":[{"key":"user","value":"1"}]}]}`, 429, `"overallCode":"OVER_LIMIT","statuses":[{"code":"OVER_LIMIT"`},
			{"POST", `{"domain":"","descriptors":[{}]}`, 400, `"detail":"badrequest:ratelimitdomainmustnotbeempty"`},
			{"POST", `{"domain":"d","descriptor":[{}]}`, 400, `unknownfield`},
			{"POST", `{`, 400, `wantaRateLimitRequestinJSON`},
			{"POST", `{"domain":"d","hitsAddend":2,"descriptors":[{"isNegativeHits":true,"entries":[{"key":"user","value":"1"}]}]}`, 200, `"limitRemaining":2`},
			{"POST", `{"domain":"` + strings.Repeat("x", 1<<20) + `"}`, 413, `urn:noria:problem:too-large`},
			{"GET", ``, 405, `urn:noria:problem:bad-method`},
		} {
			w := httptest.NewRecorder()
			r.ServeHTTP(w, httptest.NewRequest(c.method, rls.Path, strings.NewReader(c.body)))
			body, _ := io.ReadAll(w.Result().Body)
			var tidy bytes.Buffer
			if err := json.Compact(&tidy, body); err != nil {
				t.Errorf("answer %d is no JSON: %s", i, body)
			}
			if got := strings.ReplaceAll(tidy.String(), " ", ""); w.Code != c.status || !strings.Contains(got, c.want) {
				t.Errorf("answer %d is %d %s, want %d with %s", i, w.Code, got, c.status, c.want)
			}
			if retry := w.Header().Get("Retry-After"); (c.status == http.StatusTooManyRequests) != (retry == "10") {
				t.Errorf("answer %d has Retry-After %q", i, retry)
			}
		}
	})
}

// What bad clients send is answered by an error, and nothing is charged.
func TestTooMany(t *testing.T) {
	inBubble(t, metered, func(t *testing.T, r *rig) {
		q := ask()
		for range rls.MaxDescriptors + 1 {
			q.Descriptors = append(q.Descriptors, of("all=1"))
		}
		if got, want := r.ask(q), "InvalidArgument: bad request: rate limit descriptor list has 1001 entries; want at most 1000"; got != want {
			t.Errorf("the answer is %q, want %q", got, want)
		}
		r.run([]step{{ask: ask(of("all=1")), want: "OK: OK 100/HOUR left 99"}})
	})
}

// New rules hold from the next request on, and what buckets owe stays owed.
func TestUse(t *testing.T) {
	inBubble(t, metered, func(t *testing.T, r *rig) {
		r.run([]step{{ask: hits(6, of("user=1")), want: "OK: OK per user 6/MINUTE left 0"}})
		r.Use(rules(t, "domain: d\ndescriptors:\n- {key: user, rate_limit: {unit: minute, requests_per_unit: 10}}\n"))
		r.run([]step{{ask: hits(4, of("user=1")), want: "OK: OK 10/MINUTE left 0"}, {ask: ask(of("user=1")), want: "OVER: OVER 10/MINUTE left 0"}})
		r.Use(nil)
		r.run([]step{{ask: ask(of("user=1")), want: "OK: OK"}})
	})
}

// Hits are counted by limits and by what came of them: nothing where another limit denied.
func TestCounts(t *testing.T) {
	inBubble(t, metered, func(t *testing.T, r *rig) {
		for range 2 {
			r.ask(hits(5, of("user=1"), of("all=1"), of("soft=1"), of("x=1")))
		}
		want := []rls.Count{{Rule: "d.all", Allowed: 5}, {Rule: "d.soft", Shadowed: 10}, {Rule: "d.user", Allowed: 5, Over: 5}}
		if diff := cmp.Diff(want, r.Counts()); diff != "" {
			t.Errorf("Counts (-want +got):\n%s", diff)
		}
	})
}

// Three nodes have one limit between them, and what one denies is charged nowhere, whoever holds it and is asked.
func TestFleet(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		var all []*rig
		for _, name := range c.Names() {
			all = append(all, newRig(t, c.Node(name), "domain: d\ndescriptors:\n"+
				"- {key: user, rate_limit: {unit: year, requests_per_unit: 30}}\n- {key: all, rate_limit: {unit: year, requests_per_unit: 40}}\n"))
		}
		ok := map[string]int{}
		for i := range 200 {
			user := []string{"user=1", "user=2"}[i%2]
			if all[i%3].full(ask(of(user), of("all=x"))).GetOverallCode() == ratelimitpb.RateLimitResponse_OK {
				ok[user]++
			}
		}
		if ok["user=1"]+ok["user=2"] != 40 {
			t.Errorf("%v were let through, want 40 of both together", ok)
		}
		for i, user := range []string{"user=1", "user=2"} {
			left := all[i].full(ask(own(0, of(user)))).GetStatuses()[0].GetLimitRemaining()
			if int(left) != 30-ok[user] {
				t.Errorf("%s has %d left after %d that were let through", user, left, ok[user])
			}
		}
	})
}

// The service is among those that reflection tells of.
func TestReflection(t *testing.T) {
	inBubble(t, metered, func(t *testing.T, r *rig) {
		stream, err := reflectionpb.NewServerReflectionClient(r.conn).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const name = "envoy.service.ratelimit.v3.RateLimitService"
		stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name}})
		m, err := stream.Recv()
		if err != nil || len(m.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
			t.Errorf("reflection says %v, %v of %s", m, err, name)
		}
		stream.CloseSend()
	})
}
