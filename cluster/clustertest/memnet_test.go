package clustertest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// pair returns a connection from host a to host b.
func pair(t testing.TB, n *clustertest.Net, a, b string) (client, server net.Conn) {
	t.Helper()
	l, err := n.Listen(b + ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = n.Dial(t.Context(), a, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func write(t testing.TB, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

func wantRead(t testing.TB, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Errorf("Read gives %q, %v, want %q", b, err, want)
	}
}

// A connection keeps all that net.Conn promises: deadlines, concurrent use, closing.
func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		n := clustertest.NewNet(1)
		a, b := pair(t, n, n.Host(), n.Host())
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

// An address where nobody listens refuses; an address in use, and what is no address, is an error.
func TestAddresses(t *testing.T) {
	n := clustertest.NewNet(1)
	a, b := n.Host(), n.Host()
	if _, err := n.Dial(t.Context(), a, b+":1"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial where nobody listens: %v, want %v", err, syscall.ECONNREFUSED)
	}
	l, err := n.Listen(b + ":1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Transport(b + ":1"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Transport at an address in use: %v, want %v", err, syscall.EADDRINUSE)
	}
	l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v, want %v", err, net.ErrClosed)
	}
	if _, err := n.Listen("localhost"); err == nil {
		t.Error("Listen at a name is no error")
	}
	if _, err := n.Dial(t.Context(), "", b+":1"); err == nil {
		t.Error("Dial from nowhere is no error")
	}
}

// A writer whom nobody reads waits once the connection is full, until his deadline.
func TestFull(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := clustertest.NewNet(1)
		a, _ := pair(t, n, n.Host(), n.Host())
		start := time.Now()
		a.SetWriteDeadline(start.Add(time.Second))
		k, err := a.Write(make([]byte, 1<<20))
		if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took != time.Second || k != 64<<10 {
			t.Errorf("Write of 1 MiB: %d bytes, %v after %v, want 64 KiB and a timeout after 1s", k, err, took)
		}
	})
}

// Latency delays a dial by a round trip and bytes by half of one.
func TestLatency(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := clustertest.NewNet(1)
		n.SetLatency(10 * time.Millisecond)
		start := time.Now()
		a, b := pair(t, n, n.Host(), n.Host())
		if got := time.Since(start); got != 20*time.Millisecond {
			t.Errorf("Dial took %v, want 20ms", got)
		}
		start = time.Now()
		write(t, a, "x")
		a.Close()
		wantRead(t, b, "x")
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("Read after the other end's Close: %v, want EOF", err)
		}
		if got := time.Since(start); got != 10*time.Millisecond {
			t.Errorf("bytes and end took %v, want 10ms", got)
		}
	})
}

// Kill breaks what is open and refuses what is new; the host reaches nobody until it is used again.
func TestKill(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := clustertest.NewNet(1)
		a, b := n.Host(), n.Host()
		l, err := n.Listen(b + ":7947")
		if err != nil {
			t.Fatal(err)
		}
		client, server := pair(t, n, a, b)
		write(t, server, "last words")
		n.Kill(b)
		wantRead(t, client, "last words")
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Read from the killed: %v, want %v", err, syscall.ECONNRESET)
		}
		if _, err := client.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Write to the killed: %v, want %v", err, syscall.ECONNRESET)
		}
		if _, err := server.Read(make([]byte, 1)); err == nil {
			t.Error("the killed reads on")
		}
		if _, err := n.Dial(t.Context(), a, b+":7947"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial to the killed: %v, want %v", err, syscall.ECONNREFUSED)
		}
		if _, err := l.Accept(); err == nil {
			t.Error("the killed accepts")
		}
		if _, err := n.Dial(t.Context(), b, a+":1"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Dial from the killed: %v, want %v", err, net.ErrClosed)
		}
		pair(t, n, a, b) // used again
		pair(t, n, b, a)
	})
}

// Killing one address leaves the others of its host.
func TestKillAddress(t *testing.T) {
	n := clustertest.NewNet(1)
	a, b := n.Host(), n.Host()
	one, err := n.Listen(b + ":1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Listen(b + ":2"); err != nil {
		t.Fatal(err)
	}
	n.Kill(one.Addr().String())
	if _, err := n.Dial(t.Context(), a, b+":1"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial to the killed address: %v, want %v", err, syscall.ECONNREFUSED)
	}
	if _, err := n.Dial(t.Context(), a, b+":2"); err != nil {
		t.Errorf("Dial to another address of the host: %v", err)
	}
}

// Across a cut bytes wait and dials get no answer; both go on after Heal.
func TestCut(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := clustertest.NewNet(1)
		a, b, c := n.Host(), n.Host(), n.Host()
		client, server := pair(t, n, a, b)
		l, err := n.Listen(b + ":1")
		if err != nil {
			t.Fatal(err)
		}
		n.Cut([]string{a, c}, []string{l.Addr().String()})
		write(t, client, "hello")
		server.SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read across a cut: %v, want %v", err, os.ErrDeadlineExceeded)
		}
		if _, err := n.Dial(within(t, time.Second), a, b+":1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial across a cut: %v, want %v", err, context.DeadlineExceeded)
		}
		pair(t, n, a, c) // the same side
		time.AfterFunc(time.Second, n.Heal)
		if _, err := n.Dial(within(t, 2*time.Second), a, b+":1"); err != nil {
			t.Errorf("Dial with a cut that heals: %v", err)
		}
		server.SetReadDeadline(time.Time{})
		wantRead(t, server, "hello")
	})
}

