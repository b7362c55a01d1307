package peer

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// What does not make a Transport is refused with what would.
func TestBadConfig(t *testing.T) {
	for want, c := range map[string]Config{
		"MaxQueue is -1 asks: want at least 1":         {MaxQueue: -1},
		"MaxBatch is 999 checks: want 1000 to 4096":    {MaxBatch: 999},
		"MaxBatch is 4097 checks: want 1000 to 4096":   {MaxBatch: 4097},
		"ConnectTimeout is -1ns: want more than 0":     {ConnectTimeout: -1},
		"MaxConns is -1 connections: want at least 1":  {MaxConns: -1},
		"MaxStreams is -1 streams: want at least 1":    {MaxStreams: -1},
		`Listen is "nowhere": want host:port, such as`: {Listen: "nowhere"},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v, want %q", err, want)
		}
	}
}

// The address that peers are told has the port that was opened and names a host that they can reach.
func TestAdvertise(t *testing.T) {
	for _, test := range []struct{ advertise, bound, want string }{
		{"", "127.0.0.1:7947", "127.0.0.1:7947"},
		{"", "[::1]:7947", "[::1]:7947"},
		{"", "[::]:7947", ""},
		{"", "0.0.0.0:7947", ""},
		{"node-a", "[::]:7947", "node-a:7947"},
		{"node-a:0", "[::]:7947", "node-a:7947"},
		{"node-a:80", "[::]:7947", "node-a:80"},
		{"10.0.0.1", "0.0.0.0:7947", "10.0.0.1:7947"},
		{"::1", "[::]:7947", "[::1]:7947"},
		{"[fd00::1]", "[::]:7947", "[fd00::1]:7947"},
		{"[fd00::1]:80", "[::]:7947", "[fd00::1]:80"},
		{"", "bufconn", "bufconn"},
		{"b", "bufconn", "b"},
	} {
		got, err := Config{Advertise: test.advertise}.advertised(test.bound)
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("Advertise %q, listening on %s: %q, %v, want %q", test.advertise, test.bound, got, err, test.want)
		}
	}
}

// The calls of a Transport that come out of order say so.
func TestOrder(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newNetwork()
		tr := mustNew(t, Config{Listener: n.listen("b", 1024)})
		if err := tr.Serve(t.Context(), helloOf("b"), everyone{}); err == nil || !strings.Contains(err.Error(), "Listen was not called") {
			t.Errorf("Serve before Listen: %v", err)
		}
		if _, err := tr.Listen(); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Listen(); err == nil {
			t.Error("second Listen: no error")
		}
		go tr.Serve(t.Context(), helloOf("b"), everyone{})
		synctest.Wait()
		if err := tr.Serve(t.Context(), helloOf("b"), everyone{}); err == nil {
			t.Error("second Serve: no error")
		}
		for range 2 {
			if err := tr.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if _, err := tr.Listen(); !errors.Is(err, cluster.ErrPeerShutdown) {
			t.Errorf("Listen after Close: %v, want ErrPeerShutdown", err)
		}
		if err := tr.Serve(t.Context(), helloOf("b"), everyone{}); err != nil {
			t.Errorf("Serve after Close: %v, want nil", err)
		}
		if err := mustNew(t, Config{}).Close(); err != nil {
			t.Errorf("Close of an unused Transport: %v", err)
		}
	})
}
