package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport/peerpb"
)

// rawStream is a client that says what it likes, with the generated code.
type rawStream = grpc.BidiStreamingClient[peerpb.Frame, peerpb.Frame]

// raw runs test with a stream to b, of which nothing was said yet.
func raw(t *testing.T, h cluster.Handler, test func(*testing.T, *fleet, rawStream)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, h)
		synctest.Wait()
		conn := f.rawConn()
		stream, err := peerpb.NewPeerClient(conn).Talk(t.Context())
		if err != nil {
			t.Fatalf("Talk: %v", err)
		}
		test(t, f, stream)
		conn.Close()
		if _, err := f.ask(newAsk("k", time.Second)); err != nil {
			t.Errorf("Ask of a good peer afterwards: %v", err)
		}
	})
}

func (f *fleet) rawConn() *grpc.ClientConn {
	f.t.Helper()
	conn, err := grpc.NewClient("passthrough:///b", grpc.WithContextDialer(f.net.dial),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	return conn
}

func rawHello(id string) *peerpb.Frame {
	return &peerpb.Frame{Hello: toProto(helloOf(ring.Member(id)))}
}

func rawAsk(key string) *peerpb.Ask {
	return &peerpb.Ask{WaitNs: 1e9, Checks: []*peerpb.Check{{
		Partition: 1, Key: key, Cost: 1, Limit: &peerpb.Limit{Tokens: 1, PerNs: 1e9, Burst: 1},
	}}}
}

// say sends frames and returns how the stream ends.
func say(t *testing.T, s rawStream, frames ...*peerpb.Frame) error {
	t.Helper()
	for _, f := range frames {
		if err := s.Send(f); err != nil {
			break // what is received says why
		}
	}
	for {
		if _, err := s.Recv(); err != nil {
			return err
		}
	}
}

// What generated code says is understood, and what is answered is understood by it.
func TestRawRoundTrip(t *testing.T) {
	raw(t, everyone{}, func(t *testing.T, _ *fleet, s rawStream) {
		s.Send(rawHello("x"))
		got, err := s.Recv()
		if diff := cmp.Diff(got, rawHello("b"), protocmp.Transform()); err != nil || diff != "" {
			t.Fatalf("hello: %v (-got +want):\n%s", err, diff)
		}
		for _, seq := range []uint64{1, 3} {
			s.Send(&peerpb.Frame{Seq: seq, Asks: []*peerpb.Ask{rawAsk("k"), rawAsk("l")}})
			got, err = s.Recv()
			answer := &peerpb.Answer{Term: 1, Decisions: []*peerpb.Decision{{Allowed: true, Remaining: 1}}}
			want := &peerpb.Frame{Seq: seq, Answers: []*peerpb.Answer{answer, answer}}
			if diff := cmp.Diff(got, want, protocmp.Transform()); err != nil || diff != "" {
				t.Errorf("answer: %v (-got +want):\n%s", err, diff)
			}
		}
	})
}

// A bad ask is answered with what is wrong, and those beside it as usual.
func TestBadAsk(t *testing.T) {
	for reason, spoil := range map[string]func(*peerpb.Ask){
		"it has no checks":                            func(a *peerpb.Ask) { a.Checks = nil },
		"it has more than 1000 checks":                func(a *peerpb.Ask) { a.Checks = make([]*peerpb.Check, 1001) },
		"op is 11, which is unknown":                  func(a *peerpb.Ask) { a.Op = 11 },
		"rest or back is negative":                    func(a *peerpb.Ask) { a.Rest = -1 },
		"it tells and has 1 checks: want none":        func(a *peerpb.Ask) { a.Op, a.Body = 3, []byte("b") },
		"its body has 0 bytes: want 1 to 262144":      func(a *peerpb.Ask) { a.Op, a.Checks = 3, nil },
		"its body has 1 bytes: want none with checks": func(a *peerpb.Ask) { a.Body = []byte("b") },
		"its body has 262145 bytes: want 1 to 262144": func(a *peerpb.Ask) {
			a.Op, a.Checks, a.Body = 3, nil, make([]byte, 262145)
		},
		"op is 4294967295, which is unknown":      func(a *peerpb.Ask) { a.Op = -1 },
		"hop is 256: want 0 to 255":               func(a *peerpb.Ask) { a.Hop = 256 },
		"wait is not positive":                    func(a *peerpb.Ask) { a.WaitNs = -1 },
		"holder: want at most 128 bytes of UTF-8": func(a *peerpb.Ask) { a.Holder = strings.Repeat("h", 129) },
		"a key is empty":                          func(a *peerpb.Ask) { a.Checks[0].Key = "" },
		"check 0: key has 513 bytes: want at most 512": func(a *peerpb.Ask) {
			a.Checks[0].Key = strings.Repeat("k", 513)
		},
		"check 0: id: want at most 64 bytes of UTF-8":      func(a *peerpb.Ask) { a.Checks[0].Id = strings.Repeat("i", 65) },
		"check 0: partition is 65536: want at most 65535":  func(a *peerpb.Ask) { a.Checks[0].Partition = 65536 },
		"check 0: cost is -1 tokens: want 0 to 1000000000": func(a *peerpb.Ask) { a.Checks[0].Cost = -1 },
		"check 0: on_lost is 9, which is unknown":          func(a *peerpb.Ask) { a.Checks[0].OnLost = 9 },
		"check 0: durability is 9, which is unknown":       func(a *peerpb.Ask) { a.Checks[0].Durability = 9 },
		"check 0: cold_start is 9, which is unknown":       func(a *peerpb.Ask) { a.Checks[0].ColdStart = 9 },
		"check 0: limit: window is 9, which is unknown":    func(a *peerpb.Ask) { a.Checks[0].Limit.Window = 9 },
		"check 0: zone: want at most 64 bytes of UTF-8": func(a *peerpb.Ask) {
			a.Checks[0].Limit.Zone = strings.Repeat("z", 65)
		},
	} {
		raw(t, everyone{}, func(t *testing.T, _ *fleet, s rawStream) {
			bad := rawAsk("k")
			spoil(bad)
			s.Send(rawHello("x"))
			s.Recv()
			s.Send(&peerpb.Frame{Seq: 1, Asks: []*peerpb.Ask{rawAsk("k"), bad, rawAsk("k")}})
			got, err := s.Recv()
			if err != nil {
				t.Fatalf("%s: %v", reason, err)
			}
			good := &peerpb.Answer{Term: 1, Decisions: []*peerpb.Decision{{Allowed: true, Remaining: 1}}}
			want := []*peerpb.Answer{good, {Status: peerpb.Status_STATUS_INVALID, Reason: reason, Flaw: 1}, good}
			if diff := cmp.Diff(got.Answers, want, protocmp.Transform()); diff != "" {
				t.Errorf("answers (-got +want):\n%s", diff)
			}
		})
	}
}

// A refund needs no keys.
func TestKeylessRefund(t *testing.T) {
	raw(t, everyone{}, func(t *testing.T, _ *fleet, s rawStream) {
		s.Send(rawHello("x"))
		s.Recv()
		s.Send(&peerpb.Frame{Seq: 1, Asks: []*peerpb.Ask{{Op: peerpb.Op_OP_REFUND, WaitNs: 1, Checks: []*peerpb.Check{{}}}}})
		got, err := s.Recv()
		if err != nil || got.Answers[0].Status != peerpb.Status_STATUS_DECIDED {
			t.Errorf("answer: %v, %v, want it decided", got, err)
		}
	})
}

// Who breaks the protocol is told how, and nobody else notices.
func TestBrokenProtocol(t *testing.T) {
	hello, ask := rawHello("x"), &peerpb.Frame{Seq: 1, Asks: []*peerpb.Ask{rawAsk("k")}}
	long := rawHello("x")
	long.Hello.Id = strings.Repeat("x", 129)
	large := rawHello("x")
	large.Hello.Label = strings.Repeat("x", maxMessage)
	unsound := &peerpb.Frame{}
	unsound.ProtoReflect().SetUnknown([]byte{3<<3 | 2, 100, 1})
	many := &peerpb.Frame{Seq: 1}
	for range maxItems + 1 {
		many.Asks = append(many.Asks, &peerpb.Ask{})
	}
	full := rawAsk("k")
	for range cluster.MaxChecks - 1 {
		full.Checks = append(full.Checks, full.Checks[0])
	}
	dense := &peerpb.Frame{Seq: 1}
	for range maxItems/cluster.MaxChecks + 1 {
		dense.Asks = append(dense.Asks, full)
	}
	for name, test := range map[string]struct {
		frames []*peerpb.Frame
		want   codes.Code
		say    string
	}{
		"no hello":          {[]*peerpb.Frame{ask}, codes.InvalidArgument, "first frame has no hello"},
		"empty frame first": {[]*peerpb.Frame{{}}, codes.InvalidArgument, "first frame has no hello"},
		"hello and ask":     {[]*peerpb.Frame{{Hello: hello.Hello, Asks: ask.Asks}}, codes.InvalidArgument, "more than a hello"},
		"nameless hello":    {[]*peerpb.Frame{{Hello: &peerpb.Hello{}}}, codes.InvalidArgument, "names nobody"},
		"long name":         {[]*peerpb.Frame{long}, codes.InvalidArgument, "at most 128"},
		"second hello":      {[]*peerpb.Frame{hello, hello}, codes.InvalidArgument, "second hello"},
		"answers":           {[]*peerpb.Frame{hello, {Answers: []*peerpb.Answer{{}}}}, codes.InvalidArgument, "answers from who asks"},
		"wrong number":      {[]*peerpb.Frame{hello, ask, ask}, codes.InvalidArgument, "number 1 comes where 2 is next"},
		"no framing":        {[]*peerpb.Frame{hello, unsound}, codes.InvalidArgument, "not a frame"},
		"too many asks":     {[]*peerpb.Frame{hello, many}, codes.ResourceExhausted, "more than 4096"},
		"too many checks":   {[]*peerpb.Frame{hello, dense}, codes.ResourceExhausted, "more than 4096"},
		"too large":         {[]*peerpb.Frame{large}, codes.ResourceExhausted, "larger than max"},
	} {
		t.Run(name, func(t *testing.T) {
			raw(t, everyone{}, func(t *testing.T, f *fleet, s rawStream) {
				err := say(t, s, test.frames...)
				if status.Code(err) != test.want || !strings.Contains(err.Error(), test.say) {
					t.Errorf("the stream ended with %v, want %v and %q", err, test.want, test.say)
				}
			})
		})
	}
}

// A node that does not fit is refused with the reason.
func TestRefusal(t *testing.T) {
	h := handler{hello: func(h cluster.Hello) error {
		if h.ID == "x" {
			return errors.New("x is of another cluster")
		}
		return nil
	}}
	raw(t, h, func(t *testing.T, f *fleet, s rawStream) {
		err := say(t, s, rawHello("x"))
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "x is of another cluster") {
			t.Errorf("the stream ended with %v, want FailedPrecondition and the reason", err)
		}
		if got := f.b.Stats().Refused; got != 1 {
			t.Errorf("%d refusals were counted, want 1", got)
		}
	})
}

