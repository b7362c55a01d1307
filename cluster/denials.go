package cluster

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// denials is what this node remembers of what holders denied, so that whoever asks too often costs the holder nothing: until
// its RetryAfter has passed a denial is repeated here, and then one request asks while the others of its key wait for what it
// hears. It is a table of sets of four, found by the hash of the key; reading it takes no lock. A key that finds its set full
// takes the place of the one that is over first.
type denials struct {
	sets     []denialSet
	repeated atomic.Uint64 // checks that were denied by what is remembered
	plant    int           // what is wrong with it on purpose, in tests
}

// The bugs that tests plant.
const (
	_         = iota
	denyLong  // a denial is repeated for twice its time
	denyKept  // what is to be forgotten is not
	denyMoved // another holder does not matter
)

type denialSet struct {
	ways [denialWays]atomic.Pointer[denial]

	mu     sync.Mutex     // of those who write
	forgot bucket.Instant // what was asked before this instant may have been given back since; guarded by mu
}

const (
	denialSets = 1 << 13
	denialWays = 4

	// denialMost is how long a denial is repeated at most, before the holder is asked again.
	denialMost = 10 * time.Second
)

// A denial is what a holder has denied once. It is not changed but for who asks next.
type denial struct {
	key    string
	limit  bucket.Limit
	cost   int64 // this much was denied; more is too
	part   ring.Partition
	holder ring.Member // and its term, as this node knew them
	term   Term
	table  *ring.Table    // where it is the target
	made   bucket.Instant // no later than the holder's decision
	until  bucket.Instant // when it may be over: how long its answer was under way is not known
	sure   bucket.Instant // when it is over for sure, and to ask again is not in vain
	d      bucket.Decision

	turns   atomic.Int64  // how many more may ask whether it is over
	waiting atomic.Int64  // who wait for what the first of them hears
	over    atomic.Bool   // it has heard
	heard   chan struct{} // closed then
	again   *denial       // what it heard, nil if it was not denied; may be read once heard is closed
}

func (t *denials) init() { t.sets = make([]denialSet, denialSets) }

// set returns where a key with the hash h is. Partitions are made of the low bits.
func (t *denials) set(h uint64) *denialSet { return &t.sets[h>>40%denialSets] }

// find returns what is remembered for r, nil if nothing is.
func (t *denials) find(h uint64, r *bucket.Request) *denial {
	s := t.set(h)
	for i := range s.ways {
		if e := s.ways[i].Load(); e != nil && e.key == r.Key {
			if r.Cost >= e.cost && r.Limit == e.limit {
				return e
			}
			return nil
		}
	}
	return nil
}

