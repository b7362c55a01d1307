package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// bugs are what a fake fleet does wrong, where it is planted.
type bugs struct {
	forgetOnMove bool // joins and leaves reset the buckets that move
	forgetOnKill bool // a kill resets all buckets of the node, by whatever durability
	twoHolders   bool // every other node decides by itself, always
	splitForGood bool // from the first cut on, also after it was healed
	oneMore      bool // a bucket has one token more than its burst
	degradeMoves bool // a check that meets a join or a leave is degraded
	failMoves    bool // or fails
	degradeLong  bool // after a kill, checks are degraded for a second
	degradeSide  bool // while a node is cut off or frozen, checks are degraded everywhere
	hang         bool // now and then a check is never answered
	fullShares   bool // while a node is frozen the others answer from a full bucket each, again and again
}

// A fake is a fleet of ideal buckets in memory, with planted bugs.
type fake struct {
	bugs bugs

	mu      sync.Mutex
	base    time.Time
	up      map[string]bool
	frozen  map[string]chan struct{}  // closed when it goes on
	buckets map[string]*bucket.Bucket // by key, and by side where there are two
	cut     bool
	moving  time.Time // until when a move may be noticed
	killed  time.Time
	asked   int
	closed  bool
}

func newFake(b bugs) *fake {
	return &fake{bugs: b, base: time.Now(), up: map[string]bool{}, frozen: map[string]chan struct{}{}, buckets: map[string]*bucket.Bucket{}}
}

// holder returns who holds the key: one of three, whoever is up.
func holder(key string) string { return name(int(key[len(key)-1]) % 3) }

// forget resets the buckets of the node's keys.
func (f *fake) forget(node string) {
	for key := range f.buckets {
		if holder(key) == node || node == "" {
			delete(f.buckets, key)
		}
	}
}

func (f *fake) Start(_ context.Context, node string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.move("a")
	f.up[node] = true
	return nil
}

func (f *fake) Leave(_ context.Context, node string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.move(node)
	delete(f.up, node)
	return nil
}

// move is what happens when a node comes or goes. f.mu must be held.
func (f *fake) move(node string) {
	f.moving = time.Now().Add(50 * time.Millisecond)
	if f.bugs.forgetOnMove {
		f.forget(node)
	}
}

func (f *fake) Kill(_ context.Context, node string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.killed = time.Now()
	if f.bugs.forgetOnKill {
		f.forget(node)
	}
	delete(f.up, node)
	return nil
}

func (f *fake) Pause(_ context.Context, node string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.frozen[node] = make(chan struct{})
	return nil
}

func (f *fake) Resume(_ context.Context, node string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.frozen[node])
	delete(f.frozen, node)
	return nil
}

func (f *fake) Cut(context.Context, string, string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = true
	return nil
}

func (f *fake) Heal(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = f.bugs.splitForGood
	if f.cut {
		f.forget("") // each side begins again
	}
	return nil
}

func (f *fake) Settled(context.Context, []string) error { return nil }

func (f *fake) Holders(_ context.Context, checks []Check, _ string) ([]string, error) {
	var holders []string
	for _, c := range checks {
		holders = append(holders, holder(c.Key))
	}
	return holders, nil
}

func (f *fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}

func (f *fake) Check(ctx context.Context, node string, c Check) (Answer, error) {
	there := time.Duration(rand.Int64N(int64(time.Millisecond)))
	time.Sleep(there)
	f.mu.Lock()
	still := f.frozen[node]
	f.mu.Unlock()
	if still != nil {
		select {
		case <-still:
		case <-ctx.Done():
			return Answer{}, ctx.Err()
		}
	}
	a, err := f.decide(node, c)
	if err != nil && f.bugs.hang {
		<-ctx.Done()
		time.Sleep(time.Second) // and the client notices late
		return Answer{}, ctx.Err()
	}
	time.Sleep(time.Duration(rand.Int64N(int64(time.Millisecond))))
	return a, err
}

// decide takes tokens.
func (f *fake) decide(node string, c Check) (Answer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	moving := time.Now().Before(f.moving)
	switch {
	case !f.up[node]:
		return Answer{}, fmt.Errorf("%w: %s is gone", errUnreachable, node)
	case f.bugs.hang && f.asked%300 == 0, f.bugs.failMoves && moving:
		return Answer{}, fmt.Errorf("%w: planted", errUnreachable)
	case f.bugs.degradeMoves && moving, f.bugs.degradeLong && time.Since(f.killed) < time.Second,
		f.bugs.degradeSide && (f.cut || len(f.frozen) > 0):
		return Answer{Degraded: true, Source: "degraded", Node: node}, nil
	case f.bugs.fullShares && len(f.frozen) > 0:
		f.buckets[c.Key] = &bucket.Bucket{}
	}
	l, err := bucket.ParseLimit(c.Limit)
	if err != nil {
		return Answer{}, err
	}
	key := c.Key
	if (f.bugs.twoHolders || f.cut && f.bugs.splitForGood) && node == "b" {
		key += "/" // b's side
	}
	if f.bugs.oneMore {
		l.Burst++
	}
	plan, err := bucket.NewPlan(l, time.Unix(0, 0))
	if err != nil {
		return Answer{}, err
	}
	b := f.buckets[key]
	if b == nil {
		b = &bucket.Bucket{}
		f.buckets[key] = b
	}
	d := b.Take(bucket.Instant(time.Since(f.base)), plan, c.Cost)
	return Answer{Allowed: d.Allowed, Source: "holder", Node: holder(c.Key)}, nil
}

// busy returns a plan of one minute under much demand for few keys.
func busy(steps ...Step) Plan {
	p := New()
	p.Keys, p.Rate, p.Duration, p.Steps = 30, 100, time.Minute, steps
	return p
}

// runFake runs p on a fake fleet in a bubble and judges it.
func runFake(t *testing.T, p Plan, b bugs) (h *History, v Verdict) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		f := newFake(b)
		var err error
		if h, err = Run(t.Context(), Config{Plan: p, Fleet: f}); err != nil {
			t.Fatal(err)
		}
		if !f.closed {
			t.Error("Run returned and the fleet is not closed")
		}
	})
	return h, Judge(h)
}

// broken returns the names of the promises that were broken.
func broken(v Verdict) []string {
	var names []string
	for _, p := range v.Promises {
		if !p.Kept {
			names = append(names, p.Name)
		}
	}
	return names
}
