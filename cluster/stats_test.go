package cluster_test

import (
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/cluster/core"
)

// What nodes count is what has happened to them: who holds what between them, what was handed over, started again, lent, and how
// far behind replicas are.
func TestStats(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b")
		c.Net.SetLatency(200 * time.Microsecond)
		first := c.Node("a").Stats().Partitions
		c.Add("c")
		time.Sleep(2 * time.Second)
		joined := c.Node("c").Stats()
		var given uint64
		held, copies, ring := 0, 0, joined.Ring
		for _, name := range c.Names() {
			s := c.Node(name).Stats()
			held, copies, given = held+s.Partitions.Held, copies+s.Partitions.Copies, given+s.Partitions.Moved[core.HandedOver]
			if p := s.Partitions; p.Wanted != 0 || p.In != 0 || p.Out != 0 || p.Stale != 0 || p.Exposed != 0 {
				t.Errorf("%s: %+v, want nothing on its way and replicas of all", name, p)
			}
			if s.Gossip.Score != 0 || s.MaxKeys == 0 || s.MaxReservations == 0 {
				t.Errorf("%s: gossip %+v, at most %d keys and %d reservations", name, s.Gossip, s.MaxKeys, s.MaxReservations)
			}
		}
		if held != ring || copies != ring || first.Moved[core.Founded] == 0 {
			t.Errorf("%d partitions held and %d replicas, want %d of each; %d founded", held, copies, ring, first.Moved[core.Founded])
		}
		if p := joined.Partitions; p.Moved[core.TakenIn] == 0 || int(p.Moved[core.TakenIn]) != p.Held || p.Claims == 0 || p.Term < 2 || given < p.Moved[core.TakenIn] {
			t.Errorf("c has joined: %+v, and all have given %d, want as many taken as it holds", p, given)
		}

		h := newHot(t, c, c.KeyAt("a", "hot"), "10000/s burst 5000")
		h.load(500*time.Millisecond, 2000, "b")
		lent, borrowed := c.Node("a").Stats(), c.Node("b").Stats()
		if l := lent.Lent; l.Keys != 1 || l.Nodes != 1 || l.Tokens < 16 || l.Tokens > 5000 {
			t.Errorf("a has lent %+v, want some tokens of one key to one node", l)
		}
		if l := borrowed.Borrowed; l.Keys != 1 || l.Tokens < 1 || l.Tokens > lent.Lent.Tokens {
			t.Errorf("b was lent %+v, want no more than %d tokens of one key", l, lent.Lent.Tokens)
		}
		if lag := lent.Partitions.Lag; lag < 300*time.Microsecond || lag > 200*time.Millisecond {
			t.Errorf("replicas lag by %v, want the way there and back at least", lag)
		}

		lost := c.Node("b").Stats().Partitions.Held
		c.Kill("b")
		time.Sleep(10 * time.Second)
		a, d := c.Node("a").Stats().Partitions, c.Node("c").Stats().Partitions
		if started := int(a.Moved[core.Promoted] + d.Moved[core.Promoted] + a.Moved[core.Cold] + d.Moved[core.Cold]); started != lost || a.Moved[core.Promoted]+d.Moved[core.Promoted] == 0 {
			t.Errorf("b held %d partitions, and the others started %d again, want all: %+v, %+v", lost, started, a, d)
		}
	})
}

// While no heir answers what it does not know gets older; and who is not heard by the majority says that it stopped deciding.
func TestStatsOfACut(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		key := c.KeyAt("a", "k")
		c.Cut("a")
		if _, err := c.Node("a").Check(t.Context(), bucket.Request{Key: key, Limit: limit(t, "5/h"), Cost: 1, OnLost: bucket.Deny}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond)
		if s := c.Node("a").Stats().Partitions; s.Lag < 500*time.Millisecond || s.Lag > 1200*time.Millisecond {
			t.Errorf("replicas lag by %v after 1.1 s without an heir, want about as much", s.Lag)
		}
		time.Sleep(time.Second)
		s := c.Node("a").Stats().Partitions
		if s.Fenced != 1 || s.Held != 0 || s.Stale == 0 {
			t.Errorf("%+v, want that it stopped deciding once, and keeps what it had", s)
		}
	})
}
