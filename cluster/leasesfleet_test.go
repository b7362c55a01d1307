package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// A hot is one key that callers on several nodes ask for, with an ideal bucket for what they are admitted. That sees an
// admission when its answer comes, and so holds as much more as is refilled on the way.
type hot struct {
	t     *testing.T
	nodes map[string]*cluster.Node
	key   string
	limit bucket.Limit

	mu      sync.Mutex // guards what follows
	level   float64    // of the ideal bucket
	at      time.Time  // then
	over    float64    // the most tokens that were admitted beyond it
	asked   int
	allowed map[string]int // by node
	source  map[bucket.Source]int
	last    bucket.Decision
}

// wayBack is how long an answer is on its way at most.
const wayBack = time.Millisecond

func newHot(t *testing.T, c *clustertest.Cluster, key, l string) *hot {
	t.Helper()
	h := &hot{
		t: t, nodes: map[string]*cluster.Node{}, key: key, limit: limit(t, l), at: time.Now(), allowed: map[string]int{},
		source: map[bucket.Source]int{},
	}
	for _, name := range c.Names() {
		h.nodes[name] = c.Node(name)
	}
	h.level = h.most()
	return h
}

// rate returns the tokens of a second.
func (h *hot) rate() float64 { return float64(h.limit.Tokens) / h.limit.Per.Seconds() }

// most returns what the ideal bucket holds.
func (h *hot) most() float64 { return float64(h.limit.Burst) + h.rate()*wayBack.Seconds() }

// ask asks name for one token.
func (h *hot) ask(name string) {
	d, err := h.nodes[name].Check(context.Background(), bucket.Request{Key: h.key, Limit: h.limit, Cost: 1, OnLost: bucket.Deny})
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.t.Errorf("%s: %v", name, err)
	}
	h.asked++
	h.last = d
	h.source[d.Source]++
	if !d.Allowed {
		return
	}
	h.allowed[name]++
	now := time.Now()
	h.level = min(h.most(), h.level+h.rate()*now.Sub(h.at).Seconds()) - 1
	h.at, h.over = now, max(h.over, -h.level)
}

// load makes callers on those nodes ask, each rate times a second or a little less, for a while.
func (h *hot) load(d time.Duration, rate int, names ...string) {
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			for began := time.Now(); time.Since(began) < d; {
				h.ask(name)
				time.Sleep(time.Duration(rng.ExpFloat64() * float64(time.Second) / float64(rate)))
			}
		})
	}
	all.Wait()
}

func (h *hot) sum() (allowed int) {
	for _, n := range h.allowed {
		allowed += n
	}
	return allowed
}

// leased returns the share of answers that came from leases.
func (h *hot) leased() float64 { return float64(h.source[bucket.FromLease]) / float64(h.asked) }

// A key that many ask for on nodes that do not hold it is admitted there, and its holder hears of it twice in 100 ms at most. What
// is not used comes back.
func TestHotKey(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		c.Net.SetLatency(200 * time.Microsecond)
		h := newHot(t, c, c.KeyAt("b", "hot"), "10000/s burst 5000")
		h.load(500*time.Millisecond, 2000, "a", "c") // until the leases have their size
		before := c.Node("a").Lendings() + c.Node("c").Lendings()
		h.source, h.asked = map[bucket.Source]int{}, 0
		h.load(2*time.Second, 2000, "a", "c")
		if n := h.source[bucket.FromLease]; h.leased() < 0.99 {
			t.Errorf("%d of %d from leases, want 99%%: %v", n, h.asked, h.source)
		}
		if h.over > 0 || h.sum() < h.asked-1 {
			t.Errorf("%v tokens beyond the limit, %d of %d allowed", h.over, h.sum(), h.asked)
		}
		if n := c.Node("a").Lendings() + c.Node("c").Lendings() - before; n > 2*2*20 {
			t.Errorf("the holder was asked %d times in 2 s, want at most 2 in 100 ms from each of two nodes", n)
		}
		if leased := c.Node("a").Status().Leased; leased < 3000 {
			t.Errorf("status: %d leased, want some 4,000", leased)
		}
		h.mu.Lock()
		if d := h.last; !d.Allowed || d.Node != "b" || d.Remaining < 1000 || d.Remaining > 5000 || d.ResetAfter <= 0 || d.RetryAfter != 0 {
			t.Errorf("%+v", d)
		}
		h.mu.Unlock()
		time.Sleep(1500 * time.Millisecond)
		d, err := c.Node("b").Check(context.Background(), bucket.Request{Key: h.key, Limit: h.limit})
		if err != nil || d.Remaining != 5000 {
			t.Errorf("1.5 s after: %+v, %v, want all 5,000 tokens back", d, err)
		}
	})
}

