package peer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// A spend is what one request has used, of what it reserved.
type spend struct {
	at     time.Time // when it was admitted
	tokens int64
}

// askers reserve of a key, use some of it and say so, at any node that lives.
type askers struct {
	t     *testing.T
	c     *clustertest.Cluster
	key   string
	limit bucket.Limit
	mu    sync.Mutex
	alive []*cluster.Node // guarded by mu, like what follows
	spent []spend
	lost  int // settlements of what nobody knew
}

func (a *askers) node() *cluster.Node {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.alive[rand.IntN(len(a.alive))]
}

// nodes notes which nodes live now.
func (a *askers) nodes() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.alive = nil
	for _, name := range a.c.Names() {
		a.alive = append(a.alive, a.c.Node(name))
	}
}

// use reserves up to 40 tokens, uses some of them for a while, and settles.
func (a *askers) use(ctx context.Context, id string) {
	cost := 1 + rand.Int64N(40)
	used := rand.Int64N(cost + 1)
	d, err := a.node().Check(ctx, bucket.Request{Key: a.key, Limit: a.limit, Cost: cost, ID: id, Reserve: 30 * time.Second, OnLost: bucket.Deny})
	if err != nil || !d.Allowed || d.Degraded {
		return // nothing is used
	}
	a.mu.Lock()
	a.spent = append(a.spent, spend{time.Now(), used})
	a.mu.Unlock()
	time.Sleep(rand.N(2 * time.Second))
	s := bucket.Settlement{Key: a.key, ID: id, Cost: used}
	for range 200 {
		said, err := a.node().Settle(ctx, s)
		if err == nil {
			again, err := a.node().Settle(ctx, s)
			if err == nil && again[0].Known && again[0] != said[0] {
				a.t.Errorf("%s settles as %+v, then as %+v", id, said[0], again[0])
			}
			if !said[0].Known {
				a.mu.Lock()
				a.lost++
				a.mu.Unlock()
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	a.t.Errorf("%s is not settled after many tries", id)
}

// outstanding returns how many reservations the nodes have.
func outstanding(c *clustertest.Cluster) (count int) {
	for _, name := range c.Names() {
		count += c.Node(name).Status().Reservations
	}
	return count
}

// 100 at a time who reserve of 1,000 tokens through three nodes, one of which joins and one of which is killed, use no more than
// 1,000 and what the killed one admitted in its last moment; and all is settled or expires.
func TestReservations(t *testing.T) {
	for name, kill := range map[string]bool{"join and leave": false, "join and kill": true} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				c := clustertest.StartWith(t, overGRPC, "a", "b", "c")
				a := &askers{t: t, c: c, limit: parse(t, "quota 1000"), key: c.KeyAt("b", "user")}
				a.nodes()
				var wg sync.WaitGroup
				for i := range 100 {
					wg.Go(func() {
						for try := range 6 {
							a.use(t.Context(), fmt.Sprintf("%d of %d", try, i))
						}
					})
				}
				time.Sleep(700 * time.Millisecond)
				c.Add("d")
				a.nodes()
				time.Sleep(700 * time.Millisecond)
				victim := c.Holder(a.key)
				a.without(victim)
				killed := time.Now()
				if kill {
					c.Kill(victim)
				} else {
					c.Leave(victim)
				}
				wg.Wait()
				a.check(killed, kill)
			})
		})
	}
}

// without makes nobody ask the named node any more: whoever is at it now may.
func (a *askers) without(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.alive = nil
	for _, other := range a.c.Names() {
		if other != name {
			a.alive = append(a.alive, a.c.Node(other))
		}
	}
}

