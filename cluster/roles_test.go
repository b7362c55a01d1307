package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// roles makes clusters in which the nodes whose names begin with g are gateways.
func roles() clustertest.Setup {
	return clustertest.Setup{Config: func(c *cluster.Config) {
		if strings.HasPrefix(c.Name, "g") {
			c.Role = cluster.RoleGateway
		}
	}}
}

// drain asks n for tokens of key for that long, all that it can get, and returns how many it got.
func drain(t *testing.T, l bucket.Limit, key string, long time.Duration, nodes ...*cluster.Node) (allowed, degraded int) {
	t.Helper()
	for began := time.Now(); time.Since(began) < long; time.Sleep(50 * time.Millisecond) {
		for _, n := range nodes {
			for more := true; more; {
				d, err := n.Check(context.Background(), bucket.Request{Key: key, Limit: l, Cost: 1})
				if err != nil {
					t.Fatal(err)
				}
				if more = d.Allowed; more {
					allowed++
				}
				if d.Degraded {
					degraded++
				}
			}
		}
	}
	return allowed, degraded
}

// A role that there is not is refused in words that say what is right.
func TestBadRole(t *testing.T) {
	_, err := cluster.New(cluster.Config{Name: "a", Role: "boss", Transport: clustertest.NewWires(clustertest.NewNet(1)).Transport("h")})
	if !errors.Is(err, cluster.ErrConfig) || !strings.Contains(err.Error(), `"boss", want holder or gateway`) {
		t.Errorf("New with a bad role: %v, want ErrConfig that names the roles", err)
	}
}

// Gateways hold nothing and ask holders, and a limit is exact over all.
func TestGatewaysAsk(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.StartWith(t, roles(), "a", "g1", "b", "g2", "c", "g3")
		if got := c.Spend("user", limit(t, "quota 100"), 600); got != 100 {
			t.Errorf("%d of a quota of 100 spent over holders and gateways", got)
		}
		for _, name := range c.Names() {
			s := c.Node(name).Status()
			gateway := name[0] == 'g'
			if (s.Partitions == 0) != gateway || (s.Role == cluster.RoleGateway) != gateway || s.Keys > 0 && gateway {
				t.Errorf("%s, a %s, holds %d partitions and %d keys", name, s.Role, s.Partitions, s.Keys)
			}
			for _, m := range s.Members {
				if (m.Partitions == 0) != (m.Role == cluster.RoleGateway) {
					t.Errorf("%s says that %s, a %s, should hold %d partitions", name, m.ID, m.Role, m.Partitions)
				}
			}
		}
	})
}

// Gateways that come, go and die change neither ring nor holders, and count for no majority: holders go on without all
// gateways.
func TestGatewaysComeAndGo(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.StartWith(t, roles(), "a", "b", "c")
		before, err := c.Node("a").Where("user")
		if err != nil {
			t.Fatal(err)
		}
		epoch := c.Node("a").Status().Epoch
		same := func(what string) {
			t.Helper()
			if now, err := c.Node("a").Where("user"); err != nil || now != before || c.Node("a").Status().Epoch != epoch {
				t.Errorf("after gateways %s: %+v, %v, was %+v; epoch %s, was %s", what, now, err, before, c.Node("a").Status().Epoch, epoch)
			}
		}
		gateways := []string{"g1", "g2", "g3", "g4"}
		c.Add(gateways...)
		same("joined")
		c.Leave("g4")
		same("left")
		c.Cut("g1", "g2", "g3")
		time.Sleep(5 * time.Second)
		same("were cut off")
		if d, err := c.Node("b").Check(context.Background(), bucket.Request{Key: "user", Limit: limit(t, "10/s"), Cost: 1}); err != nil || d.Degraded {
			t.Errorf("Check = %+v, %v; want the answer of a holder", d, err)
		}
		c.Heal()
		time.Sleep(30 * time.Second)
		c.Settle()
		for _, g := range gateways[:3] {
			c.Kill(g)
		}
		time.Sleep(4 * time.Second)
		c.Settle()
		same("died")
	})
}

