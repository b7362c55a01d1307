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
	fleet := harness.Start(t, 3, patient())
	clients := fleet.Clients()
	for round := range 20 {
		whileAgreed(t, fleet, func(number int, wrong *complaints) {
			spendQuota(t, wrong, clients, fmt.Sprintf("quota/%d/%d", round, number))
		})
	}
}

// spendQuota asks for key 1,000 times at once and complains unless exactly 100 are admitted.
func spendQuota(t *testing.T, wrong *complaints, clients []harness.Client, key string) {
	t.Helper()
	const asked, quota = 1000, 100
	ctx := bounded(t)
	var admitted, degraded atomic.Int64
	atOnce(asked, func(i int) {
		a, err := clients[i%len(clients)].Check(ctx, harness.Check{Key: key, Limit: fmt.Sprintf("quota %d", quota)})
		switch {
		case err != nil:
			wrong.Errorf("%s: %v", key, err)
		case a.Source == "degraded":
			degraded.Add(1)
		case a.Allowed:
			admitted.Add(1)
		}
	})
	if admitted.Load() != quota || degraded.Load() != 0 {
		wrong.Errorf("%s: %d of %d admitted, %d answers degraded; want exactly %d admitted, none degraded",
			key, admitted.Load(), asked, degraded.Load(), quota)
	}
}

// A check that is sent again with its id, through other nodes and at once, is charged once and answered alike.
func TestRetryIsChargedOnce(t *testing.T) {
	fleet := harness.Start(t, 3, patient())
	clients := fleet.Clients()
	for _, owner := range fleet.Alive() {
		whileAgreed(t, fleet, func(number int, wrong *complaints) {
			sendAgain(t, wrong, clients, fleet.KeyOf(owner, fmt.Sprintf("retry/%d", number), "quota 10"))
		})
	}
}

// sendAgain sends two checks of key, a quota of 10, many times each, one after the other and all at once.
func sendAgain(t *testing.T, wrong *complaints, clients []harness.Client, key string) {
	t.Helper()
	const limit = "quota 10"
	ctx := bounded(t)
	check := harness.Check{Key: key, Limit: limit, ID: "payment-1", Cost: cost(3)}
	for _, c := range clients {
		if a := mustCheck(t, c, check); !a.Allowed || a.Remaining != 7 {
			wrong.Errorf("%v: check of %q with an id = %+v, want allowed with 7 remaining", c, key, a)
		}
	}
	check.ID = "payment-2"
	atOnce(60, func(i int) {
		if a, err := clients[i%len(clients)].Check(ctx, check); err != nil || !a.Allowed || a.Remaining != 4 {
			wrong.Errorf("check %d of %q with an id = %+v, %v; want allowed with 4 remaining", i, key, a, err)
		}
	})
	if got := level(t, wrong, clients[0], key, limit); got != 4 {
		wrong.Errorf("%d tokens of 10 left after two charges of 3, each sent many times; want 4", got)
	}
}
