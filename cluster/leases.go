package cluster

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/ring"
)

// leases are the tokens that holders have lent to this node, so that a hot key costs its holder nothing: what they pay for
// is admitted here, in memory. A key has one once many of its checks go to its holder. It is asked for in the background,
// for some time ahead, and again when half of it is spent; what is not used is given back.
//
// They are a table of sets of four, found by the hash of the key; reading it takes no lock. A key that finds its set full
// has none.
type leases struct {
	sets   []leaseSet
	heat   heat
	wishes chan wish
	spent  atomic.Uint64 // checks that were admitted by leases that are over
	count  atomic.Int64  // of those there are

	mu     sync.Mutex
	active []*lease // in the sets; guarded by mu
}

type leaseSet [leaseWays]atomic.Pointer[lease]

const (
	leaseSets = 1 << 9
	leaseWays = 4

	// leaseAhead is for how long a lease is to last: half of it is spent when more is asked for.
	leaseAhead = 200 * time.Millisecond

	// leasePause is how long a node whose holder has lent it less than it wanted waits before it asks again.
	leasePause = 50 * time.Millisecond

	// leaseSoon is when a node asks again that was lent nothing yet of what is set aside for it.
	leaseSoon = 5 * time.Millisecond

	// leaseAge is when a lease is asked for again that is not spent by half, while that may still be heard in time.
	leaseAge = core.LeaseFor / 2

	// leaseFirst is the most checks for which the first lease of a key is. Each is for twice as many at most.
	leaseFirst = 256
)

// A lease is what this node was lent of one key.
type lease struct {
	hash    uint64
	part    ring.Partition
	request bucket.Request // its Key, Limit and what else is always the same
	plan    *bucket.Plan   // of its Limit

	holder atomic.Pointer[ring.Member]
	level  atomic.Int64 // what the holder had when it was asked last
	low    atomic.Int64 // with less it is time to ask for more
	next   atomic.Int64 // Instant before which it is not

	// What each check writes has a line of the cache of its own.
	_ [64]byte
	core.Lease
	spends atomic.Uint64 // checks that were admitted by it
	missed atomic.Uint64 // checks for which it had too little
	_      [64]byte

	busy  atomic.Bool    // it is being asked for, or given back; who has set it has what follows
	over  bool           // it is given back
	soon  time.Duration  // how long it was waited for what is set aside
	asked bucket.Instant // when the holder was asked last, and answered
	tries uint64         // spends and missed of then; more than that at first
	had   int64          // what the lease had then
	size  int64          // tokens that are wanted
}

func (t *leases) init() { t.sets, t.wishes = make([]leaseSet, leaseSets), make(chan wish, leaseSets) }

// set returns where a key with the hash h is. Partitions are made of the low bits.
func (t *leases) set(h uint64) *leaseSet { return &t.sets[h>>40%leaseSets] }

// find returns the lease of key, whose hash is h, nil if there is none.
func (s *leaseSet) find(h uint64, key string) *lease {
	for i := range s {
		if l := s[i].Load(); l != nil && l.hash == h && l.request.Key == key {
			return l
		}
	}
	return nil
}

// room says whether there is a place for key, whose hash is h, and no lease of it yet.
func (s *leaseSet) room(h uint64, key string) (room bool) {
	for i := range s {
		room = room || s[i].Load() == nil
	}
	return room && s.find(h, key) == nil
}

// spend admits r, whose key has the hash h, by what this node was lent, and says whether it could. Then *d, which is zero, is the
// decision.
func (n *Node) spend(h uint64, r *bucket.Request, d *bucket.Decision) bool {
	l := n.leases.set(h).find(h, r.Key)
	if l == nil {
		return false
	}
	_, ok := n.spendOf(l, r, d)
	return ok
}