// A node speaks to none whose protocol it cannot speak, too old or too new: it says which protocols both have, counts it and logs it,
// and goes on with the others. Nor does it ask such a node.
func TestProtocolsApart(t *testing.T) {
	for name, test := range map[string]struct {
		says cluster.Hello
		want string
	}{
		"too old":          {cluster.Hello{Protocol: cluster.OldestProtocol - 1}, fmt.Sprintf("speaks protocol %d, ", cluster.OldestProtocol-1)},
		"too new":          {cluster.Hello{Protocol: cluster.Protocol + 1, Newest: cluster.Protocol + 2}, fmt.Sprintf("speaks protocol %d to %d, ", cluster.Protocol+1, cluster.Protocol+2)},
		"newer than known": {cluster.Hello{Protocol: 1<<32 - 1, Newest: 1<<32 - 1}, "speaks protocol 4294967295, "},
	} {
		for _, asks := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/asks %v", name, asks), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					f := newFleet(t, Config{}, everyone{})
					var said lines
					tr := mustNew(t, Config{Listener: f.net.listen("c", 1<<16), Dialer: f.net.dial, Logger: slog.New(slog.NewTextHandler(&said, nil))})
					defer tr.Close()
					node, err := cluster.New(cluster.Config{Name: "c", Label: "test", Transport: tr})
					if err != nil {
						t.Fatal(err)
					}
					mine := cluster.Hello{Protocol: cluster.OldestProtocol, Newest: cluster.Protocol, Label: "test", Ring: node.Status().Ring, ID: "c", Boot: 1}
					serveAs(t, tr, mine, handler{hello: node.Hello})
					x := mustNew(t, Config{Listener: f.net.listen("x", 1<<16), Dialer: f.net.dial})
					defer x.Close()
					theirs := mine
					theirs.ID, theirs.Protocol, theirs.Newest = "x", test.says.Protocol, test.says.Newest
					serveAs(t, x, theirs, everyone{})
					synctest.Wait()
					peer := x.Peer("c", "c")
					if asks {
						peer = tr.Peer("x", "x")
					}
					a := newAsk("k", time.Second)
					peer.Ask(a)
					<-a.Finished()
					if want := "x " + test.want + fmt.Sprintf("c speaks %d to %d", cluster.OldestProtocol, cluster.Protocol); !errors.Is(a.Err, cluster.ErrPeerRefused) || !strings.Contains(a.Err.Error(), want) {
						t.Errorf("the ask ended with %v, want %q", a.Err, want)
					}
					if !asks && (tr.Stats().Refused == 0 || !strings.Contains(said.String(), test.want)) {
						t.Errorf("%d refusals are counted, and the log is %q", tr.Stats().Refused, &said)
					}
					if _, err := f.ask(newAsk("k", time.Second)); err != nil {
						t.Errorf("two that fit: %v", err)
					}
				})
			})
		}
	}
}

