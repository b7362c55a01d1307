package gossip_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/cluster/gossip"
)

// A log is what a node logs.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// to makes a node log into l.
func (l *log) to(level slog.Level) func(*gossip.Config) {
	return func(c *gossip.Config) {
		c.Logger = slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level}))
	}
}

// A node of another cluster is told what differs, with both values; the cluster logs it, once a minute; neither gets the
// other as a member.
func TestMismatch(t *testing.T) {
	for _, c := range []struct {
		name  string
		other func(*gossip.Config)
		want  string
	}{
		{"label", func(c *gossip.Config) { c.Label = "prod" }, `label "prod" here, "test" at 10.0.0.1:7946`},
		{"ring", func(c *gossip.Config) { c.RingParams = "partitions 8" }, `ring parameters "partitions 8" here, "partitions 16384" at 10.0.0.1:7946`},
		{"protocol", func(c *gossip.Config) { c.Protocol = 2 }, `protocol 2 here, 1 at 10.0.0.1:7946`},
		{"newer protocols", func(c *gossip.Config) { c.Protocol, c.Newest = 2, 7 }, `protocol 2 to 7 here, 1 at 10.0.0.1:7946`},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				f := newFleet(t)
				var l log
				nodes := []*node{f.start("a", "", l.to(slog.LevelInfo)), f.start("b", "")}
				f.join(nodes[1], nodes[0])
				other := f.start("x", "", c.other)
				for range 5 {
					n, err := other.Join(t.Context(), []string{nodes[0].Addr()})
					if n != 0 || !errors.Is(err, gossip.ErrMismatch) || !errors.Is(err, gossip.ErrNoSeed) || !strings.Contains(err.Error(), c.want) {
						t.Fatalf("Join = %d, %v, want an ErrMismatch with %q", n, err, c.want)
					}
				}
				time.Sleep(30 * time.Second) // for push-pull
				f.agree(nodes, nodes...)
				f.agree([]*node{other}, other)
				if got := nodes[0].Health().Refused; got < 5 {
					t.Errorf("%d refusals were counted, want one for each of 5 joins at least", got)
				}
				if got := strings.Count(l.String(), "node is not let in"); got != 1 || !strings.Contains(l.String(), "10.0.0.3:7946") {
					t.Errorf("the cluster logged it %d times, want once, with the address:\n%s", got, &l)
				}
			})
		})
	}
}

// Of each seed that is of no use Join says why; one that is of use is enough.
func TestSeeds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a, b := f.start("a", ""), f.start("b", "")
		silent, talker := f.net.Host(), f.net.Host()
		f.net.Cut([]string{a.host}, []string{silent})
		l, err := f.net.Listen(talker + ":80")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				go func() {
					defer c.Close()
					io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
					io.Copy(io.Discard, c) // who hangs up on what is still on its way resets the connection
				}()
			}
		}()
		h, err := f.net.Listen(talker + ":81")
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		go func() {
			for c, err := h.Accept(); err == nil; c, err = h.Accept() {
				c.Close()
			}
		}()
		for _, c := range []struct {
			seed, want string
			is         error
		}{
			{b.host + ":1", "seed 10.0.0.2:1: connection refused", syscall.ECONNREFUSED},
			{silent + ":7946", "seed 10.0.0.3:7946: no answer within 3s", context.DeadlineExceeded},
			{talker + ":80", "not with gossip; is it a gossip address?", nil},
			{talker + ":81", "hung up without an answer", nil},
			{"10.0.0.2", `seed 10.0.0.2: want host:port`, nil},
			{"10.0.0.2:port", `port "port": want 0 to 65535`, nil},
			{":7946", `want host:port`, nil},
		} {
			n, err := a.Join(t.Context(), []string{c.seed})
			if n != 0 || !errors.Is(err, gossip.ErrNoSeed) || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("Join %q = %d, %v, want an ErrNoSeed with %q, %v", c.seed, n, err, c.want, c.is)
			}
		}
		if n, err := a.Join(t.Context(), []string{a.Addr()}); n != 0 || err != nil {
			t.Errorf("Join itself = %d, %v, want 0, nil", n, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := a.Join(ctx, []string{silent + ":7946"}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Join with a second's time: %v after %v, want %v after 1s", err, time.Since(start), context.DeadlineExceeded)
		}
		if n, err := a.Join(t.Context(), []string{"10.0.0.2:1", a.Addr(), silent + ":7946", b.Addr()}); n != 1 || err != nil {
			t.Errorf("Join with one good seed = %d, %v, want 1, nil", n, err)
		}
		f.agree([]*node{a, b}, a, b)
	})
}