// spendOf is spend with what was lent of r's key, and returns for Return in which round that was.
func (n *Node) spendOf(l *lease, r *bucket.Request, d *bucket.Decision) (round core.Round, ok bool) {
	if r.Cost <= 0 || r.ID != "" || !l.plan.Is(&r.Limit) || r.Durability != l.request.Durability {
		return 0, false
	}
	now := n.now()
	left, round, ok := l.Spend(now, r.Cost)
	if left < l.low.Load() && int64(now) >= l.next.Load() {
		n.lease(l, false)
	}
	if !ok {
		l.missed.Add(1)
		return 0, false
	}
	if l.spends.Add(1)%hotEvery == 0 {
		n.hot.leased.Add(r.Key, hotEvery)
	}
	d.Allowed, d.Source, d.Node = true, bucket.FromLease, string(*l.holder.Load())
	d.Remaining = min(min(left, r.Limit.Burst)+l.level.Load(), r.Limit.Burst-r.Cost)
	d.ResetAfter = l.plan.Refill(r.Limit.Burst - d.Remaining)
	return round, true
}

// warm notes that the holder of p has admitted r, whose key has the hash h, at now, and gets a lease if that happens often.
func (n *Node) warm(now bucket.Instant, h uint64, p ring.Partition, r *bucket.Request, d *bucket.Decision) {
	if !d.Allowed || d.Degraded || r.Cost <= 0 || r.ID != "" || r.Durability == bucket.Sync || !r.Limit.Lendable() {
		return
	}
	count := n.leases.heat.add(now, h)
	if count < leaseAfter || n.leaving.Load() || !n.leases.set(h).room(h, r.Key) {
		return
	}
	plan, err := bucket.NewPlan(r.Limit, time.Unix(0, 0))
	if err != nil { // the holder thinks otherwise
		return
	}
	l := &lease{hash: h, part: p, request: *r, plan: plan, size: min(max(count, leaseAfter), leaseFirst) * r.Cost}
	l.request.Key = strings.Clone(r.Key)
	l.asked, l.tries = now, 1
	if n.leases.add(l) {
		n.lease(l, false)
	}
}

// add puts l into its set, and says whether there was a place.
func (t *leases) add(l *lease) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.set(l.hash)
	if s.find(l.hash, l.request.Key) != nil {
		return false
	}
	for i := range s {
		if s[i].Load() == nil {
			s[i].Store(l)
			t.active = append(t.active, l)
			t.count.Add(1)
			return true
		}
	}
	return false
}

// remove takes l out of its set. Who found it before may spend of it yet.
func (t *leases) remove(l *lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.set(l.hash)
	for i := range s {
		s[i].CompareAndSwap(l, nil)
	}
	for i := range t.active {
		if t.active[i] == l {
			t.active[i] = t.active[len(t.active)-1]
			t.active[len(t.active)-1] = nil
			t.active = t.active[:len(t.active)-1]
			t.count.Add(-1)
			break
		}
	}
	t.spent.Add(l.spends.Load())
}

// list returns the leases there are.
func (t *leases) list() []*lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]*lease(nil), t.active...)
}

// checks returns how many checks were admitted by leases.
func (t *leases) checks() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.spent.Load()
	for _, l := range t.active {
		all += l.spends.Load()
	}
	return all
}

// A wish is a lease to be asked for, or given back. Who makes it has set the lease's busy.
type wish struct {
	l   *lease
	end bool
}

// lease makes l be asked for, or given back, unless that is under way. It does not block: too many at once wait for their next
// check.
func (n *Node) lease(l *lease, end bool) {
	if l.busy.Swap(true) {
		return
	}
	select {
	case n.leases.wishes <- wish{l, end}:
	default:
		l.busy.Store(false)
	}
}

// borrow asks for leases and gives them back until ctx ends.
func (n *Node) borrow(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case w := <-n.leases.wishes:
			n.holding.beside(func() {
				defer w.l.busy.Store(false)
				n.renew(ctx, w.l, w.end)
			})
		}
	}
}

