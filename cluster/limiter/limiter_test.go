package limiter_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/cluster/limiter"
)

func parse(t testing.TB, text string) bucket.Limit {
	t.Helper()
	l, err := bucket.ParseLimit(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// start returns a limiter at each of three nodes.
func start(t *testing.T, c limiter.Config, text string) []*limiter.Limiter {
	t.Helper()
	nodes := clustertest.Start(t, "a", "b", "c")
	c.Limit = parse(t, text)
	var all []*limiter.Limiter
	for _, name := range nodes.Names() {
		c.Cluster = nodes.Node(name)
		l, err := limiter.New(c)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// All nodes spend from one bucket, and each call says what it should.
func TestAllow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx, ls := t.Context(), start(t, limiter.Config{Prefix: "p/"}, "quota 10")
		for i, step := range []struct {
			do      func() (bucket.Decision, error)
			allowed bool
			left    int64
		}{
			{func() (bucket.Decision, error) { return ls[0].Allow(ctx, "k") }, true, 9},
			{func() (bucket.Decision, error) { return ls[1].AllowN(ctx, "k", 4) }, true, 5},
			{func() (bucket.Decision, error) { return ls[2].AllowN(ctx, "k", 6) }, false, 5},
			{func() (bucket.Decision, error) { return ls[0].AllowOnce(ctx, "k", "order", 2) }, true, 3},
			{func() (bucket.Decision, error) { return ls[1].AllowOnce(ctx, "k", "order", 2) }, true, 3},
			{func() (bucket.Decision, error) { return ls[2].Peek(ctx, "k") }, true, 3},
			{func() (bucket.Decision, error) { return ls[2].Peek(ctx, "other") }, true, 10},
		} {
			if d, err := step.do(); err != nil || d.Allowed != step.allowed || d.Remaining != step.left {
				t.Errorf("step %d = %+v, %v; want allowed %v with %d left", i, d, err, step.allowed, step.left)
			}
		}
		if err := ls[1].Reset(ctx, "k"); err != nil {
			t.Error(err)
		}
		if d, err := ls[0].Peek(ctx, "k"); err != nil || d.Remaining != 10 {
			t.Errorf("Peek after Reset = %+v, %v; want 10 left", d, err)
		}
		if _, err := ls[0].AllowOnce(ctx, "k", "", 1); !errors.Is(err, bucket.ErrID) {
			t.Errorf("AllowOnce without an id = %v, want ErrID", err)
		}
	})
}

// Those who wait are served in the order in which they came, at the rate of the limit and not later.
func TestWaitInOrder(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := start(t, limiter.Config{}, "1/s")[1]
		const callers = 20
		var mu sync.Mutex
		var order []int
		var all sync.WaitGroup
		began := time.Now()
		for i := range callers {
			all.Go(func() {
				if _, err := l.Wait(t.Context(), "k", 1); err != nil {
					t.Errorf("Wait %d: %v", i, err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			})
			synctest.Wait()
		}
		all.Wait()
		if !slices.IsSorted(order) || len(order) != callers {
			t.Errorf("served in the order %v", order)
		}
		if took := time.Since(began); took < (callers-1)*time.Second || took > callers*time.Second {
			t.Errorf("%d tokens of 1/s took %v", callers, took)
		}
	})
}

// Who cannot be served before its deadline knows at once, alone and in line, and takes nothing; where nobody can be, as soon as the
// first one hears it.
func TestWaitTooLate(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := start(t, limiter.Config{}, "1/s burst 5")[0]
		wait := func(patience time.Duration, n int64) (took time.Duration, err error) {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err = l.Wait(ctx, "k", n)
			return time.Since(began), err
		}
		if took, err := wait(time.Second, 5); err != nil || took > time.Second {
			t.Fatalf("Wait for what is there = %v after %v", err, took)
		}
		if took, err := wait(2*time.Second, 4); !errors.Is(err, cluster.ErrTooLate) || took > 100*time.Millisecond {
			t.Errorf("Wait alone = %v after %v, want ErrTooLate at once", err, took)
		}
		var all sync.WaitGroup
		all.Go(func() {
			if took, err := wait(time.Minute, 3); err != nil || took > 4*time.Second {
				t.Errorf("the first in line: %v after %v, want 3 tokens within 4s", err, took)
			}
		})
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		if took, err := wait(4*time.Second, 2); !errors.Is(err, cluster.ErrTooLate) || took > 0 {
			t.Errorf("the second in line = %v after %v, want ErrTooLate at once", err, took)
		}
		if took, err := wait(6*time.Second, 2); err != nil || took < 4*time.Second {
			t.Errorf("the second in line, with more time: %v after %v", err, took)
		}
		all.Wait()
		if d, err := l.Peek(t.Context(), "k"); err != nil || d.Remaining != 0 {
			t.Errorf("%d tokens left, %v; want 0", d.Remaining, err)
		}
	})
}

// No waiting helps on a spent quota.
func TestWaitNever(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := start(t, limiter.Config{}, "quota 1")[2]
		if _, err := l.Wait(t.Context(), "k", 1); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Wait(t.Context(), "k", 1); !errors.Is(err, cluster.ErrTooLate) {
			t.Errorf("Wait on a spent quota = %v, want ErrTooLate", err)
		}
	})
}