// Where more is asked for than the limit has it is admitted in full, nothing beyond it, and of two nodes that ask for as much
// neither gets more than 60 %.
func TestHotKeyShared(t *testing.T) {
	for _, l := range []string{"600/s burst 1000", "600/s burst 200", "300/s burst 3000", "600/s burst 50"} {
		t.Run(l, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				c := clustertest.Start(t, "a", "b", "c", "d")
				c.Net.SetLatency(200 * time.Microsecond)
				h := newHot(t, c, c.KeyAt("b", "hot"), l)
				const secs = 3
				h.load(secs*time.Second, 1500, "a", "c")
				most := h.limit.Burst + h.limit.Tokens*secs
				all, a := h.sum(), h.allowed["a"]
				t.Logf("allowed %d of %d, %d by a, %v", all, most, a, h.source)
				if h.over > 0 || float64(all) < 0.97*float64(most) {
					t.Errorf("%v tokens beyond the limit; %d allowed, want %d less 3%%", h.over, all, most)
				}
				if share := float64(a) / float64(all); share < 0.4 || share > 0.6 {
					t.Errorf("a got %v of all, want 0.4 to 0.6", share)
				}
			})
		})
	}
}

// Whatever happens to nodes, no more is admitted than the limit has: what is lent moves with the bucket, and a lease that nobody
// asks back for is spent.
func TestHotKeyMoves(t *testing.T) {
	faults := map[string]struct {
		do   func(c *clustertest.Cluster)
		lost bool // what was admitted a moment before may be
	}{
		"join":           {do: func(c *clustertest.Cluster) { c.Add("e", "f", "g") }},
		"holder leaves":  {do: func(c *clustertest.Cluster) { c.Leave("b") }},
		"asker leaves":   {do: func(c *clustertest.Cluster) { c.Leave("c") }},
		"asker is lost":  {do: func(c *clustertest.Cluster) { c.Kill("c") }},
		"holder is lost": {do: func(c *clustertest.Cluster) { c.Kill("b") }, lost: true},
	}
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				c := clustertest.Start(t, "a", "b", "c", "d")
				c.Net.SetLatency(200 * time.Microsecond)
				h := newHot(t, c, c.KeyAt("b", "hot"), "600/s burst 600")
				h.load(time.Second, 500, "a", "c", "d")
				if h.leased() < 0.4 { // more is asked for than there is
					t.Errorf("%v of the answers from leases", h.leased())
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					f.do(c)
				}()
				h.load(2*time.Second, 500, "a", "d")
				<-done
				most := 0.0
				if f.lost { // 20 ms and a way
					most = 600 * 0.025 * 3
				}
				t.Logf("%v, %v beyond the limit", h.source, h.over)
				if h.over > most {
					t.Errorf("%v tokens beyond the limit, want at most %v", h.over, most)
				}
			})
		})
	}
}

// Nothing is lent of a limit that is too small, has a queue or a window, or is never refilled, nor for who must have a replica
// first.
func TestNotLent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b")
		for _, l := range []string{"10000/s burst 99", "10000/s burst 1000 queue 5", "quota 100000", "window 100000 per 1m", "10000/s burst 1000"} {
			r := bucket.Request{Key: c.KeyAt("b", l), Limit: limit(t, l), Cost: 1}
			if l == "10000/s burst 1000" {
				r.Durability = bucket.Sync
			}
			for range 200 {
				d, err := c.Node("a").Check(context.Background(), r)
				if err != nil || d.Source == bucket.FromLease {
					t.Fatalf("%s: %+v, %v", l, d, err)
				}
			}
		}
		if n := c.Node("a").Lendings(); n != 0 {
			t.Errorf("asked %d times for a lease", n)
		}
	})
}

