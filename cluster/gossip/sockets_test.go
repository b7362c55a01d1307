package gossip_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
)

// socketed runs a node at a port of its own.
func socketed(t *testing.T, id ring.Member, options ...func(*gossip.Config)) *gossip.Gossip {
	t.Helper()
	config := gossip.Config{
		ID: id, Bind: "127.0.0.1:0", PeerAddr: "127.0.0.1:7947", Logger: slog.New(slog.DiscardHandler),
	}
	for _, option := range options {
		option(&config)
	}
	g, err := gossip.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	go g.Run(t.Context())
	return g
}

// told waits until a node tells a set.
func told(t *testing.T, g *gossip.Gossip, want ...string) {
	t.Helper()
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	for {
		select {
		case set := <-g.Updates():
			if slices.Equal(names(set), want) {
				return
			}
		case <-late.C:
			t.Fatalf("not told after 20s: %v, known are %+v", want, g.View())
		}
	}
}

// Over UDP and TCP two nodes find each other, a refused address and another cluster are told as such, and who leaves gives
// its port back.
func TestSockets(t *testing.T) {
	a, b := socketed(t, "a"), socketed(t, "b")
	_, port, _ := net.SplitHostPort(a.Addr())
	if n, err := b.Join(t.Context(), []string{"localhost:" + port, b.Addr()}); n != 1 || err != nil {
		t.Fatalf("Join = %d, %v, want 1, nil", n, err)
	}
	told(t, a, "a", "b")
	told(t, b, "a", "b")
	other := socketed(t, "other", func(c *gossip.Config) { c.Label = "other" })
	if _, err := other.Join(t.Context(), []string{a.Addr()}); !errors.Is(err, gossip.ErrMismatch) {
		t.Errorf("Join of another cluster: %v, want ErrMismatch", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.Leave(ctx); err != nil {
		t.Errorf("Leave: %v", err)
	}
	told(t, a, "a")
	if _, err := a.Join(t.Context(), []string{b.Addr()}); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Join by one that left: %v, want %v", err, syscall.ECONNREFUSED)
	}
	l, err := net.Listen("tcp", b.Addr())
	if err != nil {
		t.Fatalf("the port is not free: %v", err)
	}
	l.Close()
}

// A node that is given itself as its seed, also by another of its addresses, has joined nobody, which is no error.
func TestJoinSelf(t *testing.T) {
	a := socketed(t, "a", func(c *gossip.Config) { c.Bind, c.Advertise = ":0", "127.0.0.2:0" })
	_, port, _ := net.SplitHostPort(a.Addr())
	if n, err := a.Join(t.Context(), []string{a.Addr(), "127.0.0.1:" + port}); n != 0 || err != nil {
		t.Errorf("Join itself = %d, %v, want 0, nil", n, err)
	}
	if _, err := a.Join(t.Context(), []string{"127.0.0.1:" + port, "127.0.0.1:1"}); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Join itself and nobody: %v, want %v", err, syscall.ECONNREFUSED)
	}
}

// An address in use is an error of Start, and an advertised address is what others see.
func TestBind(t *testing.T) {
	a := socketed(t, "a", func(c *gossip.Config) { c.Advertise, c.PeerAddr = "127.0.0.2:0", "[::]:7947" })
	_, port, _ := net.SplitHostPort(a.Addr())
	if got, want := a.Addr(), "127.0.0.2:"+port; got != want || port == "0" {
		t.Errorf("Addr = %q, want %q", got, want)
	}
	told(t, a, "a")
	if got, want := a.Members()[0].Peer, "127.0.0.2:7947"; got != want {
		t.Errorf("peer address for others is %q, want %q", got, want)
	}
	g, err := gossip.New(gossip.Config{ID: "b", Bind: "127.0.0.1:" + port, PeerAddr: "127.0.0.1:7947"})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Start at an address in use: %v, want %v", err, syscall.EADDRINUSE)
	}
}