// Who opens a stream and says nothing does not keep it.
func TestSilentClient(t *testing.T) {
	raw(t, everyone{}, func(t *testing.T, _ *fleet, s rawStream) {
		start := time.Now()
		err := say(t, s)
		if took := time.Since(start); status.Code(err) != codes.DeadlineExceeded || took != helloWait {
			t.Errorf("the stream ended with %v after %v, want DeadlineExceeded after %v", err, took, helloWait)
		}
	})
}

// Who connects and says nothing at all does not keep the connection, nor does who speaks something else.
func TestNoClient(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, everyone{})
		for _, hi := range []string{"", "GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\xff", 100)} {
			conn, err := f.net.dial(t.Context(), "b")
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if _, err := io.WriteString(conn, hi); err != nil {
				t.Errorf("write: %v", err)
			}
			io.Copy(io.Discard, conn)
			if took := time.Since(start); took > helloWait {
				t.Errorf("a connection that said %.20q was closed after %v, want at most %v", hi, took, helloWait)
			}
			conn.Close()
		}
		if _, err := f.ask(newAsk("k", time.Second)); err != nil {
			t.Errorf("Ask: %v", err)
		}
	})
}

// Who asks without an end and does not read the answers makes the node neither hang nor grow: it is not read any more.
func TestEndlessBatch(t *testing.T) {
	raw(t, everyone{}, func(t *testing.T, f *fleet, s rawStream) {
		s.Send(rawHello("x"))
		s.Recv()
		sent := make(chan int, 1)
		go func() {
			frame := &peerpb.Frame{Seq: 1}
			for range 1000 {
				frame.Asks = append(frame.Asks, rawAsk("k"))
			}
			n := 0
			for ; n < 10000 && s.Send(frame) == nil; n++ {
				frame.Seq += uint64(len(frame.Asks))
			}
			sent <- n
		}()
		time.Sleep(time.Minute)
		if got := f.b.Stats().BatchesAnswered; got > 1000 {
			t.Errorf("%d batches of one who does not read were answered, want few", got)
		}
		f.host.cut()
		if n := <-sent; n == 10000 {
			t.Error("everything was sent although nothing was read")
		}
	})
}

