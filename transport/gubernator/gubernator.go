// Package gubernator answers Gubernator's clients: pb.gubernator.V1 on the gRPC port, and its JSON on that of --api. Whoever
// runs Gubernator changes an address and no code.
//
//	$ curl -s http://127.0.0.1:8083/v1/GetRateLimits -d '{"requests":[{"name":"login","unique_key":"alice",
//	    "hits":"1","limit":"5","duration":"60000","algorithm":"LEAKY_BUCKET"}]}'
//	{"responses":[{"status":"UNDER_LIMIT","limit":"5","remaining":"4","reset_time":"1795371612000","error":"",
//	    "metadata":{"owner":"a"}}]}
//	$ curl -s http://127.0.0.1:8083/v1/HealthCheck
//	{"status":"healthy","message":"","peer_count":3,"advertise_address":"127.0.0.1:7947"}
//
// What a request says, and what it is here:
//
//	TOKEN_BUCKET           limit hits in duration, all back at once when it is over: "window LIMIT per DURATION", or
//	                       "quota LIMIT per day" where the duration is one of the calendar
//	LEAKY_BUCKET           limit hits in duration, back evenly, and burst at once: "LIMIT/DURATION burst BURST"
//	hits: 0                tells what remains and takes nothing
//	hits below 0           give back, up to the limit, or the burst of a LEAKY_BUCKET
//	RESET_REMAINING        the bucket is full again; the hits are then counted by LEAKY_BUCKET, and not by TOKEN_BUCKET
//	DRAIN_OVER_LIMIT       a request for more than remains takes what remains
//	DURATION_IS_GREGORIAN  minute, hour, day, month or year of the calendar in UTC; a week is an error, as it is there
//	GLOBAL, NO_BATCHING    accepted and nothing else: answers are exact in any case, and nothing waits for a batch
//	MULTI_REGION           the same
//	created_at, metadata   not looked at: the node's clock counts
//
// Differences: windows of TOKEN_BUCKET begin at multiples of their duration since 1970 and not with a first hit, so the first
// one may be shorter. A bucket does not forget what it owes when nodes join or leave. reset_time is when the bucket is full
// again, also where a burst is more than the limit. Who asks for 0 hits of a limit that is used up gets UNDER_LIMIT. Negative
// hits never make a bucket hold more than its limit; they did of TOKEN_BUCKET. DRAIN_OVER_LIMIT takes what remains also with the
// first request of a bucket.
//
// Up to 1,000 requests are decided on each by itself, those for one bucket in their order. What is wrong with one is told in its
// answer, in Gubernator's words.
package gubernator

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	pb "github.com/noriahq/noria/transport/gubernatorpb"
)

// MaxRequests is the most requests of one call.
const MaxRequests = 1000

// A Limiter decides. *cluster.Node is one. Its methods are called by many goroutines at once.
type Limiter interface {
	// Check takes r's cost from its bucket or refuses.
	Check(ctx context.Context, r bucket.Request) (bucket.Decision, error)

	// GiveBack gives r's cost back to its bucket, up to full.
	GiveBack(ctx context.Context, r bucket.Request) (bucket.Decision, error)

	// Drain takes as much of r's cost as is there, and allows r if that is all of it. An error that wraps cluster.ErrOld says that
	// it cannot.
	Drain(ctx context.Context, r bucket.Request) (bucket.Decision, error)

	// Reset forgets the bucket named key: it is full again.
	Reset(ctx context.Context, key string) error

	// Status says what the node knows of itself and of the cluster.
	Status() cluster.Status
}

// A Server answers the calls of pb.gubernator.V1. It is safe for concurrent use.
type Server struct {
	pb.UnimplementedV1Server
	limiter Limiter
	log     *slog.Logger
	seed    maphash.Seed
}

// New returns a server over l, to be registered by gubernatorpb.RegisterV1Server. Errors that are the node's fault go to log.
func New(l Limiter, log *slog.Logger) *Server {
	return &Server{limiter: l, log: log, seed: maphash.MakeSeed()}
}

// GetRateLimits implements pb.V1Server.
func (s *Server) GetRateLimits(ctx context.Context, m *pb.GetRateLimitsReq) (*pb.GetRateLimitsResp, error) {
	all := m.GetRequests()
	if len(all) > MaxRequests {
		return nil, status.Errorf(codes.OutOfRange, "Requests.RateLimits list too large; max size is '%d'", MaxRequests)
	}
	out := &pb.GetRateLimitsResp{Responses: make([]*pb.RateLimitResp, len(all))}
	now := time.Now()
	if len(all) == 1 {
		out.Responses[0] = s.answer(ctx, now, all[0])
		return out, nil
	}
	var lanes [lanes][]int
	for i, r := range all {
		lane := s.lane(r)
		lanes[lane] = append(lanes[lane], i)
	}
	var under sync.WaitGroup
	for _, lane := range lanes {
		if len(lane) == 0 {
			continue
		}
		under.Go(func() {
			for _, i := range lane {
				out.Responses[i] = s.answer(ctx, now, all[i])
			}
		})
	}
	under.Wait()
	return out, nil
}

// lanes is how many requests of one call are decided on at once.
const lanes = 32

// lane returns the lane of a request. Those for one bucket have the same, so that they are decided on in their order.
func (s *Server) lane(r *pb.RateLimitReq) uint64 {
	return (maphash.String(s.seed, r.GetName()) ^ maphash.String(s.seed, r.GetUniqueKey())*31) % lanes
}

// HealthCheck implements pb.V1Server.
func (s *Server) HealthCheck(context.Context, *pb.HealthCheckReq) (*pb.HealthCheckResp, error) {
	st := s.limiter.Status()
	out := &pb.HealthCheckResp{Status: "healthy", PeerCount: int32(len(st.Members))}
	for _, m := range st.Members {
		if m.Self {
			out.AdvertiseAddress = m.Peer
		}
	}
	if !st.Ready {
		out.Status, out.Message = "unhealthy", "the node has not joined yet, or is stopping"
	}
	return out, nil
}

// LiveCheck implements pb.V1Server.
func (s *Server) LiveCheck(context.Context, *pb.LiveCheckReq) (*pb.LiveCheckResp, error) {
	return &pb.LiveCheckResp{}, nil
}
