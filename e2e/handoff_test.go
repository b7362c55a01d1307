package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/noriahq/noria/e2e/harness"
)

// drainedLimit gives one token every 3.6 s.
const drainedLimit = "1000/h"

// Of 500 drained keys none gets a token more than time gives, whatever happens to the nodes: one joins, one leaves, all are
// restarted one after the other, and one is killed 100 ms after the last admission.
func TestNothingIsForgotten(t *testing.T) {
	fleet := harness.Start(t, 3, harness.Options{})
	d := drain(t, fleet, 500)

	fleet.Join("d")
	d.judge(t, fleet, "a join")

	if status := fleet.Node("b").Stop(); status != 0 {
		t.Errorf("b's exit status is %d, want 0", status)
	}
	fleet.WaitAgreed()
	d.judge(t, fleet, "a leave")

	for _, n := range fleet.Alive() {
		fleet.Restart(n, false)
	}
	d.judge(t, fleet, "a rolling restart")

	fresh := drain(t, fleet, 500)
	time.Sleep(100 * time.Millisecond)
	fleet.Node("c").Kill()
	fresh.judge(t, fleet, "kill -9")
	fleet.WaitAgreed()
	d.judge(t, fleet, "kill -9, long after")
}

// drained are keys without tokens.
type drained struct {
	keys []string
	from time.Time
}

var drains int

// drain takes all tokens of n keys, at all nodes.
func drain(t *testing.T, fleet *harness.Fleet, n int) *drained {
	t.Helper()
	drains++
	d := &drained{from: time.Now()}
	for i := range n {
		d.keys = append(d.keys, fmt.Sprintf("drained/%d/%d", drains, i))
	}
	all := int64(1000)
	d.each(t, fleet, func(c harness.Client, key string) {
		ctx, cancel := context.WithTimeout(t.Context(), harness.Hang)
		defer cancel()
		if a, err := c.Check(ctx, harness.Check{Key: key, Limit: drainedLimit, Cost: &all}); err != nil || !a.Allowed {
			t.Errorf("first check of %s = %+v, %v; want allowed", key, a, err)
		}
	})
	return d
}

// judge asks for tokens of every key, and complains of those that got more than time gives.
func (d *drained) judge(t *testing.T, fleet *harness.Fleet, after string) {
	t.Helper()
	const tries = 20
	var mu sync.Mutex
	extra, degraded, worst := 0, 0, 0
	d.each(t, fleet, func(c harness.Client, key string) {
		allowed := 0
		ctx, cancel := context.WithTimeout(t.Context(), harness.Hang)
		defer cancel()
		for range tries {
			a, err := c.Check(ctx, harness.Check{Key: key, Limit: drainedLimit, OnLost: "deny"})
			if err != nil {
				t.Errorf("after %s: check of %s: %v", after, key, err)
				return
			}
			mu.Lock()
			if a.Source == "degraded" {
				degraded++
			}
			mu.Unlock()
			if a.Allowed {
				allowed++
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if most := int(time.Since(d.from).Seconds()/3.6) + 1; allowed > most {
			extra += allowed - most
			worst = max(worst, allowed)
		}
	})
	t.Logf("after %s: %d tokens too many of %d keys, %d of %d answers degraded, %v after the drain", after, extra, len(d.keys), degraded,
		tries*len(d.keys), time.Since(d.from).Round(time.Millisecond))
	if extra > 0 {
		t.Errorf("after %s: %d tokens admitted that time had not given back, %d of one key", after, extra, worst)
	}
}

// each calls do for every key, from several goroutines, with the clients of all nodes in turn.
func (d *drained) each(t *testing.T, fleet *harness.Fleet, do func(c harness.Client, key string)) {
	t.Helper()
	var workers sync.WaitGroup
	clients := fleet.Clients()
	for w, c := range clients {
		workers.Go(func() {
			for i := w; i < len(d.keys); i += len(clients) {
				do(c, d.keys[i])
			}
		})
	}
	workers.Wait()
}