// A cut in one way lets the other way pass.
func TestCutOneWay(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := clustertest.NewNet(1)
		a, b := n.Host(), n.Host()
		client, server := pair(t, n, a, b)
		n.CutOneWay([]string{a}, []string{b})
		write(t, server, "still heard")
		wantRead(t, client, "still heard")
		write(t, client, "unheard")
		server.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read across a cut: %v, want %v", err, os.ErrDeadlineExceeded)
		}
	})
}

// A host that is cut off and killed vanishes without a sign.
func TestVanish(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := clustertest.NewNet(1)
		a, b := n.Host(), n.Host()
		client, _ := pair(t, n, a, b)
		n.Cut([]string{a}, []string{b})
		n.Kill(b)
		write(t, client, "is anybody there")
		client.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read from the vanished: %v, want %v", err, os.ErrDeadlineExceeded)
		}
		n.Heal()
		client.SetReadDeadline(time.Time{})
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Read after Heal: %v, want %v", err, syscall.ECONNRESET)
		}
	})
}

// Others can connect to a frozen host, and hear of it when it thaws.
func TestFreeze(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := clustertest.NewNet(1)
		a, b := n.Host(), n.Host()
		n.Freeze(b)
		start := time.Now()
		client, server := pair(t, n, a, b)
		write(t, client, "ping")
		time.AfterFunc(time.Minute, func() { n.Thaw(b) })
		wantRead(t, server, "ping")
		if got := time.Since(start); got != time.Minute {
			t.Errorf("heard after %v, want 1m0s", got)
		}
	})
}

// Packets for a frozen host arrive when it thaws, in their order and as many as may wait; those it sends get lost.
func TestFreezePackets(t *testing.T) {
	n := clustertest.NewNet(1)
	a, _ := n.Transport(n.Host() + ":0")
	b, _ := n.Transport(n.Host() + ":7946")
	n.Freeze("10.0.0.2")
	for i := range 2000 {
		a.WriteTo([]byte{byte(i)}, "10.0.0.2:7946")
	}
	b.WriteTo([]byte("lost"), "10.0.0.1:7946")
	if got := len(b.PacketCh()) + len(a.PacketCh()); got != 0 {
		t.Errorf("%d packets arrived from or at a frozen host, want none", got)
	}
	n.Thaw("10.0.0.2")
	if got := len(b.PacketCh()); got != 1024 {
		t.Fatalf("%d packets arrived once it thawed, want 1024", got)
	}
	for i := range 1024 {
		if got := (<-b.PacketCh()).Buf[0]; got != byte(i) {
			t.Fatalf("packet %d is number %d, want the order in which they were sent", i, got)
		}
	}
	if got := n.Stats().Dropped; got != 2000-1024+1 {
		t.Errorf("%d packets were dropped, want %d", got, 2000-1024+1)
	}
}

// As many packets get lost as were asked for, and the same ones with the same seed.
func TestLoss(t *testing.T) {
	arrived := func(seed uint64) (got []byte) {
		n := clustertest.NewNet(seed)
		a, _ := n.Transport(n.Host() + ":0")
		b, _ := n.Transport(n.Host() + ":7946")
		n.SetLoss(0.25)
		for i := range 200 {
			a.WriteTo([]byte{byte(i)}, "10.0.0.2:7946")
		}
		for len(b.PacketCh()) > 0 {
			got = append(got, (<-b.PacketCh()).Buf...)
		}
		if s := n.Stats(); s.Packets != 200 || s.Dropped != 200-len(got) {
			t.Errorf("Stats gives %+v, want 200 packets, %d dropped", s, 200-len(got))
		}
		return got
	}
	if got := len(arrived(7)); got < 130 || got > 170 {
		t.Errorf("%d of 200 packets arrived with a loss of 0.25", got)
	}
	if a, b := arrived(7), arrived(7); string(a) != string(b) {
		t.Errorf("one seed, two outcomes: %v and %v", a, b)
	}
}

// gRPC works over a Net inside a bubble: calls, a killed server, one that comes back.
func TestGRPC(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := clustertest.NewNet(1)
		n.SetLatency(time.Millisecond)
		a, b := n.Host(), n.Host()
		serve := func() *grpc.Server {
			l, err := n.Listen(b + ":7947")
			if err != nil {
				t.Fatal(err)
			}
			s := grpc.NewServer()
			healthpb.RegisterHealthServer(s, health.NewServer())
			go s.Serve(l)
			return s
		}
		cc, err := grpc.NewClient("passthrough:///"+b+":7947", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return n.Dial(ctx, a, addr) }))
		if err != nil {
			t.Fatal(err)
		}
		check := func() error {
			_, err := healthpb.NewHealthClient(cc).Check(within(t, time.Second), &healthpb.HealthCheckRequest{})
			return err
		}
		s := serve()
		if err := check(); err != nil {
			t.Errorf("Check: %v", err)
		}
		n.Kill(b)
		s.Stop()
		if err := check(); status.Code(err) != codes.Unavailable {
			t.Errorf("Check of the killed: %v, want Unavailable", err)
		}
		s = serve()
		cc.ResetConnectBackoff()
		if _, err := healthpb.NewHealthClient(cc).Check(within(t, time.Minute), &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true)); err != nil {
			t.Errorf("Check of one that came back: %v", err)
		}
		n.Freeze(b)
		start := time.Now()
		if err := check(); status.Code(err) != codes.DeadlineExceeded || time.Since(start) != time.Second {
			t.Errorf("Check of the frozen: %v after %v, want DeadlineExceeded after 1s", err, time.Since(start))
		}
		n.Thaw(b)
		cc.Close()
		s.Stop()
	})
}
