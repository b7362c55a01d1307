package gossip_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
)

// Nodes that join by one of them soon tell one set, with all that they say of themselves.
func TestAgree(t *testing.T) {
	for _, count := range []int{3, 10, 30} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				f := newFleet(t)
				start := time.Now()
				nodes := f.many(count)
				took := time.Since(start)
				t.Logf("%d nodes agree after %v", count, took)
				if took > 3*time.Second {
					t.Errorf("%d nodes agree after %v, want at most 3s", count, took)
				}
				for _, n := range nodes {
					if diff := cmp.Diff(nodes[0].last(), n.last()); diff != "" {
						t.Errorf("sets differ:\n%s", diff)
					}
				}
				m := nodes[1].last()[0]
				want := gossip.Member{ID: "n00", Boot: m.Boot, Peer: "10.0.0.1:7947", Gossip: "10.0.0.1:7946", Protocol: 1}
				if diff := cmp.Diff(m, want); diff != "" || m.Boot == 0 {
					t.Errorf("member differs:\n%s", diff)
				}
			})
		})
	}
}

// Who leaves is out of all sets within 0.6 s if it drained before, as it should, within 1.2 s otherwise, and
// is not missing afterwards.
func TestLeave(t *testing.T) {
	for _, count := range []int{3, 10} {
		for most, drain := range map[time.Duration]bool{600 * time.Millisecond: true, 1200 * time.Millisecond: false} {
			t.Run(fmt.Sprintf("%d/drain=%v", count, drain), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					f := newFleet(t)
					nodes := f.many(count)
					nodes[1].SetDraining(drain)
					time.Sleep(time.Second)
					start := time.Now()
					left := make(chan error, 1)
					go func() { left <- nodes[1].Leave(t.Context()) }()
					rest := without(nodes, nodes[1])
					f.agree(rest, rest...)
					took := time.Since(start)
					if err := <-left; err != nil {
						t.Errorf("Leave: %v", err)
					}
					t.Logf("told after %v, Leave took %v", took, time.Since(start))
					if took > most {
						t.Errorf("the others tell it after %v, want at most %v", took, most)
					}
					if got := nodes[0].View().Missing; len(got) != 0 {
						t.Errorf("Missing = %v, want none: it left", got)
					}
				})
			})
		}
	}
}

// A death is noticed after 1.2 to 4 s, whether the address refuses connections or the host vanishes.
func TestDeath(t *testing.T) {
	for _, count := range []int{3, 10} {
		for _, vanish := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d/vanish=%v", count, vanish), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					f := newFleet(t)
					nodes := f.many(count)
					dead := nodes[count/2]
					id := dead.id()
					rest := without(nodes, dead)
					if vanish {
						f.net.Cut([]string{dead.host}, hosts(rest))
					}
					f.kill(dead)
					took := f.agree(rest, rest...)
					t.Logf("noticed after %v", took)
					if took < 1200*time.Millisecond || took > 4*time.Second {
						t.Errorf("noticed after %v, want 1.2s to 4s", took)
					}
					for _, n := range rest {
						if got := n.View().Missing; len(got) != 1 || got[0].ID != id || time.Since(got[0].Since) > took {
							t.Errorf("Missing = %v, want %s alone", got, id)
						}
					}
				})
			})
		}
	}
}

// A node that comes back before it was missed is in each set that is told, and its new run replaces the old one at once.
func TestRestartUnmissed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		nodes := f.many(4)
		old := nodes[2].Members()[2]
		told := len(nodes[0].all())
		f.kill(nodes[2])
		time.Sleep(100 * time.Millisecond)
		again := f.start("n02", nodes[2].host)
		rest := without(nodes, nodes[2])
		f.join(again, nodes[0])
		took := f.wait("all see the new run", func() bool {
			return !slices.ContainsFunc(rest, func(n *node) bool { return n.last()[2].Boot <= old.Boot })
		})
		if took > time.Second {
			t.Errorf("the new run is told after %v, want at most 1s", took)
		}
		time.Sleep(time.Minute) // the old run is declared dead meanwhile
		for _, set := range nodes[0].all()[told:] {
			if got, want := names(set), []string{"n00", "n01", "n02", "n03"}; !slices.Equal(got, want) {
				t.Errorf("%s told %v, want %v", nodes[0].host, got, want)
			}
		}
		for _, n := range rest {
			if v := n.View(); len(v.Conflicts)+len(v.Missing) != 0 {
				t.Errorf("View = %+v, want no conflict, none missing", v)
			}
		}
	})
}

