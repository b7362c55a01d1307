package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport/peerpb"
)

// yes allows everything.
type yes struct{}

func (yes) Hello(cluster.Hello) error { return nil }

func (yes) Answer(_ ring.Member, asks []cluster.Ask) {
	for i := range asks {
		asks[i].Answer = cluster.Answer{Holder: "b", Term: 3, Epoch: asks[i].Epoch}
		for j := range asks[i].Checks {
			asks[i].Checks[j].Decision = bucket.Decision{Allowed: true, Remaining: 99, ResetAfter: 10 * time.Millisecond}
		}
	}
}

func benchAsk(i int) *cluster.Ask {
	a := cluster.NewAsk()
	a.Epoch, a.Wait = 0x1234567890abcdef, time.Second
	a.Checks = []cluster.Check{{
		Partition: 4711, Term: 3,
		Request: bucket.Request{
			Key: fmt.Sprintf("tenant/user:%06d", i), Cost: 1,
			Limit: bucket.Limit{Tokens: 100, Per: time.Second, Burst: 200},
		},
	}}
	return a
}

func tcpPeer(b *testing.B) (cluster.Peer, *Transport) {
	var ts [2]*Transport
	var addrs [2]string
	for i, id := range []ring.Member{"a", "b"} {
		t, err := New(Config{Listen: "127.0.0.1:0"})
		if err != nil {
			b.Fatal(err)
		}
		if addrs[i], err = t.Listen(); err != nil {
			b.Fatal(err)
		}
		go t.Serve(context.Background(), cluster.Hello{Protocol: cluster.Protocol, ID: id}, yes{})
		b.Cleanup(func() { t.Close() })
		ts[i] = t
	}
	return ts[0].Peer("b", addrs[1]), ts[0]
}

func askAndWait(b *testing.B, p cluster.Peer, a *cluster.Ask) {
	p.Ask(a)
	<-a.Finished()
	if a.Err != nil {
		b.Fatal(a.Err)
	}
}

// cpu returns the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// callers runs f in n goroutines, b.N times in all, and reports the processor time of each.
func callers(b *testing.B, n int, f func(caller int) func()) {
	b.ReportAllocs()
	var wg sync.WaitGroup
	start := cpu()
	b.ResetTimer()
	for i := range n {
		times := b.N / n
		if i < b.N%n {
			times++
		}
		g := f(i)
		wg.Go(func() {
			for range times {
				g()
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(cpu()-start)/float64(b.N)/1000, "cpu-us/op")
}

func BenchmarkPeer(b *testing.B) {
	for _, n := range []int{1, 64, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p, t := tcpPeer(b)
			askAndWait(b, p, benchAsk(0))
			before := t.Stats()
			callers(b, n, func(i int) func() {
				a := benchAsk(i)
				return func() { askAndWait(b, p, a) }
			})
			s := t.Stats()
			b.ReportMetric(float64(s.Asks-before.Asks)/float64(s.Batches-before.Batches), "asks/batch")
		})
	}
}

// bare is a peer that answers frames and does nothing else.
type bare struct {
	peerpb.UnimplementedPeerServer
	pool *buffers
}

func (p bare) Talk(s grpc.BidiStreamingServer[peerpb.Frame, peerpb.Frame]) error {
	r := responder{me: &identity{self: cluster.Hello{ID: "b"}, handler: yes{}}, next: 1}
	var in incoming
	for {
		if err := s.RecvMsg(&in); err != nil {
			return err
		}
		r.next = 1
		if err := r.answer(in.bytes); err != nil {
			return err
		}
		buf := p.pool.Get(0)
		*buf = r.encode(*buf)
		in.release()
		if err := s.SendMsg(&outgoing{buf}); err != nil {
			return err
		}
	}
}

func (bare) Greet(context.Context, *peerpb.GreetRequest) (*peerpb.GreetResponse, error) {
	return &peerpb.GreetResponse{}, nil
}

func bareConn(b *testing.B, pool *buffers, opts []grpc.ServerOption, dialOpts ...grpc.DialOption) *grpc.ClientConn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := grpc.NewServer(opts...)
	peerpb.RegisterPeerServer(s, bare{pool: pool})
	s.RegisterService(&oneDesc, bare{pool: pool})
	go s.Serve(l)
	b.Cleanup(s.Stop)
	dialOpts = append(dialOpts, grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), dialOpts...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return conn
}

// oneDesc is a unary method that asks and answers one frame.
var oneDesc = grpc.ServiceDesc{
	ServiceName: "bare", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "One", Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var f peerpb.Frame
		if err := dec(&f); err != nil {
			return nil, err
		}
		return answerProto(&f), nil
	}}},
}

func answerProto(f *peerpb.Frame) *peerpb.Frame {
	out := &peerpb.Frame{Seq: f.Seq}
	for _, a := range f.Asks {
		out.Answers = append(out.Answers, &peerpb.Answer{
			Term: 3, Epoch: a.Epoch,
			Decisions: []*peerpb.Decision{{Allowed: true, Remaining: 99, ResetAfterNs: int64(10 * time.Millisecond)}},
		})
	}
	return out
}

