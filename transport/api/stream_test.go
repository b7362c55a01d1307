package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	pb "github.com/noriahq/noria/transport/noriapb"
)

// Many requests are under way at once; each is answered once, under its number, in any order.
func TestStream(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fake, client pb.NoriaClient) {
		stream, err := client.StreamChecks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const n = 5000
		go func() {
			for i := range n {
				m := &pb.StreamChecksRequest{Sequence: uint64(i), Checks: []*pb.CheckRequest{{Key: "k", Limit: "quota 1000"}}}
				if err := stream.Send(m); err != nil {
					t.Errorf("Send %d: %v", i, err)
					return
				}
			}
			stream.CloseSend()
		}()
		seen, allowed := make(map[uint64]bool), 0
		for {
			m, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if seen[m.GetSequence()] {
				t.Errorf("a second answer to %d", m.GetSequence())
			}
			seen[m.GetSequence()] = true
			if m.GetDecision().GetAllowed() {
				allowed++
			}
		}
		if len(seen) != n || allowed != 1000 {
			t.Errorf("%d answers, %d allowed, want %d and 1000", len(seen), allowed, n)
		}
	})
}

// A wrong request gets an error of its own and harms no other.
func TestStreamErrors(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fake, client pb.NoriaClient) {
		stream, err := client.StreamChecks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ok := &pb.CheckRequest{Key: "k", Limit: "1/h"}
		for i, c := range []struct {
			checks []*pb.CheckRequest
			code   codes.Code
			says   string
		}{
			{[]*pb.CheckRequest{ok}, codes.OK, ""},
			{nil, codes.InvalidArgument, "bad request: checks is empty; want 1 to 1000 checks"},
			{[]*pb.CheckRequest{ok, {Key: "x"}}, codes.InvalidArgument, `bad request: checks[1].limit is missing; want one such as "100/s burst 200"`},
			{[]*pb.CheckRequest{{Key: "y", Limit: "1/h"}, ok}, codes.OK, "k"},
		} {
			if err := stream.Send(&pb.StreamChecksRequest{Sequence: uint64(i), Checks: c.checks}); err != nil {
				t.Fatal(err)
			}
			got, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			says := got.GetError().GetMessage() + got.GetDecision().GetDeniedBy()
			if got.GetSequence() != uint64(i) || codes.Code(got.GetError().GetCode()) != c.code || says != c.says || (got.GetDecision() == nil) != (c.code != codes.OK) {
				t.Errorf("request %d: %v, want %v %q", i, got, c.code, c.says)
			}
		}
	})
}

// Requests that come in one message are decided on one by one, each under its number; and only a client that sends such gets
// several answers in one message.
func TestStreamMore(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fake, client pb.NoriaClient) {
		stream, err := client.StreamChecks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ask := func(sequence uint64, limit string, more ...*pb.StreamChecksRequest) *pb.StreamChecksRequest {
			checks := []*pb.CheckRequest{{Key: fmt.Sprint(sequence), Limit: limit}}
			return &pb.StreamChecksRequest{Sequence: sequence, Checks: checks, More: more}
		}
		several := 0
		for round, m := range []*pb.StreamChecksRequest{
			ask(1, "quota 1"),
			ask(2, "quota 1", ask(3, "wrong"), ask(4, "quota 1", ask(5, "quota 1")), &pb.StreamChecksRequest{Sequence: 6}),
		} {
			if err := stream.Send(m); err != nil {
				t.Fatal(err)
			}
			want := map[uint64]codes.Code{1: codes.OK}
			if round > 0 {
				want = map[uint64]codes.Code{2: codes.OK, 3: codes.InvalidArgument, 4: codes.OK, 5: codes.OK, 6: codes.InvalidArgument}
			}
			for len(want) > 0 {
				got, err := stream.Recv()
				if err != nil {
					t.Fatal(err)
				}
				several += len(got.GetMore())
				for _, one := range append([]*pb.StreamChecksResponse{got}, got.GetMore()...) {
					code, asked := want[one.GetSequence()]
					if !asked || codes.Code(one.GetError().GetCode()) != code || (one.GetDecision() == nil) != (code != codes.OK) {
						t.Errorf("answer %v, want one to each of %v", one, want)
					}
					delete(want, one.GetSequence())
				}
			}
			if round == 0 && several > 0 {
				t.Errorf("%d answers came along to a client that sends one request at a time", several)
			}
		}
	})
}

