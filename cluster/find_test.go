package cluster_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// A directory is what nodes find others in, as in DNS.
type directory struct {
	mu    sync.Mutex
	addrs []string // guarded by mu
	err   error    // guarded by mu
}

// find is a FindSeeds.
func (d *directory) find(context.Context) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.addrs), d.err
}

// set replaces what is found.
func (d *directory) set(err error, addrs ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.addrs, d.err = addrs, err
}

// finding makes clusters whose nodes know of others only what of says for their names.
func finding(of func(name string) *directory, gossip map[string]string) clustertest.Setup {
	return clustertest.Setup{Config: func(c *cluster.Config) {
		gossip[c.Name] = c.Gossip
		c.Seeds, c.FindSeeds = nil, of(c.Name).find
	}}
}

// Nodes that are started together and find each other, themselves among them, become one cluster.
func TestFindTogether(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var all directory
		gossip := map[string]string{}
		c := clustertest.StartWith(t, finding(func(string) *directory { return &all }, gossip))
		for _, name := range []string{"a", "b", "c"} {
			c.Launch(name)
		}
		time.Sleep(10 * time.Second)
		for _, name := range c.Names() {
			if c.Node(name).Status().Ready {
				t.Errorf("%s is ready and has found nobody, not even itself", name)
			}
		}
		all.set(nil, gossip["a"], gossip["b"], gossip["c"])
		c.Settle()
	})
}

// Who finds no address but its own is the first, and not at once: others may be about to be found.
func TestFindNobodyElse(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var all directory
		gossip := map[string]string{}
		c := clustertest.StartWith(t, finding(func(name string) *directory { return &all }, gossip))
		c.Launch("a")
		all.set(errors.New("another name does not answer"), gossip["a"])
		time.Sleep(10 * time.Second)
		if c.Node("a").Status().Ready {
			t.Error("a node is the first although it could not look everywhere")
		}
		all.set(nil, gossip["a"])
		c.Settle()
		c.Launch("b")
		began := time.Now()
		c.Settle()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("b finds a after %v", took)
		}
	})
}

// Two clusters that did not find each other become one soon after they can, without a word from anybody.
func TestFindLater(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		dirs := map[string]*directory{"a": {}, "b": {}}
		gossip := map[string]string{}
		c := clustertest.StartWith(t, finding(func(name string) *directory { return dirs[name] }, gossip))
		for _, name := range []string{"a", "b"} {
			c.Launch(name)
			dirs[name].set(nil, gossip[name])
		}
		time.Sleep(30 * time.Second)
		for _, name := range []string{"a", "b"} {
			if s := c.Node(name).Status(); !s.Ready || len(s.Members) != 1 {
				t.Fatalf("%s is %+v, want it ready and alone", name, s)
			}
		}
		dirs["b"].set(nil, gossip["a"], gossip["b"])
		time.Sleep(15 * time.Second)
		for _, name := range []string{"a", "b"} {
			if s := c.Node(name).Status(); len(s.Members) != 2 {
				t.Errorf("%s is %+v after 15 s, want two members", name, s)
			}
		}
		c.Settle()
	})
}
