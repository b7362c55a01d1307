package gossip

import (
	"strings"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/ring"
)

// New refuses what cannot work and says what would.
func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.ID = "" }, "id of 0 bytes: want 1 to 128"},
		{func(c *Config) { c.ID = ring.Member(strings.Repeat("x", 129)) }, "id of 129 bytes: want 1 to 128"},
		{func(c *Config) { c.ID = "a\n" }, `id "a\n": want printable characters`},
		{func(c *Config) { c.PeerAddr = "" }, `peer address "": want host:port`},
		{func(c *Config) { c.PeerAddr = ":7947" }, `peer address ":7947": want host:port at which others reach this node, port 7947 on which host?`},
		{func(c *Config) { c.PeerAddr = "host:peer" }, `peer address "host:peer": port "peer": want 0 to 65535`},
		{func(c *Config) { c.Bind = "7946" }, `gossip address "7946": want host:port`},
		{func(c *Config) { c.Bind = "host:7946" }, `gossip address "host:7946": "host" is not an IP: want IP:port`},
		{func(c *Config) { c.Bind = "[::]:7946" }, `gossip address "[::]:7946": want an advertised address too, or an IP instead`},
		{func(c *Config) { c.Advertise = "0.0.0.0:7946" }, `advertised address "0.0.0.0:7946": want the IP at which others reach this node`},
		{func(c *Config) { c.Advertise = "host:1" }, `advertised address "host:1": "host" is not an IP: want IP:port`},
		{func(c *Config) { c.Label = strings.Repeat("x", 500) }, "take 529 bytes of metadata: want at most 512"},
		{func(c *Config) { c.SecretKey = []byte("secret") }, "secret key of 6 bytes: want 16, 24 or 32"},
		{func(c *Config) { c.Settle = time.Second }, "settle 1s: want 1ms to 500ms"},
		{func(c *Config) { c.ProbeTimeout = time.Second }, "probe timeout 1s: want 1ms to 349.999999ms"},
		{func(c *Config) { c.GossipInterval = -1 }, "gossip interval -1ns: want 1ms to 1h0m0s"},
		{func(c *Config) { c.SuspicionMult = 1 }, "suspicion multiplier 1: want 2 to 100"},
	} {
		config := Config{ID: "a", PeerAddr: "10.0.0.1:7947"}
		c.change(&config)
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New = %v, want %q", err, c.want)
		}
	}
}

// New fills in what is not given.
func TestDefaults(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		g, err := New(Config{ID: "a", PeerAddr: "10.0.0.1:0", RejoinInterval: Never})
		if err != nil {
			t.Fatal(err)
		}
		c := g.config
		if c.Bind != "127.0.0.1:7946" || c.Settle != 75*time.Millisecond || c.Boot != uint64(time.Now().UnixNano()) || c.RejoinInterval != Never {
			t.Errorf("defaults are %+v", c)
		}
		if err := g.Start(); err == nil || !strings.Contains(err.Error(), "want a port that others can reach") {
			t.Errorf("Start with peer port 0: %v, want an error", err)
		}
	})
}

// All that a node may say of itself fits into one packet of gossip.
func TestLargestMember(t *testing.T) {
	c, err := Config{
		ID: ring.Member(strings.Repeat("i", 128)), Boot: 1<<64 - 1, PeerAddr: strings.Repeat("h", 90) + ":65535",
		Label: strings.Repeat("l", 200), RingParams: strings.Repeat("r", 190), Protocol: 1<<32 - 1,
	}.complete()
	if err != nil {
		t.Fatal(err)
	}
	// memberlist sends no news of more than 1,400 bytes less some headers, and names its fields: 100 bytes are plenty.
	if got := len(c.memberlist().Name) + len(c.meta(true, 0).encode()) + 100; got > 1300 {
		t.Errorf("news of one member may take %d bytes, want at most 1300", got)
	}
}
