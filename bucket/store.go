package bucket

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// StoreConfig is what a Store is made of. The zero value is ready to use.
type StoreConfig struct {
	// Partitions is the number of partitions, 1 to 65,536. Default: 16,384. More make a handoff finer. If there are more than
	// 1,024, up to 16 neighbours share a lock; fewer do with a MaxKeys of more than 16 million.
	Partitions int

	// MaxKeys is the most buckets kept at once. Default: 10,000,000. A new key beyond it takes the place of a bucket of a few
	// dozen, which is counted in Stats.Evicted: the fullest of those whose limit has the most keys. So no bucket is lost of a limit that
	// has fewer keys than its share of MaxKeys, had all limits as many, however many keys are made up of another one.
	MaxKeys int

	// LimitKeys is the most buckets kept of one limit, where that is less than MaxKeys. A new key beyond it shares one bucket
	// with all others that are, so that who makes up keys gets no more tokens by it, and pushes nobody else's bucket out; it
	// gets ErrFull where it would reserve. Limits that are equal are one. What comes from other nodes is not counted out.
	// Default: 0, no bound of its own.
	LimitKeys int

	// MaxIDs is the most request ids remembered at once. Default: 65,536. The oldest goes first.
	MaxIDs int

	// IDAge is how long a request id is remembered. Default: 2m.
	IDAge time.Duration

	// MaxReservations is the most living reservations kept at once. Default: 100,000, some 300 bytes each. A request that would
	// reserve beyond it gets ErrFull. As many that have ended are remembered, for two minutes at most; the oldest goes first.
	MaxReservations int

	// Epoch is the wall time of Instant 0, for limits with windows. Default: the Unix epoch.
	Epoch time.Time
}

// A Store keeps the buckets of many keys. Full buckets are not kept. All its methods are safe for concurrent use, and
// none blocks but for the short while that another one has the same lock: one of a thousand.
type Store struct {
	seed   maphash.Seed
	parts  int
	width  int // of the number that a partition has in its shard, in bits
	shards []shard
	tracks atomic.Bool // whether changes are noted
	seen   []Instant   // of each shard, when a full bucket was last dropped; guarded by the shard's mu

	changed []places               // of each shard, its records that are marked as changed; guarded by the shard's mu
	leases  []map[leaseKey]*leases // of each shard, by key; guarded by the shard's mu
	books   []*book                // of each shard, its reservations; nil for none; guarded by the shard's mu
	turn    turn                   // of the shards in Changes
	cold    coldMarks

	plans   plans
	ids     memory
	counts  counts
	top     *Top
	reliefs reliefs
	groups  sync.Pool // of *group

	maxKeys   int64
	limitKeys int64
	crowds    crowds
	keys      atomic.Int64
	lentKeys  atomic.Int64  // keys with leases
	cursor    atomic.Uint64 // where the last eviction stopped looking
	sweepAt   atomic.Uint64 // where the last sweep stopped

	swept, evicted, forgotten atomic.Uint64
}

// manyShards is how many shards are enough: there are more only where partitions are more than 16 times as many, or where
// MaxKeys are more than shardKeys in each. More make waiting for a lock rarer; fewer leave more of the cache for buckets.
//
// A shard of shardKeys keys stops for a fifth of a millisecond when it grows: see BenchmarkGrow.
const (
	manyShards = 1024
	shardKeys  = 1 << 14
)