// More connections and streams than allowed are turned away, and there is room again when others end.
func TestCaps(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newNetwork()
		tr := mustNew(t, Config{Listener: n.listen("b", 1<<16), MaxConns: 2, MaxStreams: 3})
		defer tr.Close()
		serve(t, tr, "b", everyone{})
		f := &fleet{t: t, net: n}
		c1, c2 := f.rawConn(), f.rawConn()
		for i, test := range []struct {
			conn *grpc.ClientConn
			want codes.Code
		}{{c1, codes.OK}, {c1, codes.OK}, {c2, codes.OK}, {c2, codes.ResourceExhausted}, {f.rawConn(), codes.Unavailable}} {
			if got := status.Code(open1(t, test.conn)); got != test.want {
				t.Errorf("stream %d: %v, want %v", i, got, test.want)
			}
		}
		c1.Close()
		synctest.Wait()
		if err := open1(t, f.rawConn()); err != nil {
			t.Errorf("stream once others ended: %v", err)
		}
		if s := tr.Stats(); s.Streams != 2 || s.Refused < 2 {
			t.Errorf("Stats: %d streams, %d refused, want 2 and at least 2", s.Streams, s.Refused)
		}
	})
}

// open1 opens a stream that stays, or returns why not.
func open1(t *testing.T, conn *grpc.ClientConn) error {
	s, err := peerpb.NewPeerClient(conn).Talk(t.Context())
	if err != nil {
		return err
	}
	s.Send(rawHello("x"))
	_, err = s.Recv()
	return err
}

