package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// One key that is asked for a hundred times as often as it may be costs its holder little more than what it allows, also where messages
// take longer or shorter from one to the next.
func TestAbuseCostsTheHolderNothing(t *testing.T) {
	for name, jitter := range map[string]time.Duration{"steady": 0, "jitter": 3 * time.Millisecond} {
		t.Run(name, func(t *testing.T) { bubble.Test(t, func(t *testing.T) { abuse(t, jitter) }) })
	}
}

// abuse has callers at two nodes ask for a key of the third one, whose messages take up to jitter longer than others.
func abuse(t *testing.T, jitter time.Duration) {
	t.Helper()
	c := clustertest.Start(t, "a", "b", "c")
	rng := rand.New(rand.NewPCG(1, 0))
	key, l := c.KeyAt("b", "key"), limit(t, "100/s burst 10")
	repeated := func() uint64 { return c.Node("a").Status().Repeated + c.Node("c").Status().Repeated }
	before, began := repeated(), time.Now()
	var asked, allowed atomic.Int64
	var callers sync.WaitGroup
	for _, name := range []string{"a", "c", "a", "c", "a", "c"} {
		callers.Go(func() {
			for time.Since(began) < 5*time.Second {
				d, err := c.Node(name).Check(context.Background(), bucket.Request{Key: key, Limit: l, Cost: 1})
				if err != nil || d.Degraded {
					t.Errorf("%+v, %v", d, err)
				}
				if asked.Add(1); d.Allowed {
					allowed.Add(1)
				}
				time.Sleep(300 * time.Microsecond)
			}
		})
	}
	for time.Since(began) < 5*time.Second {
		c.Net.SetLatency(200*time.Microsecond + time.Duration(rng.Int64N(int64(jitter)+1)))
		time.Sleep(250 * time.Microsecond)
	}
	callers.Wait()
	took := time.Since(began).Seconds()
	if most := 10 + 100*took; float64(allowed.Load()) > most || float64(allowed.Load()) < 0.97*most {
		t.Errorf("%d allowed in %v s, want %v, and not 3%% less", allowed.Load(), took, most)
	}
	at := float64(asked.Load()) - float64(repeated()-before)
	t.Logf("asked %d, of the holder %v, allowed %d", asked.Load(), at, allowed.Load())
	if most := 1.1*2*100*took + 20; at > most {
		t.Errorf("the holder was asked %v times in %v s, want at most %v", at, took, most)
	}
}

// wrongDenial returns the first denial in a run of random checks, refunds, resets and moves that was repeated although the tokens were
// there, "" if there was none.
func wrongDenial(t *testing.T, seed uint64, bug int) (wrong string) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b", "c")
		rng := rand.New(rand.NewPCG(seed, 0))
		key, full := c.KeyAt("b", "key"), c.KeyAt("c", "full")
		limits := []bucket.Limit{limit(t, "10/s burst 5"), limit(t, "7/m burst 3"), limit(t, "quota 4"), limit(t, "window 5 per 2s"), limit(t, "20/s burst 4 queue 3")}
		l, none := limits[rng.IntN(len(limits))], limit(t, "quota 1")
		names := []string{"a", "b", "c"}
		for _, name := range names {
			c.Node(name).PlantDenials(bug)
		}
		check := func(name string, reqs ...bucket.Request) bucket.Decisions {
			all, err := c.Node(name).CheckAll(context.Background(), reqs)
			if len(reqs) == 1 {
				var d bucket.Decision
				d, err = c.Node(name).Check(context.Background(), reqs[0])
				all = bucket.Decisions{d}
			}
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		_ = check("a", bucket.Request{Key: full, Limit: none, Cost: 1})
		for range 120 {
			if wrong != "" {
				return
			}
			switch name := names[rng.IntN(len(names))]; rng.IntN(11) {
			case 0:
				if err := c.Node(name).Reset(context.Background(), key); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			case 1: // one is denied, the other given back
				_ = check(name, bucket.Request{Key: key, Limit: l, Cost: 1 + rng.Int64N(2)}, bucket.Request{Key: full, Limit: none, Cost: 1})
				synctest.Wait()
			case 10:
				if _, err := c.Node(name).GiveBack(context.Background(), bucket.Request{Key: key, Limit: l, Cost: 1 + rng.Int64N(4)}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			case 2, 3:
				time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
			default:
				r := bucket.Request{Key: key, Limit: l, Cost: 1 + rng.Int64N(2)}
				d := check(name, r)[0]
				if d.Source != bucket.FromDenial {
					continue
				}
				cost := r.Cost
				r.Cost = 0
				if is := check("b", r)[0]; is.Remaining >= cost || d.Allowed {
					wrong = fmt.Sprintf("%s repeats %+v for %d of %v while there is %+v", name, d, cost, l, is)
				}
			}
		}
	})
	return wrong
}

// A denial is never wrong for having been remembered; and the test finds it where it is.
func TestDenialNeverWrong(t *testing.T) {
	seeds := uint64(12)
	if raceEnabled {
		seeds = 2 // make sim runs all of them
	}
	for seed := range seeds {
		if wrong := wrongDenial(t, seed, 0); wrong != "" {
			t.Errorf("seed %d: %s", seed, wrong)
		}
	}
	if raceEnabled {
		return
	}
	for name, bug := range map[string]int{"long": cluster.DenyLong, "kept": cluster.DenyKept} {
		found := false
		for seed := range uint64(12) {
			found = found || wrongDenial(t, seed, bug) != ""
		}
		if !found {
			t.Errorf("nothing finds a denial that is remembered too %s", name)
		}
	}
}

// With another holder what the last one denied is forgotten; and the test finds it where it is not.
func TestDenialOfAnotherHolder(t *testing.T) {
	again := func(bug int) (d bucket.Decision) {
		bubble.Test(t, func(t *testing.T) {
			c := clustertest.Start(t, "a", "b", "c")
			c.Node("a").PlantDenials(bug)
			r := bucket.Request{Key: c.KeyAt("b", "key"), Limit: limit(t, "quota 3"), Cost: 3, Durability: bucket.Ephemeral}
			for range 2 {
				if _, err := c.Node("a").Check(context.Background(), r); err != nil {
					t.Fatal(err)
				}
			}
			c.Kill("b")
			c.Settle()
			var err error
			if d, err = c.Node("a").Check(context.Background(), r); err != nil {
				t.Fatal(err)
			}
		})
		return d
	}
	if d := again(0); !d.Allowed {
		t.Errorf("with a new holder and a full bucket: %+v, want it allowed", d)
	}
	if d := again(cluster.DenyMoved); d.Allowed {
		t.Errorf("with the bug planted: %+v, want it denied", d)
	}
}