// Who gives up, first in line or not, leaves the rest in order and takes no token; and a line that is full says so.
func TestWaitGivesUp(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := start(t, limiter.Config{MaxWaiting: 3}, "1/s")[1]
		if _, err := l.Allow(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		errs := make([]error, 3)
		took := make([]time.Duration, 3)
		var cancels []context.CancelFunc
		var all sync.WaitGroup
		for i := range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cancels = append(cancels, cancel)
			all.Go(func() {
				_, errs[i] = l.Wait(ctx, "k", 1)
				took[i] = time.Since(began)
			})
			time.Sleep(time.Millisecond)
		}
		if _, err := l.Wait(t.Context(), "k", 1); !errors.Is(err, limiter.ErrCrowded) {
			t.Errorf("Wait of one too many = %v, want ErrCrowded", err)
		}
		cancels[0]()
		cancels[1]()
		all.Wait()
		if !errors.Is(errs[0], context.Canceled) || !errors.Is(errs[1], context.Canceled) || errs[2] != nil || took[2] > 1100*time.Millisecond {
			t.Errorf("errors %v after %v; want the first two canceled and the last one served within 1.1s", errs, took)
		}
		if _, err := l.Wait(t.Context(), "k", 1); err != nil {
			t.Errorf("Wait once the line is empty: %v", err)
		}
	})
}

// A limit with a queue gives turns: Wait waits for its own, and says at once where it comes too late.
func TestWaitQueue(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ls := start(t, limiter.Config{}, "1/s burst 1 queue 10")
		began := time.Now()
		for i := range 4 {
			if _, err := ls[i%3].Wait(t.Context(), "k", 1); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("4 tokens of 1/s took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		began = time.Now()
		if _, err := ls[0].Wait(ctx, "k", 1); !errors.Is(err, cluster.ErrTooLate) || time.Since(began) > 100*time.Millisecond {
			t.Errorf("Wait past its deadline = %v after %v, want ErrTooLate at once", err, time.Since(began))
		}
	})
}

// What is reserved is settled once, renewed, given back, or gone when its time is over.
func TestReserve(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx, ls := t.Context(), start(t, limiter.Config{Keep: 10 * time.Second}, "quota 100")
		left := func(want int64) {
			t.Helper()
			if d, err := ls[2].Peek(ctx, "k"); err != nil || d.Remaining != want {
				t.Errorf("Peek = %+v, %v; want %d left", d, err, want)
			}
		}
		reserve := func(n int64) *limiter.Reservation {
			t.Helper()
			r, err := ls[1].Reserve(ctx, "k", n)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		a := reserve(60)
		if said, err := a.Settle(ctx, 25); err != nil || said.Charged != 25 {
			t.Errorf("Settle = %+v, %v", said, err)
		}
		if said, err := a.Settle(ctx, 60); err != nil || said.Charged != 25 {
			t.Errorf("Settle again = %+v, %v; want the first answer", said, err)
		}
		left(75)
		b := reserve(70)
		if d := reserve(6); d.Decision.Allowed || d.Cancel(ctx) != nil {
			t.Errorf("Reserve of more than there is = %+v", d.Decision)
		}
		if err := b.Cancel(ctx); err != nil {
			t.Error(err)
		}
		left(75)
		c := reserve(5)
		for range 3 {
			time.Sleep(8 * time.Second)
			if err := c.Renew(ctx); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(12 * time.Second)
		if err := c.Cancel(ctx); !errors.Is(err, limiter.ErrGone) {
			t.Errorf("Cancel too late = %v, want ErrGone", err)
		}
		left(70)
	})
}

// Of a limit of concurrency a reservation is a slot.
func TestReserveSlots(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ls := start(t, limiter.Config{}, "concurrency 2")
		var held []*limiter.Reservation
		for i := range 3 {
			r, err := ls[i].Reserve(t.Context(), "k", 1)
			if err != nil || r.Decision.Allowed != (i < 2) {
				t.Fatalf("slot %d = %+v, %v", i, r, err)
			}
			held = append(held, r)
		}
		if err := held[0].Cancel(t.Context()); err != nil {
			t.Error(err)
		}
		if r, err := ls[2].Reserve(t.Context(), "k", 1); err != nil || !r.Decision.Allowed {
			t.Errorf("Reserve once a slot is free = %+v, %v", r, err)
		}
	})
}

// What New cannot use it refuses.
func TestConfig(t *testing.T) {
	node := new(cluster.Node)
	limit := parse(t, "1/s")
	for name, c := range map[string]limiter.Config{
		"no cluster":    {Limit: limit},
		"no limit":      {Cluster: node},
		"keep too long": {Cluster: node, Limit: limit, Keep: 2 * time.Hour},
		"keep negative": {Cluster: node, Limit: limit, Keep: -1},
		"nobody waits":  {Cluster: node, Limit: limit, MaxWaiting: -1},
	} {
		if _, err := limiter.New(c); !errors.Is(err, limiter.ErrConfig) {
			t.Errorf("New with %s = %v, want ErrConfig", name, err)
		}
	}
}
