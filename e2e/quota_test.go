package e2e

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/noriahq/noria/e2e/harness"
)

// A quota of 100 that is asked for 1,000 times at once, through all nodes, over HTTP and gRPC, admits exactly 100: 20
// times in a row.
func TestQuotaIsExact(t *testing.T) {
	const runs, asked, quota = 20, 1000, 100
	fleet := harness.Start(t, 3, patient())
	clients := fleet.Clients()
	ctx := bounded(t)
	for run := range runs {
		var admitted, degraded, failed atomic.Int64
		atOnce(asked, func(i int) {
			c := clients[i%len(clients)]
			a, err := c.Check(ctx, harness.Check{Key: fmt.Sprintf("quota/%d", run), Limit: fmt.Sprintf("quota %d", quota)})
			switch {
			case err != nil:
				failed.Add(1)
				t.Errorf("run %d: %v", run, err)
			case a.Source == "degraded":
				degraded.Add(1)
			case a.Allowed:
				admitted.Add(1)
			}
		})
		if admitted.Load() != quota || degraded.Load() != 0 || failed.Load() != 0 {
			t.Fatalf("run %d: %d of %d admitted, %d degraded, %d failed; want exactly %d admitted",
				run, admitted.Load(), asked, degraded.Load(), failed.Load(), quota)
		}
	}
}

// A check that is sent again with its id, through other nodes and at once, is charged once and answered alike.
func TestRetryIsChargedOnce(t *testing.T) {
	fleet := harness.Start(t, 3, patient())
	clients := fleet.Clients()
	ctx := bounded(t)
	const limit = "quota 10"
	for _, owner := range fleet.Alive() {
		key := fleet.KeyOf(owner, "retry", limit)
		check := harness.Check{Key: key, Limit: limit, ID: "payment-1", Cost: cost(3)}
		for _, c := range clients {
			if a := mustCheck(t, c, check); !a.Allowed || a.Remaining != 7 {
				t.Errorf("%v: check of %q with an id = %+v, want allowed with 7 remaining", c, key, a)
			}
		}
		check.ID = "payment-2"
		atOnce(60, func(i int) {
			if a, err := clients[i%len(clients)].Check(ctx, check); err != nil || !a.Allowed || a.Remaining != 4 {
				t.Errorf("check %d of %q with an id = %+v, %v; want allowed with 4 remaining", i, key, a, err)
			}
		})
		if got := level(t, clients[0], key, limit); got != 4 {
			t.Errorf("%d tokens left of 10 after two charges of 3, each sent many times; want 4", got)
		}
	}
}