// Nodes with one secret key gossip, and those with another or none are told so. The key is in no log.
func TestSecretKey(t *testing.T) {
	key := func(k string) func(*gossip.Config) { return func(c *gossip.Config) { c.SecretKey = []byte(k) } }
	const one, two = "0123456789abcdef", "fedcba9876543210"
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		var l log
		a, b := f.start("a", "", key(one), l.to(slog.LevelDebug)), f.start("b", "", key(one))
		f.join(b, a)
		f.agree([]*node{a, b}, a, b)
		other, plain := f.start("other", "", key(two)), f.start("plain", "")
		for _, c := range []struct {
			by, to *node
			want   string
		}{
			{other, a, "its gossip is encrypted with another key"},
			{plain, a, "its gossip is encrypted with a secret key, and this node has none"},
			{a, plain, "its gossip is not encrypted, and this node has a secret key"},
		} {
			if _, err := c.by.Join(t.Context(), []string{c.to.Addr()}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Join = %v, want %q", err, c.want)
			}
		}
		if err := a.Leave(t.Context()); err != nil {
			t.Errorf("Leave: %v", err)
		}
		if text := l.String(); strings.Contains(text, one) || !strings.Contains(text, "push/pull") {
			t.Errorf("the log has the key, or not what memberlist says:\n%s", text)
		}
	})
}

// Of two nodes with one ID and one boot, which only a fixed boot makes possible, the second is not let in, and a person is
// told.
func TestSameBoot(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		var l log
		boot := func(c *gossip.Config) { c.Boot = 7 }
		a, other := f.start("a", "", boot, l.to(slog.LevelWarn)), f.start("other", "")
		f.join(other, a)
		second := f.start("a", "", boot)
		second.Join(t.Context(), []string{a.Addr()})
		time.Sleep(time.Minute)
		f.agree([]*node{a, other}, a, other)
		if got := other.last()[0].Gossip; got != a.Addr() {
			t.Errorf("a is at %s, want %s", got, a.Addr())
		}
		if want := "two nodes have the same id and boot"; !strings.Contains(l.String(), want) || !strings.Contains(l.String(), second.Addr()) {
			t.Errorf("the log has no %q with the second address:\n%s", want, &l)
		}
	})
}

// A transport without DialContext serves too.
func TestPlainTransport(t *testing.T) {
	plain := func(c *gossip.Config) { c.Transport = struct{ memberlist.NodeAwareTransport }{c.Transport} }
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a, b := f.start("a", "", plain), f.start("b", "", plain)
		f.join(b, a)
		f.agree([]*node{a, b}, a, b)
	})
}

// Close ends a Join that waits for an answer, and all methods say that it is over.
func TestClose(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.start("a", "")
		silent := f.net.Host()
		f.net.Cut([]string{a.host}, []string{silent})
		time.AfterFunc(time.Second, func() { a.Close() })
		start := time.Now()
		if _, err := a.Join(t.Context(), []string{silent + ":7946"}); !errors.Is(err, gossip.ErrClosed) || time.Since(start) != time.Second {
			t.Errorf("Join while Close is called: %v after %v, want ErrClosed after 1s", err, time.Since(start))
		}
		if _, err := a.Join(t.Context(), []string{silent + ":7946"}); !errors.Is(err, gossip.ErrClosed) {
			t.Errorf("Join after Close: %v, want ErrClosed", err)
		}
		if err := a.Start(); !errors.Is(err, gossip.ErrClosed) {
			t.Errorf("Start after Close: %v, want ErrClosed", err)
		}
		if err := a.Run(t.Context()); !errors.Is(err, gossip.ErrClosed) {
			t.Errorf("Run after Close: %v, want ErrClosed", err)
		}
		if err := a.Leave(t.Context()); !errors.Is(err, gossip.ErrClosed) {
			t.Errorf("Leave after Close: %v, want ErrClosed", err)
		}
		if err := a.Close(); err != nil {
			t.Errorf("Close again: %v", err)
		}
		a.SetDraining(true)
	})
}

// What was started and never ran gives its address back on Close; a second Run is refused.
func TestCloseUnrun(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		transport, err := f.net.Transport("10.9.9.9:7946")
		if err != nil {
			t.Fatal(err)
		}
		g, err := gossip.New(gossip.Config{ID: "a", PeerAddr: "10.9.9.9:7947", Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		if got := g.Addr(); got != "" || len(g.Members()) != 0 {
			t.Errorf("before Start Addr = %q, Members = %v, want none", got, g.Members())
		}
		if err := errors.Join(g.Start(), g.Start()); err != nil {
			t.Fatal(err)
		}
		if got := g.Addr(); got != "10.9.9.9:7946" || len(g.Members()) != 1 {
			t.Errorf("after Start Addr = %q, Members = %v, want this node", got, g.Members())
		}
		if err := g.Leave(t.Context()); err != nil {
			t.Errorf("Leave: %v", err)
		}
		if _, err := f.net.Listen("10.9.9.9:7946"); err != nil {
			t.Errorf("the address is not free again: %v", err)
		}
		running := f.start("b", "")
		f.agree([]*node{running}, running)
		if err := running.Run(t.Context()); err == nil {
			t.Error("a second Run is no error")
		}
	})
}

// Run ends with its context; to others that is a death.
func TestRunEnds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.start("a", "")
		transport, err := f.net.Transport(f.net.Host() + ":7946")
		if err != nil {
			t.Fatal(err)
		}
		b, err := gossip.New(gossip.Config{
			ID: "b", PeerAddr: "10.0.0.2:7947", Label: "test", RingParams: "partitions 16384", Protocol: 1, Transport: transport,
			Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		if _, err := b.Join(ctx, []string{a.Addr()}); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		f.wait("b is missing", func() bool { return len(a.View().Missing) == 1 })
	})
}