// A gateway without a holder is not ready, and answers by the rule of the limit nevertheless.
func TestGatewaysAlone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.StartWith(t, roles())
		c.Launch("g1")
		c.Launch("g2")
		time.Sleep(20 * time.Second)
		for _, name := range c.Names() {
			g := c.Node(name)
			if s := g.Status(); s.Ready || s.HasHolder() || len(s.Members) != 2 {
				t.Errorf("%s without a holder: %+v, want it not ready", name, s)
			}
			for rule, want := range map[bucket.OnLost]bool{bucket.Deny: false, bucket.Allow: true, bucket.Share: false} { // a share is empty at first
				r := bucket.Request{Key: fmt.Sprint(name, rule), Limit: limit(t, "100/s"), Cost: 1, OnLost: rule}
				d, err := g.Check(context.Background(), r)
				if err != nil || !d.Degraded || d.Allowed != want {
					t.Errorf("%s.Check by rule %v = %+v, %v; want it degraded, allowed %v", name, rule, d, err, want)
				}
				all, err := g.CheckAll(context.Background(), []bucket.Request{r, {Key: fmt.Sprint("other", name, rule), Limit: limit(t, "100/s"), Cost: 1, OnLost: rule}})
				if err != nil || all.Allowed() != want || !all[0].Degraded {
					t.Errorf("%s.CheckAll by rule %v = %+v, %v; want it degraded, allowed %v", name, rule, all, err, want)
				}
			}
			if err := g.Reset(context.Background(), "user"); err == nil {
				t.Errorf("%s.Reset without a holder succeeds", name)
			}
			if place, err := g.Where("user"); err != nil || place.Target != "" || place.Holder != "" || place.Heir != "" {
				t.Errorf("%s.Where = %+v, %v; want nobody", name, place, err)
			}
		}
		c.Add("a")
		if got := c.Spend("user", limit(t, "quota 10"), 60); got != 10 {
			t.Errorf("with a holder %d of a quota of 10 spent", got)
		}
	})
}

// A gateway that loses all holders stays ready and answers by its share, and so do nodes on the smaller side of a cut: each has
// a part of the rate as large as all others', and those beyond the cut count too, of either role.
func TestSharesOfGateways(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.StartWith(t, roles(), "a", "b", "c", "g1", "g2", "g3")
		l := limit(t, "60/s burst 100")
		c.Spend("user", l, 12)
		c.Cut("a", "g1")
		time.Sleep(5 * time.Second)
		c.Net.Cut(hostsOf(t, c, "g1"), hostsOf(t, c, "a"))
		time.Sleep(10 * time.Second)
		const long = 15 * time.Second
		for _, name := range []string{"a", "g1"} {
			got, degraded := drain(t, l, "user", long, c.Node(name))
			part := int(60 * long / time.Second / 6)
			if got > part+1 || got < part*8/10 || degraded <= got {
				t.Errorf("%s, cut off, admits %d in %v, want a sixth of the rate, %d", name, got, long, part)
			}
			if !c.Node(name).Status().Ready {
				t.Errorf("%s is not ready while it is cut off", name)
			}
		}
	})
}

// hostsOf returns the host of a node.
func hostsOf(t *testing.T, c *clustertest.Cluster, name string) []string {
	t.Helper()
	gossip, _ := c.Node(name).Addrs()
	host, _, err := net.SplitHostPort(gossip)
	if err != nil {
		t.Fatal(err)
	}
	return []string{host}
}

// A node may come back in the other role: what a holder had goes on to the others when it leaves, and a gateway that comes
// back as a holder gets its part.
func TestRoleChanges(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var gateways string
		setup := clustertest.Setup{Config: func(c *cluster.Config) {
			if strings.Contains(gateways, c.Name) {
				c.Role = cluster.RoleGateway
			}
		}}
		c := clustertest.StartWith(t, setup, "a", "b", "c")
		key, quota := c.KeyAt("c", "user"), limit(t, "quota 100")
		if got := c.Spend(key, quota, 40); got != 40 {
			t.Fatalf("%d of 40 allowed", got)
		}
		gateways = "c"
		c.Leave("c")
		c.Add("c")
		if s := c.Node("c").Status(); s.Role != cluster.RoleGateway || s.Partitions != 0 || s.Keys != 0 {
			t.Errorf("c, now a gateway: %+v", s)
		}
		if got := c.Spend(key, quota, 30); got != 30 {
			t.Errorf("%d of 30 allowed", got)
		}
		gateways = ""
		c.Kill("c")
		c.Add("c") // before it is missed
		if s := c.Node("c").Status(); s.Role != cluster.RoleHolder || s.Partitions == 0 {
			t.Errorf("c, a holder again: %+v", s)
		}
		if got := c.Spend(key, quota, 60); got != 30 {
			t.Errorf("%d more of a quota of 100, of which 70 were spent", got)
		}
	})
}