// check looks at what was used in the end.
func (a *askers) check(killed time.Time, kill bool) {
	used, may := int64(0), int64(0)
	for _, s := range a.spent {
		used += s.tokens
		if kill && s.at.After(killed.Add(-50*time.Millisecond)) && !s.at.After(killed) {
			may += s.tokens
		}
	}
	a.t.Logf("%d of 1000 tokens used in %d requests, %d might be lost; nobody knew of %d settlements", used, len(a.spent), may, a.lost)
	least := int64(900)
	if kill {
		least = 300 // of what was reserved then not all that was not used is given back
	}
	if used > 1000+may || used < least {
		a.t.Errorf("%d tokens used, want %d to 1000 and %d", used, least, may)
	}
	if !kill && a.lost > 0 {
		a.t.Errorf("nobody knew of %d reservations although no node died", a.lost)
	}
	if !kill {
		if n := outstanding(a.c); n != 0 {
			a.t.Errorf("%d reservations are outstanding after all were settled", n)
		}
	}
	time.Sleep(31 * time.Second)
	if n := outstanding(a.c); n != 0 {
		a.t.Errorf("%d reservations are outstanding after their time", n)
	}
}

// The slots of an asker that has died come back within their time; one that renews its own keeps them, also when the holder is
// killed; and there are never more of them than the limit says, once the last replica has arrived.
func TestSlotsComeBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.StartWith(t, overGRPC, "a", "b", "c")
		key, limit := c.KeyAt("b", "user"), parse(t, "concurrency 20")
		acquire := func(at, id string) bool {
			d, err := c.Node(at).Check(t.Context(), bucket.Request{Key: key, Limit: limit, Cost: 1, ID: id, Reserve: 3 * time.Second, OnLost: bucket.Deny})
			return err == nil && d.Allowed && !d.Degraded
		}
		renewed := 0
		for i := range 30 {
			if got, want := acquire("a", fmt.Sprint(i)), i < 20; got != want {
				t.Errorf("slot %d is given: %v, want %v", i, got, want)
			}
		}
		time.Sleep(time.Second)
		c.Kill("b") // the holder; whoever has slots 10 to 19 dies too
		for range 8 {
			for i := range 10 {
				if acquire("a", fmt.Sprint(i)) {
					renewed++
				}
			}
			time.Sleep(500 * time.Millisecond)
		}
		if renewed < 60 {
			t.Errorf("%d of 80 renewals reached a holder", renewed)
		}
		free := 0
		for i := range 30 {
			if acquire("c", fmt.Sprint("new ", i)) {
				free++
			}
		}
		if free != 10 {
			t.Errorf("%d slots are free after those of the dead had their time, want 10", free)
		}
		if n := outstanding(c); n != 20 {
			t.Errorf("%d reservations are outstanding, want 20", n)
		}
		said, err := c.Node("c").Settle(t.Context(), bucket.Settlement{Key: key, ID: "new 0"}, bucket.Settlement{Key: key, ID: "0"}, bucket.Settlement{Key: key, ID: "15"})
		if err != nil || !said[0].Known || !said[1].Known || said[2].Known {
			t.Errorf("Settle = %+v, %v, want the first two known", said, err)
		}
		if !acquire("a", "next") || !acquire("a", "next but one") || acquire("a", "none") {
			t.Error("two slots were released, and not two are free")
		}
		time.Sleep(4 * time.Second)
		if n := outstanding(c); n != 0 {
			t.Errorf("%d reservations are outstanding after all died", n)
		}
	})
}

