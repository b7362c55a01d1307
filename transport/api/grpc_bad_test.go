package api

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	pb "github.com/noriahq/noria/transport/noriapb"
)

// Bad input is InvalidArgument with a sentence that says where; what the node cannot help is something else.
func TestGRPCErrors(t *testing.T) {
	ok := func(change func(*pb.CheckRequest)) *pb.CheckRequest {
		m := &pb.CheckRequest{Key: "k", Limit: "5/s"}
		change(m)
		return m
	}
	var b strings.Builder
	inBubble(t, Config{}, func(t *testing.T, f *fake, client pb.NoriaClient) {
		for _, m := range []*pb.CheckRequest{
			{},
			{Limit: "5/s"},
			{Key: "k"},
			ok(func(m *pb.CheckRequest) { m.Key = strings.Repeat("k", 513) }),
			ok(func(m *pb.CheckRequest) { m.Limit = "5/fortnight" }),
			ok(func(m *pb.CheckRequest) { m.LimitSpec = &pb.LimitSpec{Burst: 1} }),
			ok(func(m *pb.CheckRequest) { m.Limit, m.LimitSpec = "", &pb.LimitSpec{} }),
			ok(func(m *pb.CheckRequest) { m.Limit, m.LimitSpec = "", &pb.LimitSpec{Tokens: 5, Burst: 5} }),
			ok(func(m *pb.CheckRequest) { m.Limit, m.LimitSpec = "", &pb.LimitSpec{Burst: 5, Window: 99} }),
			ok(func(m *pb.CheckRequest) {
				m.Limit, m.LimitSpec = "", &pb.LimitSpec{Burst: 5, Window: pb.Window_WINDOW_DAY, Zone: strings.Repeat("x", 70000)}
			}),
			ok(func(m *pb.CheckRequest) { m.Cost = proto.Int64(-1) }),
			ok(func(m *pb.CheckRequest) { m.Cost = proto.Int64(6) }),
			ok(func(m *pb.CheckRequest) { m.Cost = proto.Int64(1 << 62) }),
			ok(func(m *pb.CheckRequest) { m.Id = strings.Repeat("i", 65) }),
			ok(func(m *pb.CheckRequest) { m.Name = strings.Repeat("n", 65) }),
			ok(func(m *pb.CheckRequest) { m.Durability = 9 }),
			ok(func(m *pb.CheckRequest) { m.OnLost = -1 }),
			ok(func(m *pb.CheckRequest) { m.ColdStart = 3 }),
		} {
			_, err := client.Check(t.Context(), m)
			if status.Code(err) != codes.InvalidArgument {
				t.Errorf("Check(%.200v): %v, want InvalidArgument", m, err)
			}
			_, all := client.CheckAll(t.Context(), &pb.CheckAllRequest{Checks: []*pb.CheckRequest{ok(func(*pb.CheckRequest) {}), m}})
			if status.Code(all) != codes.InvalidArgument || !strings.Contains(all.Error(), "checks[1].") {
				t.Errorf("CheckAll(_, %.200v): %v, want InvalidArgument about checks[1]", m, all)
			}
			fmt.Fprintf(&b, "%.200s\n\t%s\n", strings.ReplaceAll(fmt.Sprint(m), "  ", " "), ours(status.Convert(err).Message()))
		}
		if got := f.requests(); len(got) != 0 {
			t.Errorf("the limiter was asked %v, want nothing", got)
		}
		for n, want := range map[int]codes.Code{0: codes.InvalidArgument, 1: codes.OK, 1000: codes.OK, 1001: codes.InvalidArgument} {
			m := &pb.CheckAllRequest{}
			for i := range n {
				m.Checks = append(m.Checks, &pb.CheckRequest{Key: fmt.Sprint(i), Limit: "5/s"})
			}
			if _, err := client.CheckAll(t.Context(), m); status.Code(err) != want {
				t.Errorf("CheckAll of %d: %v, want %v", n, err, want)
			}
		}
		if _, err := client.Check(t.Context(), &pb.CheckRequest{Key: strings.Repeat("k", MaxBody)}); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("Check with more than MaxBody bytes: %v, want ResourceExhausted", err)
		}
		for _, m := range []string{"", strings.Repeat("k", 513)} {
			if _, err := client.Reset(t.Context(), &pb.ResetRequest{Key: m}); status.Code(err) != codes.InvalidArgument {
				t.Errorf("Reset(%d bytes): %v, want InvalidArgument", len(m), err)
			}
		}
		if _, err := client.Peek(t.Context(), &pb.PeekRequest{Key: "k"}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("Peek without a limit: %v, want InvalidArgument", err)
		}
	})
	golden(t, "grpc-bad-input", b.String())
}

// A key that is not UTF-8 ends in an error of gRPC's own and is asked of nobody.
func TestGRPCNotUTF8(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFake(t)
		conn, _ := serve(t, f, Config{})
		m := &emptypb.Empty{} // carries the bytes of a CheckRequest that Go's protobuf would not write
		m.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "a\xff"))
		err := conn.Invoke(t.Context(), pb.Noria_Check_FullMethodName, m, &pb.CheckResponse{})
		if err == nil || !strings.Contains(err.Error(), "UTF-8") || len(f.requests()) != 0 {
			t.Errorf("Check: %v, and the limiter was asked %v, want an error about UTF-8 and nothing", err, f.requests())
		}
	})
}

// Errors of the limiter have the codes of the table. A fault of the node is logged and its words stay here.
func TestGRPCLimiterErrors(t *testing.T) {
	var log bytes.Buffer
	c := Config{Log: slog.New(slog.NewJSONHandler(&log, nil))}
	inBubble(t, c, func(t *testing.T, f *fake, client pb.NoriaClient) {
		for _, c := range []struct {
			err  error
			want codes.Code
		}{
			{cluster.ErrNotReady, codes.Unavailable},
			{cluster.ErrClosed, codes.Unavailable},
			{bucket.ErrConflict, codes.InvalidArgument},
			{errors.New("secret"), codes.Internal},
		} {
			f.fail(c.err)
			one := &pb.CheckRequest{Key: "k", Limit: "5/s"}
			_, check := client.Check(t.Context(), one)
			_, all := client.CheckAll(t.Context(), &pb.CheckAllRequest{Checks: []*pb.CheckRequest{one, one}})
			_, peek := client.Peek(t.Context(), &pb.PeekRequest{Key: "k", Limit: "5/s"})
			_, reset := client.Reset(t.Context(), &pb.ResetRequest{Key: "k"})
			for _, got := range []error{check, all, peek, reset} {
				if status.Code(got) != c.want || strings.Contains(got.Error(), "secret") {
					t.Errorf("with %v: %v, want %v and no secret", c.err, got, c.want)
				}
			}
		}
	})
	if got := strings.Count(log.String(), `"err":"secret"`); got != 4 {
		t.Errorf("the log has %d faults, want 4: %s", got, log.String())
	}
}
