package cluster_test

import (
	"testing"
	"time"

	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// Every node knows by gossip which policies the others go by, and whether these differ.
func TestPolicies(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		disagree := func(want int, policy string) {
			t.Helper()
			time.Sleep(2 * time.Second)
			for _, name := range []string{"a", "b", "c"} {
				s := c.Node(name).Status()
				if s.Policies != want {
					t.Errorf("%s sees %d policies, want %d: %+v", name, s.Policies, want, s.Members)
				}
				if got := s.Members[0].Policy; got != policy {
					t.Errorf("%s takes a's policy for %q, want %q", name, got, policy)
				}
			}
		}
		disagree(1, "")
		c.Node("a").SetPolicy(0xbeef)
		disagree(2, "000000000000beef")
		c.Node("b").SetPolicy(0xcafe)
		disagree(3, "000000000000beef")
		for _, name := range []string{"a", "b", "c"} {
			c.Node(name).SetPolicy(0xf00d)
		}
		disagree(1, "000000000000f00d")
	})
}
