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
	fleet := harness.Start(t, 3, patient())
	clients := fleet.Clients()
	for spent := range 3 {
		whileAgreed(t, fleet, func(number int, wrong *complaints) {
			keys := keysOn(fleet, fmt.Sprintf("denied/%d/%d", spent, number), "quota 5")
			if a := mustCheck(t, clients[0], harness.Check{Key: keys[spent], Limit: "quota 5", Cost: cost(5)}); !a.Allowed {
				wrong.Errorf("spend %q: %+v", keys[spent], a)
			}
			for _, c := range clients {
				denyAll(t, wrong, c, keys, spent)
			}
		})
	}
}

// denyAll asks c for all of keys, quotas of 5 of which one is spent and the others are not, and complains if that changes
// anything.
func denyAll(t *testing.T, wrong *complaints, c harness.Client, keys []string, spent int) {
	t.Helper()
	const limit = "quota 5"
	var all []harness.Check
	for _, k := range keys {
		all = append(all, harness.Check{Key: k, Limit: limit, Cost: cost(2), Name: "limit of " + k})
	}
	a, err := c.CheckAll(bounded(t), all...)
	if err != nil {
		t.Fatal(err)
	}
	if want := "limit of " + keys[spent]; a.Allowed || a.DeniedBy != want || a.RetryAfterMS != -1 {
		wrong.Errorf("%v: CheckAll with %q spent = %+v, want denied by %q, for good", c, keys[spent], a, want)
	}
	for i, k := range keys {
		want := int64(5)
		if i == spent {
			want = 0
		}
		if got := level(t, wrong, c, k, limit); got != want {
			wrong.Errorf("%v: level of %q = %d after a denied CheckAll, want %d", c, k, got, want)
		}
	}
}

// Many requests at once, each with a limit on every node: what is admitted is charged everywhere, the rest nowhere, and
// the scarcest limit is used up.
func TestCheckAllAtOnce(t *testing.T) {
	fleet := harness.Start(t, 3, patient())
	clients := fleet.Clients()
	for scarce := range 3 {
		whileAgreed(t, fleet, func(number int, wrong *complaints) {
			quotas := []int64{1000, 1000, 1000}
			quotas[scarce] = 50
			keys := keysOn(fleet, fmt.Sprintf("atonce/%d/%d", scarce, number), "quota 1")
			spendAll(t, wrong, clients, keys, quotas, scarce)
		})
	}
}

// spendAll asks for all of keys 400 times at once and complains unless exactly the quota of the scarce one is admitted and
// charged to each.
func spendAll(t *testing.T, wrong *complaints, clients []harness.Client, keys []string, quotas []int64, scarce int) {
	t.Helper()
	const asked = 400
	ctx := bounded(t)
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
			wrong.Errorf("%v", err)
		case a.Allowed:
			admitted.Add(1)
		case a.DeniedBy != keys[scarce]:
			wrong.Errorf("denied by %q, want %q", a.DeniedBy, keys[scarce])
		}
	})
	if got := admitted.Load(); got != quotas[scarce] {
		wrong.Errorf("%d of %d admitted, want %d", got, asked, quotas[scarce])
	}
	for k, key := range keys {
		if got, want := level(t, wrong, clients[0], key, fmt.Sprintf("quota %d", quotas[k])), quotas[k]-admitted.Load(); got != want {
			wrong.Errorf("level of %q = %d after %d admitted of %d, want %d", key, got, admitted.Load(), quotas[k], want)
		}
	}
}

// Requests that fight over two scarce limits in opposite orders: each admitted one is charged to both, each denied one to
// none. They may deny each other, so how many win is open; but afterwards what is left is there for the next.
func TestCheckAllInOppositeOrders(t *testing.T) {
	fleet := harness.Start(t, 3, patient())
	clients := fleet.Clients()
	whileAgreed(t, fleet, func(number int, wrong *complaints) {
		keys := keysOn(fleet, fmt.Sprintf("opposite/%d", number), "quota 40")[:2]
		fight(t, wrong, clients, keys)
	})
}

// fight asks for both of keys, quotas of 40, 300 times at once and complains unless both have lost what was admitted.
func fight(t *testing.T, wrong *complaints, clients []harness.Client, keys []string) {
	t.Helper()
	const limit, quota = "quota 40", 40
	ctx := bounded(t)
	ask := func(i int) bool {
		a, err := clients[i%len(clients)].CheckAll(ctx, harness.Check{Key: keys[i%2], Limit: limit}, harness.Check{Key: keys[1-i%2], Limit: limit})
		if err != nil {
			wrong.Errorf("%v", err)
		}
		return a.Allowed
	}
	var admitted atomic.Int64
	atOnce(300, func(i int) {
		if ask(i) {
			admitted.Add(1)
		}
	})
	for _, key := range keys {
		if got, want := level(t, wrong, clients[0], key, limit), quota-admitted.Load(); got != want {
			wrong.Errorf("level of %q = %d after %d admitted, want %d", key, got, admitted.Load(), want)
		}
	}
	for i := range quota + 5 {
		if ask(i) {
			admitted.Add(1)
		}
	}
	if got := admitted.Load(); got != quota {
		wrong.Errorf("%d admitted in all, want %d", got, quota)
	}
}