// What is reserved in an all-or-nothing check that another node denies is given back, and what is settled for less is admitted
// by nodes that remember a denial.
func TestReserveAll(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.StartWith(t, overGRPC, "a", "b", "c")
		tokens := bucket.Request{Key: c.KeyAt("b", "tokens"), Limit: parse(t, "1000/h"), Cost: 400, ID: "1", Reserve: time.Minute}
		slots := bucket.Request{Key: c.KeyAt("c", "slots"), Limit: parse(t, "concurrency 2"), Cost: 1, ID: "1", Reserve: time.Minute}
		plain := bucket.Request{Key: c.KeyAt("a", "plain"), Limit: parse(t, "quota 1"), Cost: 1}
		for i := range 3 {
			all, err := c.Node("a").CheckAll(t.Context(), []bucket.Request{tokens, slots, plain})
			if got, want := err == nil && all.DeniedBy() < 0, i == 0; got != want {
				t.Errorf("check %d: %+v, %v", i, all, err)
			}
			tokens.ID, slots.ID = fmt.Sprint(i+2), fmt.Sprint(i+2)
		}
		if n := outstanding(c); n != 2 {
			t.Errorf("%d reservations are outstanding, want 2: those of checks that were denied are given back", n)
		}
		ask := bucket.Request{Key: tokens.Key, Limit: tokens.Limit, Cost: 700}
		for range 3 { // the later ones from what is remembered
			if d, err := c.Node("a").Check(t.Context(), ask); err != nil || d.Allowed {
				t.Errorf("Check = %+v, %v, want a denial", d, err)
			}
		}
		said, err := c.Node("c").Settle(t.Context(), bucket.Settlement{Key: tokens.Key, ID: "1", Cost: 10}, bucket.Settlement{Key: slots.Key, ID: "1"})
		if want := (bucket.Settled{Known: true, Reserved: 400, Charged: 10}); err != nil || said[0] != want || !said[1].Known {
			t.Errorf("Settle = %+v, %v", said, err)
		}
		time.Sleep(50 * time.Millisecond) // the others are told
		if d, err := c.Node("a").Check(t.Context(), ask); err != nil || !d.Allowed {
			t.Errorf("Check = %+v, %v after it was settled for less, want it allowed", d, err)
		}
	})
}

// Without its holder a request that reserves is answered by its rule and says so; a settlement says that it
// reached nobody, and does once the cut is healed.
func TestReserveCutOff(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.StartWith(t, overGRPC, "a", "b", "c")
		key, limit := c.KeyAt("b", "user"), parse(t, "quota 100")
		r := bucket.Request{Key: key, Limit: limit, Cost: 40, ID: "known", Reserve: time.Minute}
		if d, err := c.Node("a").Check(t.Context(), r); err != nil || !d.Allowed || d.Degraded {
			t.Fatalf("Check = %+v, %v", d, err)
		}
		c.Cut("a")
		time.Sleep(5 * time.Second) // all know
		for rule, want := range map[bucket.OnLost]bool{bucket.Allow: true, bucket.Deny: false} {
			r.ID, r.OnLost = fmt.Sprint("cut off ", rule), rule
			if d, err := c.Node("a").Check(t.Context(), r); err != nil || !d.Degraded || d.Allowed != want {
				t.Errorf("Check by rule %d = %+v, %v, want a degraded answer, allowed %v", rule, d, err, want)
			}
		}
		slot := bucket.Request{Key: key, Limit: parse(t, "concurrency 5"), Cost: 1, ID: "slot", Reserve: time.Second}
		if d, err := c.Node("a").Check(t.Context(), slot); err != nil || !d.Degraded || d.Allowed {
			t.Errorf("Check of a slot = %+v, %v, want a degraded denial: there is no share of slots", d, err)
		}
		all := []bucket.Settlement{{Key: key, ID: "known", Cost: 10}, {Key: key, ID: fmt.Sprint("cut off ", bucket.Allow)}}
		if said, err := c.Node("a").Settle(t.Context(), all...); !errors.Is(err, cluster.ErrPeerLost) || said[0].Known {
			t.Errorf("Settle while cut off = %+v, %v, want ErrPeerLost", said, err)
		}
		c.Heal()
		c.Settle()
		said, err := c.Node("a").Settle(t.Context(), all...)
		if want := (bucket.Settled{Known: true, Reserved: 40, Charged: 10}); err != nil || said[0] != want { // the other one may have been on its way all the time
			t.Errorf("Settle after the cut = %+v, %v, want %+v", said, err, want)
		}
	})
}
