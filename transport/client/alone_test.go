package client_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/cluster/limiter"
	"github.com/noriahq/noria/transport/client"
)

// of returns a client made as c says, of the nodes at addrs.
func (f *fleet) of(c client.Config, addrs ...string) *client.Client {
	f.t.Helper()
	c.Targets, c.DialOptions = addrs, []grpc.DialOption{grpc.WithContextDialer(f.dial)}
	made, err := client.New(c)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { made.Close() })
	return made
}

// With nobody there a client answers by the limit's rule: of a share as much as this client's part of the rate, and none of the
// burst; once somebody is there, by what that says.
func TestAlone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		c := f.of(client.Config{Degrade: true, Clients: 4}, "a:1")
		rate := bucket.Request{Key: "k", Limit: limit(t, "100/s burst 200"), Cost: 1}
		deny, allow := rate, rate
		deny.OnLost, allow.OnLost = bucket.Deny, bucket.Allow
		quota := bucket.Request{Key: "q", Limit: limit(t, "quota 5"), Cost: 1}
		for _, want := range []struct {
			r       bucket.Request
			allowed bool
		}{{rate, false}, {deny, false}, {allow, true}, {quota, false}} {
			d, err := c.Check(t.Context(), want.r)
			if err != nil || !d.Degraded || d.Source != bucket.FromDegraded || d.Allowed != want.allowed || d.Allowed == (d.RetryAfter > 0) {
				t.Errorf("Check with nobody there and rule %d = %+v, %v; want allowed %v and degraded", want.r.OnLost, d, err, want.allowed)
			}
		}
		admitted := 0
		for began := time.Now(); time.Since(began) < 2*time.Second; time.Sleep(time.Millisecond) {
			if d, err := c.Check(t.Context(), rate); err == nil && d.Allowed {
				admitted++
			}
		}
		if admitted < 45 || admitted > 51 {
			t.Errorf("%d admitted in 2 s, want a quarter of 100/s", admitted)
		}
		all, err := c.CheckAll(t.Context(), []bucket.Request{rate, deny})
		if err != nil || all.Allowed() || len(all) != 2 {
			t.Errorf("CheckAll with one that is denied = %+v, %v", all, err)
		}
		if _, err := c.Check(t.Context(), bucket.Request{Limit: rate.Limit, Cost: 1}); err == nil {
			t.Error("Check of no key: no error")
		}
		f.add("a:1")
		time.Sleep(5 * time.Second)
		if d, err := c.Check(t.Context(), rate); err != nil || d.Degraded || d.Remaining != 199 {
			t.Errorf("Check once a node is there = %+v, %v", d, err)
		}
	})
}

// What is not admitted because another request of a check is denied is not charged to this client's share.
func TestAloneAllOrNothing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t)
		c := f.of(client.Config{Degrade: true, Clients: 1}, "a:1")
		rate := bucket.Request{Key: "k", Limit: limit(t, "10/s"), Cost: 10}
		deny := bucket.Request{Key: "d", Limit: limit(t, "10/s"), Cost: 1, OnLost: bucket.Deny}
		if _, err := c.Check(t.Context(), rate); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		for range 3 {
			if all, err := c.CheckAll(t.Context(), []bucket.Request{rate, rate, deny}); err != nil || all.Allowed() {
				t.Errorf("CheckAll = %+v, %v; want denied", all, err)
			}
		}
		if d, err := c.Check(t.Context(), rate); err != nil || !d.Allowed {
			t.Errorf("Check of what nobody took = %+v, %v", d, err)
		}
	})
}

// A node that does not answer costs a call Config.Timeout, whatever its context says.
func TestTimeout(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, "a:1")
		f.nodes["a:1"].blocked = make(chan struct{})
		defer close(f.nodes["a:1"].blocked)
		r := bucket.Request{Key: "k", Limit: limit(t, "quota 5"), Cost: 1, OnLost: bucket.Allow}
		began := time.Now()
		strict := f.of(client.Config{Timeout: 50 * time.Millisecond}, "a:1")
		if _, err := strict.Check(t.Context(), r); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Check = %v, want DeadlineExceeded", err)
		}
		soft := f.of(client.Config{Timeout: 50 * time.Millisecond, Degrade: true}, "a:1")
		if d, err := soft.Check(t.Context(), r); err != nil || !d.Allowed || !d.Degraded {
			t.Errorf("Check that may degrade = %+v, %v", d, err)
		}
		if took := time.Since(began); took > 200*time.Millisecond {
			t.Errorf("both took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := soft.Check(ctx, r); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Check for who has less time = %v, want DeadlineExceeded", err)
		}
	})
}

// Those who wait get what they wait for at the rate of the limit, and know at once what they will not.
func TestWait(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newFleet(t, "a:1").client()
		r := bucket.Request{Key: "k", Limit: limit(t, "10/s burst 1"), Cost: 1}
		began := time.Now()
		var all sync.WaitGroup
		for range 11 {
			all.Go(func() {
				if _, err := c.Wait(t.Context(), r); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := c.Wait(ctx, r); !errors.Is(err, cluster.ErrTooLate) || time.Since(began) > 100*time.Millisecond {
			t.Errorf("Wait behind ten = %v after %v, want ErrTooLate at once", err, time.Since(began))
		}
		all.Wait()
		if took := time.Since(began); took < time.Second || took > 1100*time.Millisecond {
			t.Errorf("11 tokens of 10/s took %v", took)
		}
	})
}

// A client is what a Limiter asks.
func TestLimiter(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx := t.Context()
		l, err := limiter.New(limiter.Config{Cluster: newFleet(t, "a:1").client(), Limit: limit(t, "quota 10")})
		if err != nil {
			t.Fatal(err)
		}
		if d, err := l.AllowN(ctx, "k", 3); err != nil || d.Remaining != 7 {
			t.Errorf("AllowN = %+v, %v", d, err)
		}
		r, err := l.Reserve(ctx, "k", 5)
		if err != nil || !r.Decision.Allowed {
			t.Fatalf("Reserve = %+v, %v", r, err)
		}
		if said, err := r.Settle(ctx, 1); err != nil || said.Reserved != 5 || said.Charged != 1 {
			t.Errorf("Settle = %+v, %v", said, err)
		}
		if d, err := l.Wait(ctx, "k", 6); err != nil || d.Remaining != 0 {
			t.Errorf("Wait = %+v, %v", d, err)
		}
		if err := l.Reset(ctx, "k"); err != nil {
			t.Error(err)
		}
		if d, err := l.Peek(ctx, "k"); err != nil || d.Remaining != 10 {
			t.Errorf("Peek = %+v, %v", d, err)
		}
	})
}