// put remembers e, which was asked at sent, unless its key may have been given tokens since. With old it takes the place of
// that, if it is still there; with a nil e old is forgotten.
func (t *denials) put(h uint64, key string, e, old *denial, sent bucket.Instant) {
	s := t.set(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.place(key)
	if old != nil && at.Load() != old {
		return
	}
	if sent < s.forgot {
		e = nil
	}
	if was := at.Load(); e != nil || was != nil && was.key == key {
		at.Store(e)
	}
}

// place returns where key is, or a free place, or the one of the denial that is over first.
func (s *denialSet) place(key string) *atomic.Pointer[denial] {
	best := &s.ways[0]
	for i := range s.ways {
		at := &s.ways[i]
		switch e, b := at.Load(), best.Load(); {
		case e != nil && e.key == key:
			return at
		case b != nil && (e == nil || e.until < b.until):
			best = at
		}
	}
	return best
}

// forget forgets what is remembered for a key, and what is asked for at the moment.
func (t *denials) forget(now bucket.Instant, key string) {
	if t.plant == denyKept {
		return
	}
	s := t.set(ring.Hash(key))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgot = now + 1
	for i := range s.ways {
		if e := s.ways[i].Load(); e != nil && e.key == key {
			s.ways[i].Store(nil)
		}
	}
}

// repeat returns e as the answer to r.
func (e *denial) repeat(now bucket.Instant, r *bucket.Request) bucket.Decision {
	d := e.d
	passed := max(now.Sub(e.made), 0)
	if more := r.Limit.Refill(r.Cost - e.cost); d.RetryAfter != bucket.Never && more != bucket.Never {
		d.RetryAfter = max(d.RetryAfter-passed+more, 1)
	}
	if d.ResetAfter != bucket.Never {
		d.ResetAfter = max(d.ResetAfter-passed, d.RetryAfter)
	}
	d.Source = bucket.FromDenial
	return d
}

// learn returns what is to be remembered of the answer d of a's holder to r, which was asked at sent: a denial, or that nothing is
// left. It is nil if that is nothing, or over by now.
func (n *Node) learn(sent bucket.Instant, p ring.Partition, r *bucket.Request, d *bucket.Decision, a *Answer) *denial {
	wait := heldOff(r, d)
	if wait <= 0 {
		return nil
	}
	v := n.view.Load()
	holder, term := n.core.Route(p)
	if v == nil || holder != a.Holder || term > a.Term || v.table.Target(p) != holder {
		return nil // it has another one, or will have: whoever gives it tokens knows nothing of this node
	}
	e := &denial{
		key: strings.Clone(r.Key), limit: r.Limit, cost: r.Cost, part: p, holder: holder, term: term, table: v.table, made: sent,
		until: sent + bucket.Instant(wait), sure: n.now() + bucket.Instant(wait), d: *d, heard: make(chan struct{}),
	}
	e.turns.Store(1)
	e.limit.Zone = strings.Clone(r.Limit.Zone)
	if n.denials.plant == denyLong {
		e.until += bucket.Instant(wait)
	}
	if e.d.Node = string(holder); d.Allowed {
		e.d.Allowed, e.d.RetryAfter, e.d.Delay = false, d.Short(&r.Limit, r.Cost), 0
	}
	return e
}

// current says whether the holder of e is still the one, as far as this node knows.
func (n *Node) current(e *denial) bool {
	holder, term := n.core.Route(e.part)
	v := n.view.Load()
	return n.denials.plant == denyMoved || holder == e.holder && term == e.term && v != nil && v.table == e.table
}

// recall answers r, whose key has the hash h, from what the holder has denied before, and says whether it can. If that is
// over it waits for whoever asks the holder again already; if nobody does it waits until the denial is over for sure and returns it, and
// whoever asks hands it to heard afterwards, whatever comes of it. It waits until end at most, and for no time once a turn is taken.
func (n *Node) recall(ctx context.Context, h uint64, r *bucket.Request, end bucket.Instant, taken bool) (d bucket.Decision, denied bool, turn *denial) {
	if r.Cost == 0 || r.ID != "" {
		return d, false, nil
	}
	for e := n.denials.find(h, r); e != nil; e = n.denials.find(h, r) {
		if !n.current(e) {
			break
		}
		now := n.now()
		if now < e.until {
			n.repeated(r.Key)
			return e.repeat(now, r), true, nil
		}
		if taken || now >= end {
			break
		}
		if e.turns.Add(-1) >= 0 {
			_ = n.sleep(ctx, min(e.sure, end).Sub(now)) // with an ended ctx the ask ends too
			return d, false, e
		}
		e.waiting.Add(1)
		if !e.await(ctx, end.Sub(now)) {
			break // it asks itself, which finds out what is wrong
		}
		if e.again != nil && r.Cost >= e.again.cost {
			n.repeated(r.Key) // it was denied while r was here
			return e.again.repeat(n.now(), r), true, nil
		}
	}
	return d, false, nil
}

// await waits until it is known what e's asker heard, for that long at most, and says whether it is.
func (e *denial) await(ctx context.Context, most time.Duration) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-e.heard:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// heard remembers next, what came of asking the holder of key at sent, nil if that is nothing. turn is the denial because of which
// it was asked, nil if there was none; left is how many tokens there are.
func (n *Node) heard(h uint64, key string, sent bucket.Instant, turn, next *denial, left int64) {
	keep := next
	if now := n.now(); next != nil && next.until <= now && next.limit.Refill(next.cost) < now.Sub(sent) {
		keep = nil // where tokens come faster than answers all ask
	}
	if turn == nil || !turn.over.CompareAndSwap(false, true) {
		if keep != nil {
			n.denials.put(h, key, keep, nil, sent)
		}
		return
	}
	turn.again = next
	if next == nil && left < turn.cost*(turn.waiting.Load()+1) { // not enough for all who wait: so many of them ask next
		keep = turn.next(max(left/turn.cost, 1))
	}
	n.denials.put(h, key, keep, turn, sent)
	close(turn.heard)
}

// next returns what takes the place of e, which is over: of those who ask now so many go to the holder.
func (e *denial) next(turns int64) *denial {
	f := &denial{
		key: e.key, limit: e.limit, cost: e.cost, part: e.part, holder: e.holder, term: e.term, table: e.table,
		made: e.made, until: e.until, d: e.d, heard: make(chan struct{}),
	}
	f.turns.Store(turns)
	return f
}

// recallAll answers reqs from what is remembered if one of them is denied by that: nobody is asked then, and the others are as
// if they were allowed. Else it may return a turn, as recall does: no more than one, or two could wait for each other.
func (n *Node) recallAll(ctx context.Context, reqs []bucket.Request, end bucket.Instant) (all bucket.Decisions, turn *denial) {
	v := n.view.Load()
	for i := range reqs {
		h := ring.Hash(reqs[i].Key)
		if v == nil || n.core.Holds(v.table.Partition(h)) {
			continue
		}
		d, denied, mine := n.recall(ctx, h, &reqs[i], end, turn != nil)
		if mine != nil {
			turn = mine
		}
		if !denied {
			continue
		}
		n.pass(turn)
		all = make(bucket.Decisions, len(reqs))
		for k := range all {
			all[k].Allowed = true
		}
		all[i] = d
		return all, nil
	}
	return nil, turn
}

// pass leaves turn, if it is one, to the next who waits.
func (n *Node) pass(turn *denial) {
	if turn != nil {
		n.heard(ring.Hash(turn.key), turn.key, n.now(), turn, nil, 0)
	}
}

// remember remembers what w's holders denied, which were asked at sent, and hands on turn, which is nil if there was none.
func (w *whole) remember(sent bucket.Instant, turn *denial) {
	for i := range w.groups {
		g := &w.groups[i]
		if g.ask == nil || g.state != denied && g.state != took {
			continue
		}
		for _, k := range g.reqs {
			r, d := &w.reqs[k], &w.decisions[k]
			mine := turn != nil && turn.key == r.Key
			if !mine && d.Allowed || w.twice(r.Key) {
				continue
			}
			h := ring.Hash(r.Key)
			if d.Allowed {
				w.n.heard(h, r.Key, sent, turn, nil, d.Remaining)
				turn = nil
				continue
			}
			next := w.n.learn(sent, w.v.table.Partition(h), r, d, &g.ask.Answer)
			if mine {
				w.n.heard(h, r.Key, sent, turn, next, d.Remaining)
				turn = nil
				continue
			}
			w.n.heard(h, r.Key, sent, nil, next, 0)
		}
	}
	w.n.pass(turn)
}

// twice says whether more than one request is for key: what is denied then may be allowed alone.
func (w *whole) twice(key string) bool {
	count := 0
	for i := range w.reqs {
		if w.reqs[i].Key == key {
			count++
		}
	}
	return count > 1
}
