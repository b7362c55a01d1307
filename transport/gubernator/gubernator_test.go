package gubernator_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/gubernator"
	pb "github.com/noriahq/noria/transport/gubernatorpb"
)

// inBubble runs test in a bubble with a client, over gRPC, of the first of the nodes with these names.
func inBubble(t *testing.T, names string, test func(t *testing.T, client pb.V1Client)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, strings.Fields(names)...)
		s := api.NewGRPC(c.Node("a"), api.Config{})
		pb.RegisterV1Server(s, gubernator.New(c.Node("a"), slog.New(slog.DiscardHandler)))
		pipe := bufconn.Listen(1 << 20)
		go s.Serve(pipe) // it ends with the test
		conn, err := grpc.NewClient("passthrough:node",
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			conn.Close()
			s.Stop()
		})
		test(t, pb.NewV1Client(conn))
	})
}

// brief returns an answer in a line: the decision, what remains of the limit and how long until the reset.
func brief(m *pb.RateLimitResp) string {
	if m.GetError() != "" {
		return m.GetError()
	}
	word := "under"
	if m.GetStatus() == pb.Status_OVER_LIMIT {
		word = "OVER"
	}
	return fmt.Sprintf("%s %d/%d %v", word, m.GetRemaining(), m.GetLimit(), time.UnixMilli(m.GetResetTime()).Sub(time.Now().Truncate(time.Millisecond)).Round(time.Second))
}

// A step is a request after a pause, and the answer.
type step struct {
	after time.Duration
	m     *pb.RateLimitReq
	want  string
}

// take is a request for hits of 5 a minute by an algorithm, with flags.
func take(a pb.Algorithm, hits int64, flags ...pb.Behavior) *pb.RateLimitReq {
	m := &pb.RateLimitReq{Name: "login", UniqueKey: "alice", Hits: hits, Limit: 5, Duration: 60_000, Algorithm: a}
	for _, f := range flags {
		m.Behavior |= f
	}
	return m
}

// with returns m after f has changed it.
func with(m *pb.RateLimitReq, f func(m *pb.RateLimitReq)) *pb.RateLimitReq {
	f(m)
	return m
}

