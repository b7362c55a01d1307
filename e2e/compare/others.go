package main

import (
	"context"
	"sync"
	"time"

	"github.com/didip/tollbooth/v8"
	tollboothlimiter "github.com/didip/tollbooth/v8/limiter"
	"github.com/juju/ratelimit"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	ulule "github.com/ulule/limiter/v3"
	"github.com/ulule/limiter/v3/drivers/store/memory"
	"golang.org/x/time/rate"
)

// Libraries are used as their documentation says, with the map around those that limit one key alone that everybody
// writes.

func newRate(l limit) *rate.Limiter { return rate.NewLimiter(rate.Every(l.every), l.burst) }

func openRate(_ context.Context, l limit) (limiter, error) {
	one := newRate(l)
	return shared(func(string) bool { return one.Allow() }), nil
}

func openRateMutex(_ context.Context, l limit) (limiter, error) {
	var (
		mu sync.Mutex
		of = make(map[string]*rate.Limiter)
	)
	return shared(func(key string) bool {
		mu.Lock()
		one, ok := of[key]
		if !ok {
			one = newRate(l)
			of[key] = one
		}
		mu.Unlock()
		return one.Allow()
	}), nil
}

func openRateMap(_ context.Context, l limit) (limiter, error) {
	var of sync.Map // of *rate.Limiter
	return shared(func(key string) bool {
		one, ok := of.Load(key)
		if !ok {
			one, _ = of.LoadOrStore(key, newRate(l))
		}
		return one.(*rate.Limiter).Allow()
	}), nil
}

func openJuju(_ context.Context, l limit) (limiter, error) {
	var (
		mu sync.Mutex
		of = make(map[string]*ratelimit.Bucket)
	)
	return shared(func(key string) bool {
		mu.Lock()
		one, ok := of[key]
		if !ok {
			one = ratelimit.NewBucket(l.every, int64(l.burst))
			of[key] = one
		}
		mu.Unlock()
		return one.TakeAvailable(1) == 1
	}), nil
}

func openGoLimiter(ctx context.Context, l limit) (limiter, error) {
	store, err := memorystore.New(&memorystore.Config{Tokens: uint64(l.burst), Interval: time.Hour})
	if err != nil {
		return limiter{}, err
	}
	opened := shared(func(key string) bool {
		_, _, _, ok, err := store.Take(ctx, key)
		return ok && err == nil
	})
	opened.close = func() { _ = store.Close(ctx) } // it has no error to return
	return opened, nil
}

func openThrottled(ctx context.Context, l limit) (limiter, error) {
	store, err := memstore.NewCtx(0)
	if err != nil {
		return limiter{}, err
	}
	gcra, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{
		MaxRate: throttled.PerDuration(1, l.every), MaxBurst: l.burst - 1,
	})
	if err != nil {
		return limiter{}, err
	}
	return shared(func(key string) bool {
		limited, _, err := gcra.RateLimitCtx(ctx, key, 1)
		return !limited && err == nil
	}), nil
}

func openUlule(ctx context.Context, l limit) (limiter, error) {
	store := memory.NewStoreWithOptions(ulule.StoreOptions{Prefix: "l", CleanUpInterval: time.Minute})
	of := ulule.New(store, ulule.Rate{Period: time.Hour, Limit: int64(l.burst)})
	return shared(func(key string) bool {
		c, err := of.Get(ctx, key)
		return !c.Reached && err == nil
	}), nil
}

func openTollbooth(_ context.Context, l limit) (limiter, error) {
	of := tollbooth.NewLimiter(l.perSecond(), &tollboothlimiter.ExpirableOptions{DefaultExpirationTTL: time.Hour}).SetBurst(l.burst)
	return shared(func(key string) bool { return !of.LimitReached(key) }), nil
}
