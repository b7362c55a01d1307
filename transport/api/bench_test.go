package api

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	pb "github.com/noriahq/noria/transport/noriapb"
)

// callers is how many ask at once.
const callers = 64

// benchCheck is the request that all benchmarks ask.
func benchCheck() *pb.CheckRequest {
	return &pb.CheckRequest{Key: "tenant/4711/user/42", Limit: "1000000000/s", Cost: proto.Int64(1)}
}

// dial serves s on a loopback port and returns a connection to it.
func dial(b *testing.B, s *grpc.Server) *grpc.ClientConn {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go s.Serve(listener)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		conn.Close()
		s.Stop()
	})
	return conn
}

// emptyServer returns a server with one unary method that does nothing: it takes and returns bytes, as many as a Check
// and its answer have.
func emptyServer(b *testing.B) *grpc.Server {
	b.Helper()
	answer := &wrapperspb.BytesValue{Value: make([]byte, proto.Size(&pb.CheckResponse{
		Allowed: true, Remaining: 999_999_999, ResetAfterNs: 1, Source: pb.Source_SOURCE_HOLDER, Node: "a",
	})-2)}
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "empty.Empty",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Call", Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var m wrapperspb.BytesValue
			if err := dec(&m); err != nil {
				return nil, err
			}
			return answer, nil
		}}},
	}, nil)
	return s
}

// ways returns a call of Check and one of the empty service.
func ways(b *testing.B) (check, empty func() error) {
	b.Helper()
	noria := pb.NewNoriaClient(dial(b, NewGRPC(newFake(b), Config{})))
	plain := dial(b, emptyServer(b))
	m := benchCheck()
	same := &wrapperspb.BytesValue{Value: make([]byte, proto.Size(m)-2)}
	check = func() error {
		_, err := noria.Check(context.Background(), m)
		return err
	}
	empty = func() error {
		return plain.Invoke(context.Background(), "/empty.Empty/Call", same, &wrapperspb.BytesValue{})
	}
	return check, empty
}

// rounds makes n calls from 64 callers and returns how long it took.
func rounds(b *testing.B, n int64, call func() error) time.Duration {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range callers {
		wg.Go(func() {
			for next.Add(1) <= n {
				if err := call(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// compare reports how much of empty's throughput check has, as the median of many short turns: other work on the machine
// hits single turns, not the median.
func compare(b *testing.B, check, empty func() error) {
	b.Helper()
	const n = 1000
	rounds(b, n, check)
	rounds(b, n, empty)
	var share, checks, empties []float64
	for b.Loop() {
		c, e := rounds(b, n, check).Seconds(), rounds(b, n, empty).Seconds()
		share, checks, empties = append(share, e/c), append(checks, n/c), append(empties, n/e)
	}
	b.ReportMetric(median(share), "share")
	b.ReportMetric(median(checks), "checks/s")
	b.ReportMetric(median(empties), "empties/s")
	b.ReportMetric(0, "ns/op")
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// A Check over gRPC against an empty service with messages of the same size: 64 callers, turn and turn about, so that
// both meet the same machine. share is the throughput of Check as a part of the empty service's; we want 0.85.
func BenchmarkGRPCShare(b *testing.B) {
	check, empty := ways(b)
	compare(b, check, empty)
}

// What one Check costs on both sides together, with its allocations.
func BenchmarkGRPC(b *testing.B) {
	check, empty := ways(b)
	for name, call := range map[string]func() error{"check": check, "empty": empty} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The same decisions over one stream.
func BenchmarkGRPCStream(b *testing.B) {
	stream, err := pb.NewNoriaClient(dial(b, NewGRPC(newFake(b), Config{}))).StreamChecks(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	window := make(chan struct{}, callers)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := stream.Recv(); err != nil {
				return
			}
			<-window
		}
	}()
	m := &pb.StreamChecksRequest{Checks: []*pb.CheckRequest{benchCheck()}}
	b.ReportAllocs()
	for b.Loop() {
		window <- struct{}{}
		m.Sequence++
		if err := stream.Send(m); err != nil {
			b.Fatal(err)
		}
	}
	stream.CloseSend()
	<-done
}

// What the service does for one Check, without gRPC and the limiter.
func BenchmarkService(b *testing.B) {
	c := Config{}.withDefaults()
	s := &service{limits: newLimits(), turns: newTurns(c), limiter: newFake(b), log: c.Log}
	m := benchCheck()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Check(context.Background(), m); err != nil {
			b.Fatal(err)
		}
	}
}

// What protobuf costs for one Check: reading the request and writing the answer.
func BenchmarkCodec(b *testing.B) {
	in, err := proto.Marshal(benchCheck())
	if err != nil {
		b.Fatal(err)
	}
	out := &pb.CheckResponse{Allowed: true, Remaining: 999_999_999, ResetAfterNs: 1, Source: pb.Source_SOURCE_HOLDER, Node: "a"}
	b.ReportAllocs()
	for b.Loop() {
		var m pb.CheckRequest
		if err := proto.Unmarshal(in, &m); err != nil {
			b.Fatal(err)
		}
		if _, err := proto.Marshal(out); err != nil {
			b.Fatal(err)
		}
	}
}

const benchBody = `{"key":"tenant/4711/user/42","limit":"1000000000/s","cost":1}`

// A discard is an http.ResponseWriter that keeps nothing.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// POST /v1/check without the network.
func BenchmarkHTTPHandler(b *testing.B) {
	h := NewHTTP(newFake(b), Config{})
	r := httptest.NewRequest(http.MethodPost, PathCheck, nil)
	r.Header.Set("Content-Type", "application/json")
	body := strings.NewReader(benchBody)
	r.Body, r.ContentLength = io.NopCloser(body), int64(len(benchBody))
	w := discard{make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(benchBody)
		clear(w.h)
		h.ServeHTTP(w, r)
	}
}

// POST /v1/check against a handler that reads as much and writes as much, turn and turn about from 64 callers.
func BenchmarkHTTPShare(b *testing.B) {
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Write(make([]byte, 150))
	})
	caller := func(h http.Handler) func() error {
		s := httptest.NewServer(h)
		b.Cleanup(s.Close)
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
		return func() error {
			resp, err := client.Post(s.URL+PathCheck, "application/json", strings.NewReader(benchBody))
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = io.Copy(io.Discard, resp.Body)
			return err
		}
	}
	check, empty := caller(NewHTTP(newFake(b), Config{})), caller(bare)
	compare(b, check, empty)
}