// Requests are decided on as Gubernator's users know it.
func TestBehaviors(t *testing.T) {
	const token, leaky = pb.Algorithm_TOKEN_BUCKET, pb.Algorithm_LEAKY_BUCKET
	const gregorian = pb.Behavior_DURATION_IS_GREGORIAN
	calendar := func(a pb.Algorithm, number int64) *pb.RateLimitReq {
		return with(take(a, 1, gregorian), func(m *pb.RateLimitReq) { m.Duration = number })
	}
	apply := "Error while apply rate limit for 'login_alice': "
	for name, steps := range map[string][]step{
		"token": {
			{0, take(token, 1), "under 4/5 1m0s"},
			{10 * time.Second, take(token, 3), "under 1/5 50s"},
			{0, take(token, 2), "OVER 1/5 50s"}, // and the next may be less
			{0, take(token, 1), "under 0/5 50s"},
			{0, take(token, 1), "OVER 0/5 50s"},
			{50 * time.Second, take(token, 1), "under 4/5 1m0s"}, // all at once
		},
		"leaky": {
			{0, take(leaky, 5), "under 0/5 1m0s"},
			{0, take(leaky, 1), "OVER 0/5 1m0s"},
			{12 * time.Second, take(leaky, 1), "under 0/5 1m0s"}, // evenly
			{24 * time.Second, take(leaky, 3), "OVER 2/5 36s"},
		},
		"burst": {
			{0, with(take(leaky, 8), func(m *pb.RateLimitReq) { m.Burst = 10 }), "under 2/5 1m36s"},
			{0, with(take(leaky, 3), func(m *pb.RateLimitReq) { m.Burst = 10 }), "OVER 2/5 1m36s"},
		},
		"peek": {
			{0, take(token, 0), "under 5/5 1m0s"},
			{0, take(token, 2), "under 3/5 1m0s"},
			{0, take(token, 0), "under 3/5 1m0s"},
			{0, take(leaky, 0), "under 5/5 0s"},
		},
		"more than the limit": {
			{0, take(token, 6), "OVER 5/5 1m0s"},
			{0, take(leaky, 6), "OVER 5/5 0s"},
			{0, take(token, 5), "under 0/5 1m0s"},
			{0, take(leaky, 1<<40), "OVER 5/5 0s"},
		},
		"drain": {
			{0, take(token, 3, pb.Behavior_DRAIN_OVER_LIMIT), "under 2/5 1m0s"},
			{0, take(token, 3, pb.Behavior_DRAIN_OVER_LIMIT), "OVER 0/5 1m0s"},
			{0, take(token, 1), "OVER 0/5 1m0s"},
			{0, take(leaky, 9, pb.Behavior_DRAIN_OVER_LIMIT), "OVER 0/5 1m0s"},
			{0, take(leaky, 1), "OVER 0/5 1m0s"},
		},
		"reset": {
			{0, take(token, 5), "under 0/5 1m0s"},
			{0, take(token, 2, pb.Behavior_RESET_REMAINING), "under 5/5 1m0s"},
			{0, take(leaky, 5), "under 0/5 1m0s"},
			{0, take(leaky, 2, pb.Behavior_RESET_REMAINING), "under 3/5 24s"}, // which are counted
			{0, take(leaky, 6, pb.Behavior_RESET_REMAINING, pb.Behavior_DRAIN_OVER_LIMIT), "OVER 0/5 1m0s"},
			{0, take(leaky, 0, pb.Behavior_RESET_REMAINING), "under 5/5 0s"},
		},
		"negative hits of a token bucket": {
			{0, take(token, 4), "under 1/5 1m0s"},
			{0, take(token, -1), "under 2/5 1m0s"},
			{0, take(token, 2), "under 0/5 1m0s"},
			{0, take(token, 1), "OVER 0/5 1m0s"},
			{0, take(token, -1), "under 1/5 1m0s"},
			{0, take(token, 1), "under 0/5 1m0s"},
			{0, take(token, -99), "under 5/5 1m0s"}, // and no more
			{0, take(token, 6), "OVER 5/5 1m0s"},
			{0, take(token, math.MinInt64), "under 5/5 1m0s"},
		},
		"negative hits of a leaky bucket": {
			{0, take(leaky, 1), "under 4/5 12s"},
			{0, take(leaky, -1), "under 5/5 0s"},
			{0, take(leaky, 5), "under 0/5 1m0s"},
			{0, take(leaky, -1), "under 1/5 48s"},
			{0, take(leaky, -9), "under 5/5 0s"},
			{0, with(take(leaky, 8), func(m *pb.RateLimitReq) { m.Burst = 10 }), "under 2/5 1m36s"},
		},
		"accepted flags": {
			{0, take(token, 1, pb.Behavior_GLOBAL), "under 4/5 1m0s"},
			{0, take(token, 1, pb.Behavior_NO_BATCHING, pb.Behavior_MULTI_REGION), "under 3/5 1m0s"},
		},
		"calendar": { // a bubble begins on the 1st of January 2000 at midnight, and the steps a minute later
			{0, calendar(token, 0), "under 4/5 1m0s"},
			{0, calendar(leaky, 4), "under 4/5 148h48m0s"},
			{0, calendar(leaky, 5), "under 3/5 3513h36m0s"},
		},
		"hours":  {{0, calendar(token, 1), "under 4/5 59m0s"}},
		"days":   {{0, calendar(token, 2), "under 4/5 23h59m0s"}},
		"months": {{0, calendar(token, 4), "under 4/5 743h59m0s"}},
		"years":  {{0, calendar(token, 5), "under 4/5 8783h59m0s"}},
		"limits that change": {
			{0, take(token, 4), "under 1/5 1m0s"},
			{0, with(take(token, 0), func(m *pb.RateLimitReq) { m.Limit = 10 }), "under 6/10 1m0s"},
			{0, take(leaky, 1), "under 4/5 12s"}, // another algorithm is another bucket
		},
		"nothing is allowed": {
			{0, with(take(token, 1), func(m *pb.RateLimitReq) { m.Limit = 0 }), "OVER 0/0 0s"},
			{0, with(take(token, 0), func(m *pb.RateLimitReq) { m.Limit = 0 }), "under 0/0 0s"},
		},
		"errors": {
			{0, with(take(token, 1), func(m *pb.RateLimitReq) { m.UniqueKey = "" }), "field 'unique_key' cannot be empty"},
			{0, with(take(token, 1), func(m *pb.RateLimitReq) { m.Name = "" }), "field 'namespace' cannot be empty"},
			{0, take(7, 1), apply + "Invalid rate limit algorithm '7'"},
			{0, calendar(token, 3), apply + "`Duration = GregorianWeeks` not yet supported; consider making a PR!`"},
			{0, calendar(leaky, 3), apply + "`Duration = GregorianWeeks` not yet supported; consider making a PR!`"},
			{0, calendar(token, 6), apply + "behavior DURATION_IS_GREGORIAN is set; but `Duration` is not a valid gregorian interval"},
			{0, calendar(leaky, -1), apply + "behavior DURATION_IS_GREGORIAN is set; but `Duration` is not a valid gregorian interval"},
			{0, with(take(token, 1), func(m *pb.RateLimitReq) { m.Duration = 0 }), apply + "field 'duration' is 0, want 1 to 9223372036854 milliseconds"},
			{0, with(take(leaky, 1), func(m *pb.RateLimitReq) { m.Duration = 1 << 62 }), apply + "field 'duration' is 4611686018427387904, want 1 to 9223372036854 milliseconds"},
			{0, with(take(token, 1), func(m *pb.RateLimitReq) { m.Limit = 1 << 40 }), apply + "bad limit: window of 1099511627776 tokens, want 1 to 1000000000"},
		},
		"long keys": {
			{0, with(take(token, 1), func(m *pb.RateLimitReq) { m.UniqueKey = strings.Repeat("x", 600) }), "under 4/5 1m0s"},
			{0, with(take(token, 1), func(m *pb.RateLimitReq) { m.UniqueKey = strings.Repeat("x", 601) }), "under 4/5 1m0s"},
			{0, with(take(token, 1), func(m *pb.RateLimitReq) { m.UniqueKey = strings.Repeat("x", 600) }), "under 3/5 1m0s"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, "a", func(t *testing.T, client pb.V1Client) {
				time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(time.Minute))) // to where windows begin
				run(t, client, steps)
			})
		})
	}
}

