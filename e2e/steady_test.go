package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/e2e/harness"
	"github.com/noriahq/noria/e2e/oracle"
)

// A demand is what the clients of one key asked for and got.
type demand struct {
	key   string
	limit string
	cost  int64

	mu       sync.Mutex
	asked    int                // checks; guarded by mu
	admitted []oracle.Admission // guarded by mu
	denied   oracle.Admission   // of the checks that were not admitted, the one called last; guarded by mu
}

// Steady limits under more demand than they admit, on all nodes and over both APIs, admit in every window at most burst
// plus rate times its length, and not less than 98 % of that over the whole time.
func TestSteady(t *testing.T) {
	fleet := harness.Start(t, 3, patient())
	whileAgreed(t, fleet, func(number int, wrong *complaints) {
		name := func(s string) string { return fmt.Sprintf("steady/%s/%d", s, number) }
		demands := []*demand{
			{key: name("user"), limit: "100/s burst 200", cost: 1},
			{key: name("small"), limit: "7/s burst 7", cost: 1},
			{key: name("tokens"), limit: "600/s burst 600", cost: 7},
			{key: name("minute"), limit: "1200/m burst 40", cost: 1},
		}
		for _, n := range fleet.Alive() {
			demands = append(demands, &demand{key: fleet.KeyOf(n, name(n.Name), "quota 1"), limit: "50/s burst 50", cost: 1})
		}
		exhaust(t, wrong, fleet, demands)
		for _, d := range demands {
			d.judge(t, wrong)
		}
	})
}

// exhaust has clients of all nodes ask for demands for steadyFor.
func exhaust(t *testing.T, wrong *complaints, fleet *harness.Fleet, demands []*demand) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), *steadyFor+harness.Hang)
	defer cancel()
	base := time.Now()
	clients := fleet.Clients()
	var callers sync.WaitGroup
	for _, d := range demands {
		for _, c := range clients {
			callers.Go(func() { d.ask(ctx, wrong, c, base) })
		}
	}
	callers.Wait()
}

// ask asks c for d's cost again and again, one check after the other, for steadyFor after base.
func (d *demand) ask(ctx context.Context, wrong *complaints, c harness.Client, base time.Time) {
	check := harness.Check{Key: d.key, Limit: d.limit, Cost: &d.cost}
	for time.Since(base) < *steadyFor {
		called := time.Since(base)
		a, err := c.Check(ctx, check)
		returned := time.Since(base)
		if err != nil || a.Source == "degraded" {
			wrong.Errorf("check of %s = %+v, %v; want a decision of its holder", d.key, a, err)
			return
		}
		d.note(a.Allowed, oracle.Admission{Called: called, Returned: returned, Cost: d.cost})
		if !a.Allowed {
			time.Sleep(time.Millisecond) // leave the processor to the nodes
		}
	}
}

// note takes in what became of one check.
func (d *demand) note(allowed bool, check oracle.Admission) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	switch {
	case allowed:
		d.admitted = append(d.admitted, check)
	case check.Called > d.denied.Called:
		d.denied = check
	}
}

// judge compares what was admitted with the limit.
func (d *demand) judge(t *testing.T, wrong *complaints) {
	t.Helper()
	limit, err := bucket.ParseLimit(d.limit)
	if err != nil {
		t.Fatal(err)
	}
	if w := oracle.Worst(limit, d.admitted); w.Over(limit) > 0 {
		wrong.Errorf("%s, %s: %v, %d more than the limit", d.key, d.limit, w, w.Over(limit))
	}
	if d.denied.Called == 0 {
		t.Logf("%s, %s: %d checks were not more than the limit admits", d.key, d.limit, d.asked)
		return // the machine is too slow to ask for more
	}
	// When a check was denied, at the earliest when it was called, all that the bucket had was taken, by checks that were
	// called at the latest when it returned.
	supply := oracle.Supply(limit, d.admitted, d.denied.Called)
	var got int64
	for _, a := range d.admitted {
		if a.Called <= d.denied.Returned {
			got += a.Cost
		}
	}
	t.Logf("%s, %s: %d tokens admitted of %d asked for, %.1f %% of %d", d.key, d.limit, got, int64(d.asked)*d.cost, 100*float64(got)/float64(supply), supply)
	if float64(got+d.cost) < 0.98*float64(supply) { // less than one cost may be left over
		wrong.Errorf("%s, %s: %d tokens admitted until a denial %v after the start, want at least 98 %% of %d",
			d.key, d.limit, got, d.denied.Called, supply)
	}
}

// A limit with a queue lets requests wait for their turn, and at their turns they keep the limit.
func TestQueue(t *testing.T) {
	fleet := harness.Start(t, 3, patient())
	clients := fleet.Clients()
	whileAgreed(t, fleet, func(number int, wrong *complaints) {
		queueUp(t, wrong, clients, fmt.Sprintf("queue/%d", number))
	})
}

// queueUp asks for key 60 times at once, 15 times more than fit into burst and queue.
func queueUp(t *testing.T, wrong *complaints, clients []harness.Client, key string) {
	t.Helper()
	const text = "50/s burst 5 queue 40"
	limit, err := bucket.ParseLimit(text)
	if err != nil {
		t.Fatal(err)
	}
	ctx := bounded(t)
	base := time.Now()
	var mu sync.Mutex
	var admitted []oracle.Admission
	denied := 0
	atOnce(60, func(i int) {
		called := time.Since(base)
		a, err := clients[i%len(clients)].Check(ctx, harness.Check{Key: key, Limit: text})
		returned := time.Since(base)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			wrong.Errorf("%v", err)
		case a.Allowed:
			turn := returned + time.Duration(a.DelayMS)*time.Millisecond // 0 where the node waited
			admitted = append(admitted, oracle.Admission{Called: called, Returned: turn, Cost: 1})
		default:
			denied++
		}
	})
	if w := oracle.Worst(limit, admitted); w.Over(limit) > 0 {
		wrong.Errorf("%s: %v, %d more than the limit", text, w, w.Over(limit))
	}
	if got := len(admitted); got < 45 || got+denied != 60 {
		wrong.Errorf("%s: %d admitted and %d denied of 60 at once, want at least burst and queue, 45, admitted", text, got, denied)
	}
}