func askProto(i int) *peerpb.Frame {
	return &peerpb.Frame{Seq: 1, Asks: []*peerpb.Ask{{
		Epoch: 0x1234567890abcdef, WaitNs: int64(time.Second),
		Checks: []*peerpb.Check{{
			Partition: 4711, Term: 3, Key: fmt.Sprintf("tenant/user:%06d", i), Cost: 1,
			Limit: &peerpb.Limit{Tokens: 100, PerNs: int64(time.Second), Burst: 200},
		}},
	}}}
}

// The same check as a unary call with the generated code.
func BenchmarkUnary(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			conn := bareConn(b, nil, nil)
			callers(b, n, func(i int) func() {
				in := askProto(i)
				return func() {
					var out peerpb.Frame
					if err := conn.Invoke(context.Background(), "/bare/One", in, &out); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func bareStream(b *testing.B, pool *buffers) grpc.ClientStream {
	t, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	t.codec = codec{pool}
	conn := bareConn(b, pool, t.serverOptions(), t.dialOptions(&dialer{dial: dialTCP})...)
	s, err := peerpb.NewPeerClient(conn).Talk(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func bareFrame(pool *buffers, asks ...*cluster.Ask) *outgoing {
	buf := pool.Get(0)
	*buf = appendSeq(*buf, 1)
	for _, a := range asks {
		*buf = appendAsk(*buf, a, a.Wait)
	}
	return &outgoing{buf}
}

func bareAnswer(b *testing.B, s grpc.ClientStream, in *incoming, f *frame, asks []*cluster.Ask) {
	err := s.RecvMsg(in)
	if err == nil {
		err = f.split(in.bytes)
	}
	if err != nil {
		if !errors.Is(err, io.EOF) {
			b.Error(err)
		}
		return
	}
	for i, a := range asks {
		if err := decodeAnswer(f.answers[i], a, "b"); err != nil {
			b.Error(err)
		}
	}
	in.release()
}

// The least that one message and its answer on a stream take: the caller sends and receives.
func BenchmarkBareStream(b *testing.B) {
	pool := newBuffers()
	s := bareStream(b, pool)
	var in incoming
	var f frame
	a := benchAsk(1)
	callers(b, 1, func(int) func() {
		return func() {
			if err := s.SendMsg(bareFrame(pool, a)); err != nil {
				b.Fatal(err)
			}
			bareAnswer(b, s, &in, &f, []*cluster.Ask{a})
		}
	})
}

// The least that batches from many callers take: no deadlines, no bounds, no errors, but the same bytes.
func BenchmarkBareBatches(b *testing.B) {
	for _, n := range []int{64, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchBareBatches(b, n) })
	}
}

func benchBareBatches(b *testing.B, n int) {
	pool := newBuffers()
	s := bareStream(b, pool)
	queue, sent := make(chan *cluster.Ask, n), make(chan []*cluster.Ask, inFlight)
	slots := make(chan struct{}, inFlight)
	go func() {
		defer close(sent)
		for a := range queue {
			slots <- struct{}{}
			runtime.Gosched()
			batch := []*cluster.Ask{a}
			for more := true; more; {
				select {
				case a, ok := <-queue:
					if more = ok; ok {
						batch = append(batch, a)
					}
				default:
					more = false
				}
			}
			sent <- batch
			if s.SendMsg(bareFrame(pool, batch...)) != nil {
				return
			}
		}
	}()
	go func() {
		var in incoming
		var f frame
		for batch := range sent {
			bareAnswer(b, s, &in, &f, batch)
			<-slots
			for _, a := range batch {
				a.Done(nil)
			}
		}
	}()
	callers(b, n, func(i int) func() {
		a := benchAsk(i)
		return func() {
			queue <- a
			<-a.Finished()
		}
	})
	close(queue)
}

// Writing and reading 64 asks and their answers, by hand and by the generated code, without the copies that the latter
// would need between its structs and ours.
func BenchmarkCodec(b *testing.B) {
	b.Run("hand", func(b *testing.B) {
		b.ReportAllocs()
		r := responder{me: &identity{self: cluster.Hello{ID: "b"}, handler: yes{}}}
		var asks []*cluster.Ask
		for i := range 64 {
			asks = append(asks, benchAsk(i))
		}
		var in, out []byte
		var f frame
		for b.Loop() {
			in = appendSeq(in[:0], 1)
			for _, a := range asks {
				in = appendAsk(in, a, a.Wait)
			}
			r.next = 1
			if err := r.answer(in); err != nil {
				b.Fatal(err)
			}
			out = r.encode(out[:0])
			if err := f.split(out); err != nil {
				b.Fatal(err)
			}
			for i, a := range asks {
				if err := decodeAnswer(f.answers[i], a, "b"); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("generated", func(b *testing.B) {
		b.ReportAllocs()
		frame := &peerpb.Frame{Seq: 1}
		for i := range 64 {
			frame.Asks = append(frame.Asks, askProto(i).Asks...)
		}
		var in, out []byte
		for b.Loop() {
			var asks, answers peerpb.Frame
			in, _ = proto.MarshalOptions{}.MarshalAppend(in[:0], frame)
			if err := proto.Unmarshal(in, &asks); err != nil {
				b.Fatal(err)
			}
			out, _ = proto.MarshalOptions{}.MarshalAppend(out[:0], answerProto(&asks))
			if err := proto.Unmarshal(out, &answers); err != nil {
				b.Fatal(err)
			}
		}
	})
}
