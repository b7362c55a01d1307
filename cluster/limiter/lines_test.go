package limiter_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/cluster/limiter"
)

// A counter is one bucket, asked as a cluster is.
type counter struct {
	store *bucket.Store
	limit bucket.Limit
	from  time.Time
}

func newCounter(t *testing.T, limit string) *counter {
	t.Helper()
	store, err := bucket.NewStore(bucket.StoreConfig{Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	return &counter{store: store, limit: parse(t, limit), from: time.Now()}
}

func (c *counter) take(cost int64) func(context.Context) (bucket.Decision, error) {
	return func(context.Context) (bucket.Decision, error) {
		return c.store.Take(bucket.Instant(time.Since(c.from)), 0, &bucket.Request{Key: "k", Limit: c.limit, Cost: cost})
	}
}

// A served is one who waited.
type served struct {
	came int
	cost int64
	at   time.Duration
}

// Whoever comes, gives up or has too little time: those who are served are served in the order in which they came, as soon as the
// tokens are there; whoever hears that it is too late hears so before its deadline, and nobody is left in line.
func TestLinesAtRandom(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		bubble.Test(t, func(t *testing.T) {
			if !waitAtRandom(t, rand.New(rand.NewPCG(seed, 0))) {
				t.Errorf("seed %d", seed)
			}
		})
	}
}

// waitAtRandom returns false if something is wrong.
func waitAtRandom(t *testing.T, r *rand.Rand) bool {
	t.Helper()
	c := newCounter(t, "10/s burst 5")
	lines := limiter.NewLines(1000)
	var mu sync.Mutex
	var done []served
	late, gone := 0, 0
	var all sync.WaitGroup
	for i := range 100 {
		cost, patience, quits := 1+r.Int64N(5), time.Duration(r.Int64N(int64(20*time.Second))), r.IntN(4) == 0
		all.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			if quits {
				stop := time.AfterFunc(patience, cancel)
				defer stop.Stop()
			} else {
				ctx, cancel = context.WithTimeout(context.Background(), patience)
			}
			defer cancel()
			_, err := lines.Wait(ctx, "k", cost, c.limit, c.take(cost))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				done = append(done, served{i, cost, time.Since(c.from)})
			case errors.Is(err, cluster.ErrTooLate) && !quits && ctx.Err() == nil:
				late++
			case quits && errors.Is(err, context.Canceled):
				gone++
			default:
				t.Errorf("caller %d: %v, with its context ended by %v", i, err, ctx.Err())
			}
		})
		synctest.Wait()
		time.Sleep(time.Duration(r.Int64N(int64(100 * time.Millisecond))))
	}
	all.Wait()
	t.Logf("%d served, %d too late, %d gone", len(done), late, gone)
	return inOrder(t, done) && inRate(t, done)
}

func inOrder(t *testing.T, done []served) bool {
	t.Helper()
	if !slices.IsSortedFunc(done, func(a, b served) int { return a.came - b.came }) {
		t.Errorf("served out of order: %v", done)
		return false
	}
	return true
}

// inRate checks that no tokens were given that 10/s burst 5 has not, and that none were kept back from the line: between two who are
// served, the second of whom had to wait, there is no more time than its tokens need.
func inRate(t *testing.T, done []served) bool {
	t.Helper()
	cost := int64(0)
	for _, d := range done {
		cost += d.cost
		if most := 5 + int64(d.at*10/time.Second); cost > most {
			t.Errorf("%d tokens given in %v, want at most %d", cost, d.at, most)
			return false
		}
	}
	for i := 1; i < len(done); i++ {
		if gap := done[i].at - done[i-1].at; gap > time.Second {
			t.Errorf("nobody was served for %v before %+v", gap, done[i])
			return false
		}
	}
	return true
}

// Lines of different keys do not wait for each other.
func TestLinesApart(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		lines := limiter.NewLines(10)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			_, err := lines.Wait(ctx, "a", 1, bucket.Limit{}, func(context.Context) (bucket.Decision, error) {
				return bucket.Decision{RetryAfter: time.Hour}, nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Wait = %v, want Canceled", err)
			}
		})
		synctest.Wait()
		began := time.Now()
		if _, err := lines.Wait(ctx, "b", 1, bucket.Limit{}, func(context.Context) (bucket.Decision, error) {
			return bucket.Decision{Allowed: true}, nil
		}); err != nil || time.Since(began) > 0 {
			t.Errorf("Wait for another key: %v after %v", err, time.Since(began))
		}
		cancel()
		all.Wait()
	})
}

// Those in line hear that it is too late for them as soon as the first one hears how long it takes.
func TestLinesTell(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		lines := limiter.NewLines(10)
		began := time.Now()
		first := func(context.Context) (bucket.Decision, error) {
			left := time.Second - time.Since(began)
			return bucket.Decision{Allowed: left <= 0, RetryAfter: max(left, 0)}, nil
		}
		second := func(context.Context) (bucket.Decision, error) { return bucket.Decision{RetryAfter: time.Hour}, nil }
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for _, do := range []func(context.Context) (bucket.Decision, error){first, second} {
			all.Go(func() { _, _ = lines.Wait(ctx, "k", 1, bucket.Limit{}, do) })
			synctest.Wait()
		}
		patient, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		_, err := lines.Wait(patient, "k", 1, bucket.Limit{}, second)
		if took := time.Since(began); !errors.Is(err, cluster.ErrTooLate) || took > 1100*time.Millisecond {
			t.Errorf("the third in line: %v after %v, want ErrTooLate once the second one hears that it takes an hour", err, took)
		}
		cancel()
		all.Wait()
	})
}