// renew asks l's holder for more, or gives l back.
func (n *Node) renew(ctx context.Context, l *lease, end bool) {
	if l.over {
		return
	}
	sent := n.now()
	want := int64(0)
	if !end {
		want = l.resize(sent)
	}
	a := n.newAsk(OpLend)
	a.Checks = append(a.Checks, Check{Partition: l.part, Request: l.request})
	a.Checks[0].Request.Cost = want
	a.Hold = n.lastHold.Add(1)
	if want == 0 { // the next lease of the key asks later, and so with a larger Hold
		l.over = true
		n.leases.remove(l)
	}
	if want > 0 {
		a.Rest = l.Report(sent)
	} else if a.Back = l.End(sent); a.Back == 0 {
		n.free(a)
		return
	}
	patience := n.patience(ctx)
	rest := a.Rest
	switch err := n.ask(ctx, a, l.part, &patience); {
	case want == 0:
	case err == nil:
		l.answered(sent, rest, want, n.now(), a)
	default:
		l.next.Store(int64(n.now()) + int64(leasePause))
		if errors.Is(err, errSelf) { // the key is this node's now, with all that is lent of it
			l.over = true
			n.leases.remove(l)
		}
	}
	if ctx.Err() == nil { // else it may be the transport's yet
		n.free(a)
	}
}

// answered notes what a has brought, which was sent then with that rest.
func (l *lease) answered(sent bucket.Instant, rest, want int64, now bucket.Instant, a *Ask) {
	holder := a.Answer.Holder
	l.holder.Store(&holder)
	l.level.Store(min(a.Checks[0].Decision.Remaining, l.request.Limit.Burst))
	l.Answered(sent, rest, a.Answer.Held) // from here on it is spent
	l.asked, l.had = sent, l.Left()
	l.low.Store(max(want/2, 1))
	next := int64(now)
	switch {
	case a.Answer.Held >= want:
	case a.Answer.Held <= rest && a.Answer.Next > 0: // it needs a moment until it may be had
		l.soon = min(max(2*l.soon, leaseSoon), leasePause)
		next += int64(l.soon)
	default:
		next += int64(leasePause)
	}
	if a.Answer.Held > rest {
		l.soon = 0
	}
	l.next.Store(next)
}

// resize returns how many tokens are wanted, by what was spent since the holder was asked last: as many as last for leaseAhead,
// but no more than twice as many as the last time, and no less than half. It is 0 if nobody has asked for any since.
func (l *lease) resize(now bucket.Instant) int64 {
	tries := l.spends.Load() + l.missed.Load()
	if tries == l.tries {
		return 0
	}
	l.tries = tries
	if l.holder.Load() == nil {
		return min(l.size, l.request.Limit.Burst)
	}
	left := l.Left()
	if now >= l.Until() {
		left = 0
	}
	spent := max(l.had-left, 0)
	past := max(now.Sub(l.asked), time.Microsecond)
	aim := float64(spent) * float64(leaseAhead) / float64(past)
	if left < l.request.Cost {
		aim = float64(2 * l.size) // who knows how many more there would have been
	}
	l.size = int64(min(max(aim, float64(l.size)/2, leaseAfter), 2*float64(l.size), float64(l.request.Limit.Burst)))
	return l.size
}

// keepLeases asks for what is lent again before it is over, and gives back what is not used. It does not block.
func (n *Node) keepLeases() {
	if n.leases.count.Load() == 0 {
		return
	}
	now := n.now()
	for _, l := range n.leases.list() {
		if l.busy.Swap(true) {
			continue
		}
		due := !l.over && now.Sub(l.asked) >= leaseAge && int64(now) >= l.next.Load()
		l.busy.Store(false)
		if due {
			n.lease(l, n.core.Holds(l.part))
		}
	}
}

// endLeases gives back what this node was lent, and waits until that is done or ctx ends.
func (n *Node) endLeases(ctx context.Context) {
	var all sync.WaitGroup
	for _, l := range n.leases.list() {
		if !l.busy.Swap(true) {
			all.Go(func() {
				defer l.busy.Store(false)
				n.renew(ctx, l, true)
			})
		}
	}
	all.Wait()
}