// A request with another limit, or an id, is decided on by the holder, and what was lent under the old limit comes back when nobody
// uses it.
func TestLeaseOtherLimit(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b")
		c.Net.SetLatency(200 * time.Microsecond)
		h := newHot(t, c, c.KeyAt("b", "hot"), "10000/s burst 5000")
		h.load(500*time.Millisecond, 2000, "a")
		var sources []bucket.Source
		for _, r := range []bucket.Request{
			{Key: h.key, Limit: h.limit, Cost: 1},
			{Key: h.key, Limit: h.limit, Cost: 1, ID: "x"},
			{Key: h.key, Limit: h.limit, Cost: 0},
			{Key: h.key, Limit: h.limit, Cost: 1, Durability: bucket.Sync},
			{Key: h.key, Limit: limit(t, "10000/s burst 6000"), Cost: 1},
			{Key: h.key, Limit: h.limit, Cost: 1},
		} {
			d, err := c.Node("a").Check(context.Background(), r)
			if err != nil || !d.Allowed {
				t.Fatalf("%+v: %+v, %v", r, d, err)
			}
			sources = append(sources, d.Source)
			time.Sleep(time.Millisecond)
		}
		want := []bucket.Source{bucket.FromLease, bucket.FromHolder, bucket.FromHolder, bucket.FromHolder, bucket.FromHolder, bucket.FromLease}
		if !slices.Equal(sources, want) {
			t.Errorf("sources %v, want %v", sources, want)
		}
		time.Sleep(time.Second) // nobody uses what was lent
		r := bucket.Request{Key: h.key, Limit: limit(t, "10000/s burst 6000")}
		if d, err := c.Node("b").Check(context.Background(), r); err != nil || d.Remaining != 6000 {
			t.Errorf("a second after: %+v, %v, want all 6,000 tokens", d, err)
		}
	})
}

// A hot key among the limits of one request is admitted by what was lent, too, and put back if another limit denies: what is
// admitted, what is left and what counts as spent are all there was.
func TestHotKeyAmongOthers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		c.Net.SetLatency(200 * time.Microsecond)
		all := bucket.Request{Key: c.KeyAt("b", "all"), Limit: limit(t, "1/h burst 100000"), Cost: 1, OnLost: bucket.Deny}
		var asked, leased, admitted, denied int
		check := func(user string) {
			one := bucket.Request{Key: user, Limit: limit(t, "quota 1"), Cost: 1, OnLost: bucket.Deny}
			ds, err := c.Node("a").CheckAll(context.Background(), []bucket.Request{one, all})
			if err != nil {
				t.Fatal(err)
			}
			asked++
			switch {
			case ds.Allowed():
				admitted++
			case ds.DeniedBy() != 0:
				t.Fatalf("%+v", ds)
			default:
				denied++
			}
			if ds[1].Source == bucket.FromLease {
				leased++
			}
		}
		for i := range 2000 {
			user := fmt.Sprint("user ", i)
			check(user)
			if i%2 == 0 {
				check(user) // its quota is spent
			}
			time.Sleep(time.Millisecond)
		}
		if admitted != 2000 || denied != 1000 || leased < asked*9/10 {
			t.Errorf("%d admitted, %d denied, %d of %d from leases, want 2000, 1000 and nearly all", admitted, denied, leased, asked)
		}
		time.Sleep(1500 * time.Millisecond) // nobody uses what was lent
		all.Cost = 0
		d, err := c.Node("b").Check(context.Background(), all)
		if left := int64(100_000 - admitted); err != nil || d.Remaining > left || d.Remaining < left-100 {
			t.Errorf("%+v, %v, want %d left, or 100 less", d, err, left)
		}
	})
}