// A node that comes back after it was missed is a member again, and missing no more.
func TestRestartMissed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		nodes := f.many(4)
		f.kill(nodes[2])
		rest := without(nodes, nodes[2])
		f.agree(rest, rest...)
		again := f.start("n02", nodes[2].host)
		f.join(again, nodes[0])
		all := []*node{nodes[0], nodes[1], again, nodes[3]}
		f.agree(all, all...)
		if got := nodes[0].View().Missing; len(got) != 0 {
			t.Errorf("Missing = %v, want none", got)
		}
	})
}

// A node that comes back elsewhere is a conflict with its old run until that is dead.
func TestRestartElsewhere(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		nodes := f.many(3)
		f.kill(nodes[2])
		again := f.start("n02", "")
		f.join(again, nodes[0])
		if got := again.View().Conflicts; len(got) != 1 {
			t.Errorf("Conflicts after Join = %v, want one", got)
		}
		took := f.wait("no conflict", func() bool { return len(again.View().Conflicts) == 0 })
		if took > 6*time.Second {
			t.Errorf("the old run is dead after %v, want at most 6s", took)
		}
		all := []*node{nodes[0], nodes[1], again}
		f.agree(all, all...)
	})
}

// Of two live nodes with one ID all nodes tell the newer one, and all tell the conflict; when the newer one leaves, the
// older is in the sets again.
func TestConflict(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		nodes := f.many(3)
		older := nodes[2].Members()[2]
		impostor := f.start("n02", "")
		f.join(impostor, nodes[0])
		newer := impostor.Members()[2]
		want := []gossip.Conflict{{Newer: newer, Older: older}}
		if diff := cmp.Diff(impostor.View().Conflicts, want); diff != "" {
			t.Errorf("Conflicts right after Join differ:\n%s", diff)
		}
		for _, n := range nodes {
			f.wait("the conflict is known", func() bool { return cmp.Equal(n.View().Conflicts, want) })
			f.wait("the newer is told", func() bool { return n.last()[2] == newer })
		}
		if err := impostor.Leave(t.Context()); err != nil {
			t.Errorf("Leave: %v", err)
		}
		for _, n := range nodes {
			f.wait("the older is told", func() bool { return n.last()[2] == older })
			if v := n.View(); len(v.Conflicts)+len(v.Missing) != 0 {
				t.Errorf("View = %+v, want no conflict, none missing", v)
			}
		}
	})
}

// The newer of two nodes with one ID is told when it hears of the older one later, though its set stays as it was.
func TestLateConflict(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		older := f.start("a", "")
		time.Sleep(time.Second)
		newer := f.start("a", "")
		f.agree([]*node{newer}, newer)
		told := len(newer.all())
		f.join(newer, older)
		f.wait("the set is told again", func() bool { return len(newer.all()) == told+1 })
		if got := newer.View().Conflicts; len(got) != 1 || got[0].Newer != newer.last()[0] || len(newer.last()) != 1 {
			t.Errorf("View = %+v, want one conflict", newer.View())
		}
	})
}

// Draining is told to all, and taken back.
func TestDraining(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		nodes := f.many(5)
		for _, draining := range []bool{true, false} {
			nodes[3].SetDraining(draining)
			took := f.wait("all know", func() bool {
				return !slices.ContainsFunc(nodes, func(n *node) bool { return n.last()[3].Draining != draining })
			})
			if took > time.Second {
				t.Errorf("draining = %v is told after %v, want at most 1s", draining, took)
			}
		}
	})
}

// Who dies while it drains has left as far as others are concerned: nobody looks for it.
func TestDeathWhileDraining(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		nodes := f.many(3)
		nodes[2].SetDraining(true)
		f.wait("all know", func() bool { return nodes[0].last()[2].Draining && nodes[1].last()[2].Draining })
		f.kill(nodes[2])
		f.agree(nodes[:2], nodes[:2]...)
		if got := nodes[0].View().Missing; len(got) != 0 {
			t.Errorf("Missing = %v, want none", got)
		}
	})
}

