package e2e

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/noriahq/noria/e2e/harness"
)

// keysOn returns one key for each living node that it holds.
func keysOn(fleet *harness.Fleet, prefix, limit string) []string {
	var keys []string
	for _, n := range fleet.Alive() {
		keys = append(keys, fleet.KeyOf(n, prefix, limit))
	}
	return keys
}

// A request with several limits that one of them denies charges none, whichever node is asked and whoever holds them.
func TestCheckAllDeniedChargesNothing(t *testing.T) {
	const limit = "quota 5"
	fleet := harness.Start(t, 3, patient())
	clients := fleet.Clients()
	for spent := range 3 {
		keys := keysOn(fleet, fmt.Sprintf("denied/%d", spent), limit)
		if a := mustCheck(t, clients[0], harness.Check{Key: keys[spent], Limit: limit, Cost: cost(5)}); !a.Allowed {
			t.Fatalf("spend %q: %+v", keys[spent], a)
		}
		for _, c := range clients {
			var all []harness.Check
			for _, k := range keys {
				all = append(all, harness.Check{Key: k, Limit: limit, Cost: cost(2), Name: "limit of " + k})
			}
			a, err := c.CheckAll(bounded(t), all...)
			if err != nil {
				t.Fatal(err)
			}
			if want := "limit of " + keys[spent]; a.Allowed || a.DeniedBy != want || a.RetryAfterMS != -1 {
				t.Errorf("%v: CheckAll with %q spent = %+v, want denied by %q, for good", c, keys[spent], a, want)
			}
			for i, k := range keys {
				want := int64(5)
				if i == spent {
					want = 0
				}
				if got := level(t, c, k, limit); got != want {
					t.Errorf("%v: level of %q = %d after a denied CheckAll, want %d", c, k, got, want)
				}
			}
		}
	}
}

// Many requests at once, each with a limit on every node: what is admitted is charged everywhere, the rest nowhere, and
// the scarcest limit is used up.
func TestCheckAllAtOnce(t *testing.T) {
	fleet := harness.Start(t, 3, patient())
	clients := fleet.Clients()
	ctx := bounded(t)
	const asked = 400
	for scarce := range 3 {
		keys := keysOn(fleet, fmt.Sprintf("atonce/%d", scarce), "quota 1")
		quotas := []int64{1000, 1000, 1000}
		quotas[scarce] = 50
		var admitted atomic.Int64
		atOnce(asked, func(i int) {
			var all []harness.Check
			for j := range keys {
				k := (i + j) % len(keys) // in every order
				all = append(all, harness.Check{Key: keys[k], Limit: fmt.Sprintf("quota %d", quotas[k])})
			}
			a, err := clients[i%len(clients)].CheckAll(ctx, all...)
			switch {
			case err != nil:
				t.Error(err)
			case a.Allowed:
				admitted.Add(1)
			case a.DeniedBy != keys[scarce]:
				t.Errorf("denied by %q, want %q", a.DeniedBy, keys[scarce])
			}
		})
		if got := admitted.Load(); got != quotas[scarce] {
			t.Errorf("%d of %d admitted, want %d", got, asked, quotas[scarce])
		}
		for k, key := range keys {
			if got, want := level(t, clients[0], key, fmt.Sprintf("quota %d", quotas[k])), quotas[k]-admitted.Load(); got != want {
				t.Errorf("level of %q = %d after %d admitted of %d, want %d", key, got, admitted.Load(), quotas[k], want)
			}
		}
	}
}

// Requests that fight over two scarce limits in opposite orders: each admitted one is charged to both, each denied one to
// none. Which ones win is open.
func TestCheckAllInOppositeOrders(t *testing.T) {
	const limit, quota = "quota 40", 40
	fleet := harness.Start(t, 3, patient())
	clients := fleet.Clients()
	ctx := bounded(t)
	keys := keysOn(fleet, "opposite", limit)[:2]
	var admitted atomic.Int64
	atOnce(300, func(i int) {
		first, second := keys[i%2], keys[1-i%2]
		a, err := clients[i%len(clients)].CheckAll(ctx, harness.Check{Key: first, Limit: limit}, harness.Check{Key: second, Limit: limit})
		if err != nil {
			t.Error(err)
		} else if a.Allowed {
			admitted.Add(1)
		}
	})
	if got := admitted.Load(); got < 1 || got > quota {
		t.Errorf("%d admitted, want 1 to %d", got, quota)
	}
	for _, key := range keys {
		if got, want := level(t, clients[0], key, limit), quota-admitted.Load(); got != want {
			t.Errorf("level of %q = %d after %d admitted, want %d", key, got, admitted.Load(), want)
		}
	}
}