// NewStore returns a Store in which all partitions are held.
func NewStore(c StoreConfig) (*Store, error) {
	if c.Partitions == 0 {
		c.Partitions = 16384
	}
	if c.MaxKeys == 0 {
		c.MaxKeys = 10_000_000
	}
	if c.MaxIDs == 0 {
		c.MaxIDs = 65_536
	}
	if c.IDAge == 0 {
		c.IDAge = 2 * time.Minute
	}
	if c.MaxReservations == 0 {
		c.MaxReservations = 100_000
	}
	if c.Epoch.IsZero() {
		c.Epoch = time.Unix(0, 0)
	}
	switch {
	case c.Partitions < 1 || c.Partitions > 1<<16:
		return nil, fmt.Errorf("bucket: Partitions is %d, want 1 to 65536", c.Partitions)
	case c.MaxKeys < 1:
		return nil, fmt.Errorf("bucket: MaxKeys is %d, want 1 or more", c.MaxKeys)
	case c.LimitKeys < 0:
		return nil, fmt.Errorf("bucket: LimitKeys is %d, want 1 or more, or 0 for no bound", c.LimitKeys)
	case c.MaxIDs < 1:
		return nil, fmt.Errorf("bucket: MaxIDs is %d, want 1 or more", c.MaxIDs)
	case c.MaxReservations < 1:
		return nil, fmt.Errorf("bucket: MaxReservations is %d, want 1 or more", c.MaxReservations)
	case c.IDAge < 0:
		return nil, fmt.Errorf("bucket: IDAge is %v, want more than 0", c.IDAge)
	}
	s := &Store{seed: maphash.MakeSeed(), parts: c.Partitions, maxKeys: int64(c.MaxKeys), limitKeys: int64(c.LimitKeys)}
	s.width = widthFor(c.Partitions, c.MaxKeys)
	s.shards = make([]shard, (c.Partitions-1)>>s.width+1)
	s.seen = make([]Instant, len(s.shards))
	s.changed = make([]places, len(s.shards))
	s.leases = make([]map[leaseKey]*leases, len(s.shards))
	s.books = make([]*book, len(s.shards))
	s.counts.most = int64(c.MaxReservations)
	s.cold.init()
	s.plans.init(c.Epoch)
	s.ids.init(c.MaxIDs, c.IDAge)
	s.top = NewTop()
	return s, nil
}

// widthFor returns how many bits of a partition's number tell the partitions of one shard apart.
func widthFor(partitions, maxKeys int) int {
	few := bits.Len(uint(partitions-1) / manyShards)                 // so that there are no more than manyShards
	many := bits.Len(uint(partitions / (1 + (maxKeys-1)/shardKeys))) // so that none has more than shardKeys, less 1
	return min(maxWidth, few, max(many-1, 0))
}

// SetEpoch tells s that Instant 0 was at the wall time epoch, after the wall clock was set. Only windows look at it.
func (s *Store) SetEpoch(epoch time.Time) { s.plans.setEpoch(epoch) }

// Take decides on r, whose key is in partition part, and takes its cost if it allows it. It returns an error that wraps
// ErrKey, ErrLimit, ErrCost, ErrID or ErrReserve if r is not as its fields say, ErrMoved if the partition is not held here, and ErrFull
// if there is no room for one more key; then nothing was taken. It does not keep the strings of r.
func (s *Store) Take(now Instant, part int, r *Request) (d Decision, err error) {
	err = s.TakeInto(now, part, r, &d)
	return d, err
}

// TakeInto is Take, and makes *d the decision; with an error that is the zero Decision. It spares who passes the decision on a
// copy of what was just written, which waits some 5 ns for that.
func (s *Store) TakeInto(now Instant, part int, r *Request, d *Decision) error {
	*d = Decision{}
	if !s.has(part) {
		return ErrMoved
	}
	number := s.number(part)
	tag := tagOf(number, s.width, maphash.String(s.seed, r.Key))
	sh := s.shard(part)
	sh.mu.Lock()
	if rec := sh.find(tag, r.Key); rec != nil && !sh.isFrozen(number) {
		if plan := s.plans.at(rec.plan()); plan.knows(r) {
			if rec.bits&lent != 0 {
				s.firm(now, part>>s.width, rec)
			}
			rec.bucket.take(now, plan, r.Cost, d)
			if s.tracks.Load() && rec.bits&changed == 0 && d.Allowed && r.Cost > 0 && r.Durability != Ephemeral {
				s.list(part>>s.width, rec)
			}
			weight := sh.sample()
			sh.mu.Unlock()
			if weight != 0 {
				s.top.Add(r.Key, weight)
			}
			return nil
		}
	}
	sh.mu.Unlock()
	return s.takeNew(now, part, r, d)
}

