package peer_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// A mesh is who has opened a way to whom.
type mesh struct {
	mu   sync.Mutex
	ways map[[2]string]int // hosts; guarded by mu
}

func (m *mesh) note(from, to string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ways[[2]string{from, to}]++
}

func (m *mesh) all() map[[2]string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	ways := map[[2]string]int{}
	for way, n := range m.ways {
		ways[way] = n
	}
	return ways
}

// watched is overGRPC with gateways, the nodes whose names begin with g, and with every connection noted.
func watched(m *mesh) clustertest.Setup {
	return clustertest.Setup{
		Transport: func(n *clustertest.Net, host string) cluster.Transport {
			return &lateListener{net: n, host: host, dialed: m.note}
		},
		Config: func(c *cluster.Config) {
			if strings.HasPrefix(c.Name, "g") {
				c.Role = cluster.RoleGateway
			}
		},
	}
}

// Three holders and six gateways over real gossip and real gRPC: limits are exact over all nine, streams go to holders alone,
// the death of a holder is made good, and a gateway joins and leaves without anything moving.
func TestClusterGateways(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := &mesh{ways: map[[2]string]int{}}
		c := clustertest.StartWith(t, watched(m), "a", "b", "c", "g1", "g2", "g3", "g4", "g5", "g6")
		holders := map[string]bool{}
		for _, name := range []string{"a", "b", "c"} {
			_, addr := c.Node(name).Addrs()
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				t.Fatal(err)
			}
			holders[host] = true
		}
		for _, key := range []string{"a", "user:42"} {
			if got := spendAtOnce(t, c, key, parse(t, "quota 100"), 1000); got != 100 {
				t.Errorf("%d of 1000 checks of %q allowed, want 100", got, key)
			}
		}
		time.Sleep(time.Minute) // whatever is periodic has come
		for way, count := range m.all() {
			if !holders[way[1]] || count > 2 { // one connection, and one to greet with at most
				t.Errorf("%s has connected %d times to %s, holders are %v", way[0], count, way[1], holders)
			}
		}
		if got, want := len(m.all()), 3*(9-1); got != want {
			t.Errorf("%d ways are open, want %d", got, want)
		}
		epoch := c.Node("b").Status().Epoch
		before, err := c.Node("b").Where("user:42")
		if err != nil {
			t.Fatal(err)
		}
		c.Add("g7")
		c.Leave("g1")
		if now, err := c.Node("b").Where("user:42"); err != nil || now != before || c.Node("g7").Status().Epoch != epoch {
			t.Errorf("after a gateway joined and another left: %+v, %v, was %+v; epoch %s, was %s", now, err, before, c.Node("g7").Status().Epoch, epoch)
		}
		c.Kill(c.Holder("user:42"))
		time.Sleep(5 * time.Second)
		c.Settle()
		if got := spendAtOnce(t, c, "user:42", parse(t, "quota 100"), 500); got != 0 {
			t.Errorf("%d of 500 checks of a quota that was spent allowed after its holder's death, want 0", got)
		}
		if got := spendAtOnce(t, c, "new", parse(t, "quota 100"), 500); got != 100 {
			t.Errorf("%d of 500 checks of a new quota allowed, want 100", got)
		}
		d, err := c.Node("g2").Check(context.Background(), bucket.Request{Key: "user:42", Limit: parse(t, "10/s"), Cost: 1})
		if err != nil || d.Degraded {
			t.Errorf("Check = %+v, %v; want the answer of a holder", d, err)
		}
	})
}