// Greet tells who listens, before anybody is anybody's peer.
func TestGreet(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, handler{hello: func(cluster.Hello) error { return errors.New("no") }})
		got, err := f.a.Greet(t.Context(), "b")
		if diff := cmp.Diff(got, helloOf("b")); err != nil || diff != "" {
			t.Errorf("Greet: %v (-got +want):\n%s", err, diff)
		}
		if _, err := f.a.Greet(t.Context(), "nobody"); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("Greet of nobody: %v, want connection refused", err)
		}
		f.host.setDeaf(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := f.a.Greet(ctx, "b"); err == nil || time.Since(start) != time.Second {
			t.Errorf("Greet of a deaf address: %v after %v, want an error after 1s", err, time.Since(start))
		}
	})
}

// Serve ends with its context, when no answer is being made any more.
func TestServeEnds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newNetwork()
		tr := mustNew(t, Config{Listener: n.listen("b", 1<<16)})
		defer tr.Close()
		if _, err := tr.Listen(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- tr.Serve(ctx, helloOf("b"), everyone{}) }()
		f := &fleet{t: t, net: n}
		conn := f.rawConn()
		if err := open1(t, conn); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v, want nil", err)
		}
		if got := tr.Stats().Streams; got != 0 {
			t.Errorf("%d streams are open after Serve, want none", got)
		}
		if _, err := n.dial(t.Context(), "b"); err == nil {
			t.Error("the listener is open after Serve")
		}
		conn.Close()
	})
}