// knows says whether r, whose key has a bucket under p, is under the same limit, and nothing is wrong with it then.
func (p *Plan) knows(r *Request) bool {
	return len(r.ID)|int(r.Reserve) == 0 && p.Is(&r.Limit) && uint64(r.Cost) <= uint64(p.limit.Burst)
}

// has says whether there is a partition part.
func (s *Store) has(part int) bool { return uint(part) < uint(s.parts) }

// shard returns the shard of partition part.
func (s *Store) shard(part int) *shard { return &s.shards[part>>s.width] }

// number returns the number that partition part has in its shard.
func (s *Store) number(part int) uint32 { return uint32(part) & (1<<s.width - 1) }

// tag returns what the index of part's shard has of key.
func (s *Store) tag(part int, key string) uint32 {
	return tagOf(s.number(part), s.width, maphash.String(s.seed, key))
}

// Check returns an error that wraps ErrKey, ErrLimit, ErrCost, ErrID or ErrReserve if r is not as its fields say.
func (r *Request) Check() error {
	if err := r.Limit.Validate(); err != nil {
		return err
	}
	return r.check()
}

// check is Check for a request whose limit is known to be valid.
func (r *Request) check() error {
	if err := CheckKey(r.Key); err != nil {
		return err
	}
	switch {
	case len(r.ID) > MaxID:
		return fmt.Errorf("%w: %d bytes, want at most %d", ErrID, len(r.ID), MaxID)
	case !utf8.ValidString(r.ID):
		return fmt.Errorf("%w: not UTF-8", ErrID)
	case r.Cost < 0:
		return fmt.Errorf("%w: %d, want 0 or more", ErrCost, r.Cost)
	case r.Cost > MaxCost:
		return fmt.Errorf("%w: %d, want at most %d", ErrCost, r.Cost, MaxCost)
	case r.Cost > r.Limit.Burst:
		return fmt.Errorf("%w: %d can never succeed: limit %q has a burst of %d", ErrCost, r.Cost, r.Limit, r.Limit.Burst)
	}
	return r.checkReserve()
}

// Reset makes the bucket of key in partition part full again, and frees what is reserved of it under Concurrency limits. It returns ErrMoved if the partition is not held here.
//
// A key that begins empty (see SetCold) has a bucket to be filled as soon as tokens were asked for.
func (s *Store) Reset(part int, key string) error {
	if !s.has(part) {
		return ErrMoved
	}
	sh := s.shard(part)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.isFrozen(s.number(part)) {
		return ErrMoved
	}
	s.freeSlots(part, key)
	r := sh.find(s.tag(part, key), key)
	switch {
	case r == nil:
	case s.tracks.Load() || s.cold.has(part) || r.bits&lent != 0: // it is needed yet, to tell that it is full, or what is lent
		s.drained(r)
		r.bucket = Bucket{}
		s.note(part, r, lowered)
	default:
		s.drop(part>>s.width, r)
	}
	return nil
}

// drop forgets r's bucket in shard i, which the caller has locked.
func (s *Store) drop(i int, r *record) {
	s.forget(i, r)
	s.drained(r)
	s.ids.untell(s.part(i, r), r.key())
	s.plans.leave(r.plan())
	s.shards[i].remove(r)
	s.keys.Add(-1)
}

// Stats is what a Store counts.
type Stats struct {
	Reservations int // living

	Keys      int    // buckets in memory
	Swept     uint64 // buckets dropped because they were full again
	Evicted   uint64 // buckets dropped because MaxKeys was reached
	Shared    uint64 // decisions by buckets that keys share because of LimitKeys
	Forgotten uint64 // tokens that evicted buckets owed, rounded up
}

// Stats returns the counters of s.
func (s *Store) Stats() Stats {
	return Stats{
		Reservations: int(s.counts.living.Load()),

		Keys: int(s.keys.Load()), Swept: s.swept.Load(), Evicted: s.evicted.Load(), Shared: s.crowds.shared.Load(), Forgotten: s.forgotten.Load(),
	}
}

// Top returns up to n keys that were asked for most of late, the hottest first, with estimates of how often.
func (s *Store) Top(n int) []Hot { return s.top.List(n) }