// run checks the answers to steps.
func run(t *testing.T, client pb.V1Client, steps []step) {
	t.Helper()
	for i, s := range steps {
		time.Sleep(s.after)
		got, err := client.GetRateLimits(t.Context(), &pb.GetRateLimitsReq{Requests: []*pb.RateLimitReq{s.m}})
		if err != nil || len(got.GetResponses()) != 1 {
			t.Fatalf("step %d: %v, %v, want one answer", i, got, err)
		}
		if text := brief(got.GetResponses()[0]); text != s.want {
			t.Errorf("step %d: %v\ngot  %s\nwant %s", i, s.m, text, s.want)
		}
	}
}

// Each request of a call is decided on by itself, those for one bucket in their order; too many are told as Gubernator tells it.
func TestManyRequests(t *testing.T) {
	inBubble(t, "a b c", func(t *testing.T, client pb.V1Client) {
		m := &pb.GetRateLimitsReq{}
		for i := range gubernator.MaxRequests {
			one := with(take(pb.Algorithm_LEAKY_BUCKET, 1), func(m *pb.RateLimitReq) { m.UniqueKey = fmt.Sprint(i % 100) })
			if i == 500 {
				one.Name = ""
			}
			m.Requests = append(m.Requests, one)
		}
		got, err := client.GetRateLimits(t.Context(), m)
		if err != nil || len(got.GetResponses()) != len(m.GetRequests()) {
			t.Fatalf("%d answers, %v, want %d", len(got.GetResponses()), err, len(m.GetRequests()))
		}
		for i, one := range got.GetResponses() {
			turn := int64(i / 100)
			if i%100 == 0 && i > 500 {
				turn--
			}
			want := fmt.Sprintf("under %d/5 %v", 4-turn, time.Duration(12*(turn+1))*time.Second)
			switch {
			case i == 500:
				want = "field 'namespace' cannot be empty"
			case turn >= 5:
				want = "OVER 0/5 1m0s"
			}
			if text := brief(one); text != want {
				t.Errorf("request %d is %q, want %q", i, text, want)
			}
		}
		m.Requests = append(m.Requests, take(pb.Algorithm_TOKEN_BUCKET, 1))
		_, err = client.GetRateLimits(t.Context(), m)
		if status.Code(err) != codes.OutOfRange || status.Convert(err).Message() != "Requests.RateLimits list too large; max size is '1000'" {
			t.Errorf("1,001 requests: %v, want OutOfRange in Gubernator's words", err)
		}
	})
}

