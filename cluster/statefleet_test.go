package cluster_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/cluster/snapshot"
)

// saving makes clusters whose nodes save in folders of dirs.
func saving(t *testing.T, dirs string) clustertest.Setup {
	t.Helper()
	return clustertest.Setup{Config: func(c *cluster.Config) {
		d, err := snapshot.Open(filepath.Join(dirs, c.Name), c.Name, "noria")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		c.State = d
	}}
}

// reopen lets the next runs of all nodes use their directories, as the end of their processes does.
func reopen(t *testing.T, s clustertest.Setup) clustertest.Setup {
	t.Helper()
	config, open := s.Config, []*snapshot.Dir{}
	s.Config = func(c *cluster.Config) {
		for _, d := range open {
			if filepath.Base(d.Path()) == c.Name {
				_ = d.Close()
			}
		}
		config(c)
		open = append(open, c.State)
	}
	return s
}

// Of a fleet that ends as a whole, one node after the other, each key has as many tokens left as it had, and an id is charged once.
func TestFleetGoesOn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		setup := reopen(t, saving(t, t.TempDir()))
		quota := bucket.Limit{Burst: 100}
		keys := []string{"k/0", "k/1", "k/2", "k/3", "k/4", "k/5", "k/6", "k/7"}
		c := clustertest.StartWith(t, setup, "a", "b", "c")
		for i, key := range keys {
			c.Spend(key, quota, 60)
			charge(t, c.Node("abc"[i%3:i%3+1]), key, quota)
		}
		for _, name := range []string{"b", "a", "c"} {
			c.Leave(name)
		}
		time.Sleep(time.Hour)
		c = clustertest.StartWith(t, setup, "a", "b", "c")
		for i, key := range keys {
			charge(t, c.Node("abc"[i%3:i%3+1]), key, quota) // the hour has outlived the id: it is charged once more
			if got := c.Spend(key, quota, 60); got != 38 {
				t.Errorf("%d tokens of %s were left, want 38", got, key)
			}
		}
	})
}

// A fleet that is killed as a whole goes on from what it saved, up to 10 s before, and ids of the last two minutes are charged once.
func TestFleetCrashes(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		setup := reopen(t, saving(t, t.TempDir()))
		quota := bucket.Limit{Burst: 100}
		c := clustertest.StartWith(t, setup, "a", "b", "c")
		keys := []string{c.KeyAt("a", "k"), c.KeyAt("b", "k"), c.KeyAt("c", "k")}
		for _, key := range keys {
			c.Spend(key, quota, 60)
			charge(t, c.Node("a"), key, quota)
		}
		time.Sleep(12 * time.Second)
		for _, key := range keys {
			c.Spend(key, quota, 5)
		}
		for _, name := range []string{"a", "b", "c"} {
			c.Kill(name)
		}
		c = clustertest.StartWith(t, setup, "c", "b", "a")
		for _, key := range keys {
			charge(t, c.Node("b"), key, quota)
			if got := c.Spend(key, quota, 60); got < 34 || got > 39 {
				t.Errorf("%d tokens of %s were left, want 34 to 39", got, key)
			}
		}
	})
}

// charge asks for a token under an id.
func charge(t *testing.T, n *cluster.Node, key string, l bucket.Limit) {
	t.Helper()
	d, err := n.Check(context.Background(), bucket.Request{Key: key, Limit: l, Cost: 1, ID: "once"})
	if err != nil || !d.Allowed {
		t.Errorf("check with an id of %s: %+v, %v", key, d, err)
	}
}

// A node that comes back to a fleet that lives brings nothing: what others have since counts, also where they gave tokens back.
func TestSavedIsOutdated(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		setup := reopen(t, saving(t, t.TempDir()))
		quota := bucket.Limit{Burst: 100}
		c := clustertest.StartWith(t, setup, "a", "b", "c")
		key := c.KeyAt("c", "k")
		c.Spend(key, quota, 60)
		time.Sleep(12 * time.Second) // it is saved
		c.Kill("c")
		c.Settle()
		if err := c.Node("a").Reset(context.Background(), key); err != nil {
			t.Fatal(err)
		}
		c.Spend(key, quota, 10)
		c.Add("c")
		if s := c.Node("c").Status().State; s == nil || s.Loaded == 0 || s.Unmerged > 0 {
			t.Errorf("c has %+v, want that it loaded something and has nothing to bring", s)
		}
		if got := c.Spend(key, quota, 100); got != 90 {
			t.Errorf("%d tokens were left, want 90", got)
		}
	})
}

// A node that comes back late, to a fleet that was started again without it, brings what it had: the fleet has forgotten it.
func TestSavedComesLate(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		setup := reopen(t, saving(t, t.TempDir()))
		quota := bucket.Limit{Burst: 100}
		c := clustertest.StartWith(t, setup, "a", "b", "c")
		key := c.KeyAt("c", "k")
		c.Spend(key, quota, 60)
		time.Sleep(12 * time.Second)
		for _, name := range []string{"a", "b", "c"} {
			c.Kill(name)
		}
		c = clustertest.StartWith(t, setup, "a", "b")
		c.Spend(key, quota, 10)
		c.Add("d") // and partitions move meanwhile
		c.Add("c")
		if got := c.Spend(key, quota, 100); got != 40 {
			t.Errorf("%d tokens were left, want 40", got)
		}
	})
}