// An answer that is held until its turn stands in no other's way, even where all that may be in flight is held.
func TestStreamDelay(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fake, client pb.NoriaClient) {
		stream, err := client.StreamChecks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const n = 2 * MaxChecks
		const limit = "1/s burst 5 queue 50"
		for i := range n {
			if _, err := f.Check(t.Context(), bucket.Request{Key: fmt.Sprint(i), Limit: limitOf(t, limit), Cost: 5}); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		for i := range n + 1 { // the turn of all but the last is in 5 s
			m := &pb.CheckRequest{Key: fmt.Sprint(i), Limit: limit, Cost: proto.Int64(5)}
			if err := stream.Send(&pb.StreamChecksRequest{Sequence: uint64(i), Checks: []*pb.CheckRequest{m}}); err != nil {
				t.Fatal(err)
			}
		}
		stream.CloseSend()
		for i := range n + 1 {
			got, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			took, want := time.Since(start), 5*time.Second
			if i == 0 {
				want = 0
			}
			if (got.GetSequence() == n) != (i == 0) || took != want || got.GetDecision().GetDelayNs() != 0 {
				t.Fatalf("answer %d is %v after %v, want after %v", i, got, took, want)
			}
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("end of the stream: %v, want EOF", err)
		}
	})
}

// slow is a Limiter that counts how many checks it is deciding on and takes a second for each.
type slow struct {
	*fake
	now, most atomic.Int64
}

func (s *slow) Check(ctx context.Context, r bucket.Request) (bucket.Decision, error) {
	n := s.now.Add(1)
	defer s.now.Add(-1)
	for {
		most := s.most.Load()
		if n <= most || s.most.CompareAndSwap(most, n) {
			break
		}
	}
	time.Sleep(time.Second)
	return s.fake.Check(ctx, r)
}

// No more than MaxInFlight checks of a stream are decided on at once; the rest waits at the client.
func TestStreamInFlight(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := &slow{fake: newFake(t)}
		conn, _ := serve(t, s, Config{MaxInFlight: 1200})
		stream, err := pb.NewNoriaClient(conn).StreamChecks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const n = 3000
		go func() {
			for i := range n {
				stream.Send(&pb.StreamChecksRequest{Sequence: uint64(i), Checks: []*pb.CheckRequest{{Key: "k", Limit: "1/s"}}})
			}
			stream.CloseSend()
		}()
		start := time.Now()
		for range n {
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		if got, took := s.most.Load(), time.Since(start); got != 1200 || took != 3*time.Second {
			t.Errorf("%d in flight at most and done after %v, want 1200 and 3s", got, took)
		}
	})
}

// A client that sends and never reads costs the server a bounded number of answers, and its end frees them.
func TestStreamDeafClient(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFake(t)
		conn, _ := serve(t, f, Config{MaxHeld: 50})
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := pb.NewNoriaClient(conn).StreamChecks(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var sent atomic.Int64
		go func() {
			for i := range 1_000_000 {
				limit := "1000/s"
				if i%2 == 0 {
					limit = "1/s burst 1 queue 1000000000"
				}
				if stream.Send(&pb.StreamChecksRequest{Checks: []*pb.CheckRequest{{Key: limit, Limit: limit}}}) != nil {
					return
				}
				sent.Add(1)
			}
		}()
		time.Sleep(time.Hour)
		if got := sent.Load(); got > 50_000 {
			t.Errorf("%d requests were taken from a client that reads nothing, want a bound", got)
		}
		cancel() // the bubble waits for all goroutines of the stream
	})
}
