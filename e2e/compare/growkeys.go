package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// A grownKeys is what a check costs with so many keys.
type grownKeys struct {
	Who   string  `json:"who"`
	Keys  int     `json:"keys"`
	NS    samples `json:"ns"`
	Bytes float64 `json:"bytes_per_key"` // of heap beyond the key's own
	GC    gcCost  `json:"gc"`
}

// A replicaCost is what the replica of a key takes at its heir, beside what the key takes at its holder.
type replicaCost struct {
	Keys    int     `json:"keys"`
	Holder  float64 `json:"holder_bytes_per_key"`
	Replica float64 `json:"replica_bytes_per_key"`
}

// grown are the names of the candidates that are followed as keys grow.
func grown() []string { return []string{nodeCheck, rateMutex, goLimiter, throttledG} }

// growTimes is how often a check is measured with each number of keys.
const growTimes = 3

// gcCycles is how many garbage collections are watched at most.
const gcCycles = 50

// othersKeys is how many keys others are asked about at most: with ten times as many the tool would take a quarter of an hour for
// them alone, most of it for garbage collections.
const othersKeys = 1_000_000

// growKeys measures checks inside the process with more and more keys, for a quarter of the budget at most.
func (r *run) growKeys(ctx context.Context) error {
	began, took, before := time.Now(), time.Duration(0), 0
	for _, n := range r.options.growKeys {
		if left := r.options.budget/4 - time.Since(began); before > 0 && nextTime(took, before, n) > left {
			return fmt.Errorf("no time for more than %s", counted(before))
		}
		began := time.Now()
		if err := r.growTo(ctx, n); err != nil {
			return err
		}
		took, before = time.Since(began), n
		r.say("keys grown to %s in %.0f s", counted(n), took.Seconds())
	}
	return nil
}

// nextTime returns how long next keys may take to measure where some keys took so long: in proportion, but where so few are
// measured for as long as more of them, and where others are measured no more a fifth of it.
func nextTime(took time.Duration, keys, next int) time.Duration {
	const few = 100_000
	if keys < few {
		return took
	}
	if keys <= othersKeys && next > othersKeys {
		return took * time.Duration(next) / time.Duration(keys) / 5
	}
	return took * time.Duration(next) / time.Duration(keys)
}

// growTo measures all with n keys.
func (r *run) growTo(ctx context.Context, n int) error {
	ks := newKeySet(n, uint64(n))
	for _, c := range candidates() {
		if !slices.Contains(grown(), c.name) || n > othersKeys && c.name != nodeCheck {
			continue
		}
		g, err := growCandidate(ctx, c, ks)
		if err != nil {
			return fmt.Errorf("%s with %d keys: %w", c.name, n, err)
		}
		r.results.GrownKeys = append(r.results.GrownKeys, g)
	}
	c, err := weighReplica(n)
	if err != nil {
		return fmt.Errorf("replicas of %d keys: %w", n, err)
	}
	r.results.Replicas = append(r.results.Replicas, c)
	if n != slices.Max(r.options.growKeys) {
		return nil
	}
	cycles := fullCycles
	if r.options.quick {
		cycles = gcCycles / 2
	}
	f, err := measureFull(ctx, n, cycles)
	if err != nil {
		return fmt.Errorf("a full node of %d keys: %w", n, err)
	}
	r.results.Full = f
	return nil
}

// growCandidate measures c with ks, and watches garbage collections.
func growCandidate(ctx context.Context, c candidate, ks keySet) (*grownKeys, error) {
	g := &grownKeys{Who: c.name, Keys: ks.n}
	before := heap()
	opened, err := c.open(ctx, plenty())
	if err != nil {
		return nil, err
	}
	defer opened.shut()
	if err := fill(opened, ks.n); err != nil {
		return nil, err
	}
	g.Bytes = (heap()-before)/float64(ks.n) - keyBytes
	for range growTimes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b := bench(opened, ks, 1, true)
		if b.wrong > 0 {
			return nil, fmt.Errorf("%d of %d answers are wrong", b.wrong, b.checks)
		}
		g.NS = append(g.NS, float64(time.Second)/b.perSecond)
	}
	if g.GC, err = (gcLoad{limiter: opened, keys: ks, goroutines: 1}).collect(gcCycles); err == nil && g.GC.Wrong > 0 {
		err = fmt.Errorf("%d answers are wrong while garbage is collected", g.GC.Wrong)
	}
	return g, err
}

// replicaBatch is how many changed buckets a holder sends at once.
const replicaBatch = 20_000

// weighReplica fills a store as a holder's is filled, and another one with what it tells its heir, as the heir does.
func weighReplica(n int) (replicaCost, error) {
	c, base := replicaCost{Keys: n}, heap()
	r, err := newReplicated(n)
	if err != nil {
		return c, err
	}
	request := bucket.Request{Limit: plenty().bucket(), Cost: 1}
	for i := range n {
		request.Key = key(i)
		if d, err := r.holder.Take(1, int(ring.Hash(request.Key)%partitions), &request); err != nil || !d.Allowed {
			return c, errors.Join(err, fmt.Errorf("key %q: allowed is %v", request.Key, d.Allowed))
		}
		if i%replicaBatch == replicaBatch-1 || i == n-1 {
			if err := r.copy(); err != nil {
				return c, err
			}
		}
	}
	if kept := r.heir.Stats().Keys; kept != n {
		return c, fmt.Errorf("the heir keeps %d of %d keys", kept, n)
	}
	both := heap() - base
	r.heir = nil
	alone := heap() - base
	runtime.KeepAlive(r.holder)
	c.Holder, c.Replica = alone/float64(n)-keyBytes, (both-alone)/float64(n)-keyBytes
	return c, nil
}

// A replicated is a holder's store and its heir's.
type replicated struct{ holder, heir *bucket.Store }

// newReplicated returns stores for n keys.
func newReplicated(n int) (r *replicated, err error) {
	r = &replicated{}
	for _, s := range []**bucket.Store{&r.holder, &r.heir} {
		if *s, err = bucket.NewStore(bucket.StoreConfig{Partitions: partitions, MaxKeys: n}); err != nil {
			return nil, err
		}
	}
	r.holder.Track(true)
	return r, nil
}

// copy has the heir take in all that changed at the holder.
func (r *replicated) copy() error {
	for {
		changes := r.holder.Changes(1, replicaBatch, nil)
		for i := range changes {
			if err := r.heir.Import(1, changes[i].Partition, []bucket.State{changes[i].State}); err != nil {
				return err
			}
		}
		if len(changes) < replicaBatch {
			return nil
		}
	}
}