// Clusters that were apart for an hour find each other again within half a minute of the cut's end, without help. The
// planted bug is that nobody looks: then they stay apart.
func TestHeal(t *testing.T) {
	for interval, apart := range map[time.Duration]time.Duration{10 * time.Second: time.Hour, gossip.Never: 5 * time.Minute} {
		t.Run(fmt.Sprint(interval), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				f := newFleet(t)
				nodes := f.many(5, func(c *gossip.Config) {
					c.ProbeInterval, c.GossipInterval, c.RejoinInterval = 8*time.Second, 4*time.Second, interval
				})
				a, b := nodes[:2], nodes[2:]
				f.net.Cut(hosts(a), hosts(b))
				time.Sleep(apart)
				f.agree(a, a...)
				f.agree(b, b...)
				if got := nodes[0].View().Missing; len(got) != 3 {
					t.Errorf("Missing = %v, want three", got)
				}
				f.net.Heal()
				if interval == gossip.Never { // the planted bug
					time.Sleep(5 * time.Minute)
					if got := names(nodes[0].last()); len(got) != 2 {
						t.Errorf("members = %v: they found each other though nobody looked; what does this test show?", got)
					}
					return
				}
				took := f.agree(nodes, nodes...)
				t.Logf("healed after %v", took)
				if took > 30*time.Second {
					t.Errorf("healed after %v, want at most 30s", took)
				}
				if got := nodes[0].View().Missing; len(got) != 0 {
					t.Errorf("Missing = %v, want none", got)
				}
			})
		})
	}
}

// A death that follows others is noticed as soon: the dead are not asked to confirm it.
func TestDeaths(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		nodes := f.many(6)
		for len(nodes) > 1 {
			dead := nodes[len(nodes)-1]
			nodes = without(nodes, dead)
			f.net.Cut([]string{dead.host}, hosts(nodes))
			f.kill(dead)
			if took := f.agree(nodes, nodes...); took > 4*time.Second {
				t.Errorf("a death that leaves %d is noticed after %v, want at most 4s", len(nodes), took)
			}
			time.Sleep(6 * time.Second)
		}
	})
}

// A node that is unheard for a second is dead for nobody, and nobody is for it, also not after a bad minute.
func TestPause(t *testing.T) {
	for _, count := range []int{3, 5, 10} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				f := newFleet(t)
				nodes := f.many(count)
				f.net.SetLoss(0.2)
				time.Sleep(10 * time.Second)
				f.net.SetLoss(0)
				told := len(nodes[0].all())
				for _, n := range nodes[1:3] {
					f.net.Freeze(n.host)
					time.Sleep(time.Second)
					f.net.Thaw(n.host)
					time.Sleep(5 * time.Second)
				}
				if got := nodes[0].all(); len(got) != told {
					t.Errorf("told %v, want no change", got[told:])
				}
			})
		})
	}
}

// A quarter of all packets lost makes nobody dead.
func TestLoss(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		nodes := f.many(5)
		told := len(nodes[0].all())
		f.net.SetLoss(0.25)
		time.Sleep(time.Minute)
		for _, n := range nodes {
			if got := n.last(); len(got) != 5 || len(nodes[0].all()) != told {
				t.Errorf("%s told %v, want no change", n.host, n.all())
			}
		}
	})
}

// A set is told no later than 0.6 s after its first change, even while nodes keep coming; and who takes no set for long
// gets the newest one.
func TestSettle(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		first := f.start("a", "")
		f.agree([]*node{first}, first)
		start := time.Now()
		for i := range 30 {
			f.join(f.start(ring.Member(fmt.Sprintf("b%02d", i)), ""), first)
			time.Sleep(50 * time.Millisecond)
			if since := time.Since(start); since > 600*time.Millisecond && len(first.all()) == 1 {
				t.Fatalf("nothing told for %v", since)
			}
		}
		f.wait("all are told", func() bool { return len(first.last()) == 31 })
		if got := len(first.all()); got > 6 {
			t.Errorf("%d sets told in 1.5s of changes, want at most 6", got)
		}
	})
}

// A receiver that does not receive gets the newest set once it does.
func TestSlowReceiver(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		nodes := f.many(2)
		slow := f.startUnread("slow")
		if _, err := slow.Join(t.Context(), []string{nodes[0].Addr()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		nodes[1].Leave(t.Context())
		time.Sleep(time.Second)
		if got, want := names(<-slow.Updates()), []string{"n00", "slow"}; !slices.Equal(got, want) {
			t.Errorf("first set received is %v, want the newest, %v", got, want)
		}
		select {
		case set := <-slow.Updates():
			t.Errorf("one more set waits: %v", names(set))
		default:
		}
	})
}
