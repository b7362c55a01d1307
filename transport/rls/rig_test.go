package rls_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	commonpb "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	ratelimitpb "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typepb "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/rls"
	"github.com/noriahq/noria/transport/rls/descriptors"
)

// A rig is a node's rate limit service and a client of it, over gRPC in memory.
type rig struct {
	*rls.Service
	t      *testing.T
	conn   *grpc.ClientConn
	client ratelimitpb.RateLimitServiceClient
	what   string // is tested now
}

// newRig returns the service of n by the configuration in text.
func newRig(t *testing.T, n *cluster.Node, text string) *rig {
	t.Helper()
	s, err := rls.New(rls.Config{Limiter: n, Rules: rules(t, text)})
	if err != nil {
		t.Fatal(err)
	}
	server := api.NewGRPC(n, api.Config{})
	s.Register(server)
	pipe := bufconn.Listen(1 << 16)
	go server.Serve(pipe) // it ends with the test
	conn, err := grpc.NewClient("passthrough:node",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
	})
	return &rig{Service: s, t: t, conn: conn, client: ratelimitpb.NewRateLimitServiceClient(conn)}
}

// rules reads a configuration.
func rules(t testing.TB, text string) *descriptors.Rules {
	t.Helper()
	return mustParse(t, text)
}

// mustParse is rules for what fails as a test does.
func mustParse(t interface{ Fatalf(string, ...any) }, text string) *descriptors.Rules {
	r, err := descriptors.Parse(descriptors.File{Name: "rls.yaml", Text: []byte(text)})
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return r
}

// ask asks q and returns what came of it in short (see short), or the error's code and text.
func (r *rig) ask(q *ratelimitpb.RateLimitRequest) string {
	r.t.Helper()
	got, err := r.client.ShouldRateLimit(r.t.Context(), q)
	if err != nil {
		return fmt.Sprintf("%s: %s", status.Code(err), status.Convert(err).Message())
	}
	return short(got)
}

// short writes an answer on one line:
//
//	OVER: OVER 5/MINUTE left 0 | OK files 3/DAY left 2 | OK
func short(m *ratelimitpb.RateLimitResponse) string {
	all := make([]string, len(m.GetStatuses()))
	for i, s := range m.GetStatuses() {
		all[i] = word(s.GetCode())
		if l := s.GetCurrentLimit(); l != nil {
			if l.GetName() != "" {
				all[i] += " " + l.GetName()
			}
			many := ""
			if n := l.GetUnitMultiplier().GetValue(); n > 0 {
				many = fmt.Sprint(n)
			}
			all[i] += fmt.Sprintf(" %d/%s%s", l.GetRequestsPerUnit(), many, l.GetUnit())
		}
		if n := s.GetLimitRemaining(); n > 0 || s.GetCurrentLimit() != nil {
			all[i] += fmt.Sprintf(" left %d", n)
		}
	}
	return word(m.GetOverallCode()) + ": " + strings.Join(all, " | ")
}

// word writes a code.
func word(c ratelimitpb.RateLimitResponse_Code) string {
	return strings.TrimSuffix(c.String(), "_LIMIT")
}

// ask returns a request of the domain d with these descriptors.
func ask(all ...*commonpb.RateLimitDescriptor) *ratelimitpb.RateLimitRequest {
	return &ratelimitpb.RateLimitRequest{Domain: "d", Descriptors: all}
}

// hits returns the request of ask, with an addend.
func hits(n uint32, all ...*commonpb.RateLimitDescriptor) *ratelimitpb.RateLimitRequest {
	q := ask(all...)
	q.HitsAddend = n
	return q
}

// in returns the request of ask in another domain.
func in(domain string, all ...*commonpb.RateLimitDescriptor) *ratelimitpb.RateLimitRequest {
	q := ask(all...)
	q.Domain = domain
	return q
}

// of returns a descriptor of pairs written key=value.
func of(pairs ...string) *commonpb.RateLimitDescriptor {
	d := &commonpb.RateLimitDescriptor{}
	for _, p := range pairs {
		key, value, _ := strings.Cut(p, "=")
		d.Entries = append(d.Entries, &commonpb.RateLimitDescriptor_Entry{Key: key, Value: value})
	}
	return d
}

// own gives d an addend of its own.
func own(n uint64, d *commonpb.RateLimitDescriptor) *commonpb.RateLimitDescriptor {
	d.HitsAddend = wrapperspb.UInt64(n)
	return d
}

// over gives d a limit of its own.
func over(n uint32, unit typepb.RateLimitUnit, d *commonpb.RateLimitDescriptor) *commonpb.RateLimitDescriptor {
	d.Limit = &commonpb.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: n, Unit: unit}
	return d
}

// every gives the limit of d's own several units.
func every(n uint32, d *commonpb.RateLimitDescriptor) *commonpb.RateLimitDescriptor {
	d.Limit.UnitMultiplier = wrapperspb.UInt32(n)
	return d
}

// refund makes d's addend negative.
func refund(d *commonpb.RateLimitDescriptor) *commonpb.RateLimitDescriptor {
	d.IsNegativeHits = true
	return d
}

// A step is a request and what is answered, in short; or a while that passes.
type step struct {
	ask   *ratelimitpb.RateLimitRequest
	want  string
	times int // 0 is once
	sleep time.Duration
}