// A node that serves is healthy and counts its peers.
func TestHealth(t *testing.T) {
	inBubble(t, "a b c", func(t *testing.T, client pb.V1Client) {
		got, err := client.HealthCheck(t.Context(), &pb.HealthCheckReq{})
		if err != nil || got.GetStatus() != "healthy" || got.GetPeerCount() != 3 || got.GetAdvertiseAddress() == "" {
			t.Errorf("HealthCheck: %v, %v, want healthy with 3 peers", got, err)
		}
		if _, err := client.LiveCheck(t.Context(), &pb.LiveCheckReq{}); err != nil {
			t.Errorf("LiveCheck: %v", err)
		}
	})
}

// The JSON is protobuf's with the names of the .proto file.
func TestJSON(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a")
		h := gubernator.New(c.Node("a"), slog.New(slog.DiscardHandler))
		now := time.Now().UnixMilli()
		for _, s := range []struct {
			method, path, body string
			code               int
			want               string
		}{
			{
				"POST", "/v1/GetRateLimits", `{"requests":[{"name":"n","unique_key":"k","hits":"1","limit":5,"duration":60000,"algorithm":"LEAKY_BUCKET","unheard":1}]}`, 200,
				fmt.Sprintf(`{"responses":[{"status":"UNDER_LIMIT","limit":"5","remaining":"4","reset_time":"%d","error":"","metadata":{"owner":"a"}}]}`, now+12_000),
			},
			{
				"POST", "/v1/GetRateLimits", `{"requests":[{"name":"n","uniqueKey":"k","hits":5,"limit":5,"duration":60000,"algorithm":1}]}`, 200,
				fmt.Sprintf(`{"responses":[{"status":"OVER_LIMIT","limit":"5","remaining":"4","reset_time":"%d","error":"","metadata":{"owner":"a"}}]}`, now+12_000),
			},
			{
				"POST", "/v1/GetRateLimits", `{"requests":[{}]}`, 200,
				`{"responses":[{"status":"UNDER_LIMIT","limit":"0","remaining":"0","reset_time":"0","error":"field 'unique_key' cannot be empty","metadata":{}}]}`,
			},
			{"POST", "/v1/GetRateLimits", `{}`, 200, `{"responses":[]}`},
			{"POST", "/v1/GetRateLimits", `{"requests":[` + strings.Repeat("{},", 1000) + `{}]}`, 400, `{"code":11,"message":"Requests.RateLimits list too large; max size is '1000'","details":[]}`},
			{"POST", "/v1/GetRateLimits", strings.Repeat(" ", api.MaxBody+1), 413, `{"code":8,"message":"the body has more than 1048576 bytes","details":[]}`},
			{"GET", "/v1/GetRateLimits", ``, 405, `{"code":12,"message":"Method Not Allowed","details":[]}`},
			{"GET", "/v1/LiveCheck", ``, 200, `{}`},
		} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(s.method, s.path, strings.NewReader(s.body)))
			if got := w.Body.String(); w.Code != s.code || spaceless(got) != spaceless(s.want) {
				t.Errorf("%s %s %.80s is %d %s, want %d %s", s.method, s.path, s.body, w.Code, got, s.code, s.want)
			}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/GetRateLimits", strings.NewReader(`{"requests":1}`)))
		if w.Code != 400 || !strings.HasPrefix(w.Body.String(), `{"code":3,`) {
			t.Errorf("bad JSON is %d %s, want 400 with code 3", w.Code, w.Body)
		}
	})
}

// spaceless returns s without white space, which protobuf's JSON varies on purpose.
func spaceless(s string) string { return strings.Join(strings.Fields(s), "") }
