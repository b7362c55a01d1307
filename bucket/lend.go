package bucket

import (
	"cmp"
	"slices"
	"time"
)

// A Lending says what a node has of what it was lent, and asks for more; and then what came of it.
type Lending struct {
	// To names who borrows.
	To string

	// Serial is larger than in any Lending of To before this one, so that what comes late or twice is not counted.
	Serial uint64

	// Rest is how many tokens To still has, of those that it was lent before; Back how many it gives back besides, and will
	// not spend. What it was lent beyond these is spent. Both are 0 or more.
	Rest, Back int64

	// For is how long To may spend what it has, by its own clock, from when it sent this; more than 0.
	For time.Duration

	// Held is set by Lend: how many tokens the bucket counts as lent to To, and To may spend, from now on: of Rest and new
	// ones. Next is how many besides are set aside for To: it is lent them by its next Lending, if Lent was told of them by
	// then.
	Held, Next int64
}

// What is lent.
const (
	lendBurst = 100     // the least burst of which anything is
	lendLeast = 16      // tokens, at a time
	lendKeys  = 1 << 16 // keys at once
	lendNodes = 1 << 10 // nodes that have a lease of one key at once

	// lendMost is for how long what came with a bucket is lent at most.
	lendMost = 10 * time.Second

	// lendLonger is how much longer than it knows a replica, or who takes the bucket over, takes a lease to last: it may have been
	// made longer a moment ago.
	lendLonger = 250 * time.Millisecond
)

// A lease is tokens that a node was lent: they were taken from the bucket and may be spent elsewhere. The bucket owes
// at least as much as long as they may be, so the level and what is lent are never more than the burst together.
type lease struct {
	to     string // "" for all whose leases came with the bucket
	serial uint64
	want   int64   // tokens that it last wanted to have
	tokens int64   // that it may spend
	next   int64   // tokens that are set aside for it
	aside  uint64  // serial with which they were
	ready  bool    // a replica knows of them
	until  Instant // nothing of it is spent later
}

// all returns the tokens that the bucket may not have.
func (l *lease) all() int64 { return l.tokens + l.next }

// A leaseKey is a key of a partition, by the number that it has in its shard.
type leaseKey struct {
	number uint32
	key    string
}

// leased returns the leaseKey of r, which is good as long as r is.
func (s *Store) leased(r *record) leaseKey { return leaseKey{r.tag >> (32 - s.width), r.key()} }

// leases are those of one key.
type leases struct {
	of    []lease // until ascends
	total int64   // tokens
	line  *shelf  // the key's living reservations, nil without any
}

// Lendable says whether tokens of l's buckets are lent: of steady rates with a large burst and without a queue.
func (l Limit) Lendable() bool {
	return l.Tokens > 0 && l.Queue == 0 && l.Window == None && l.Burst >= lendBurst
}

// Lend lends tokens of r's bucket. ln settles what was lent before; what was set aside for the node is lent to it; and as much
// is set aside that it will have one and a half times r.Cost tokens, if that is no more than its fair share: max-min over
// what all who have a lease want, and what is not lent as if somebody else wanted all of it (Bertsekas and Gallager, Data
// Networks, 6.5.2). Tokens leave the bucket when they are set aside, so that a replica can know of them before anybody spends
// them: see Lent. A Cost of 0 ends the lease. It lasts for a little longer than ln.For on this clock, since clocks differ;
// what is not given back by then is spent. A Lending that comes late has no effect, and its Held is -1 then. d is the level
// afterwards.
//
// Nothing is lent where Lendable says so, nor little, nor of buckets that are nearly empty. It returns the errors of Take.
func (s *Store) Lend(now Instant, part int, r *Request, ln *Lending) (d Decision, err error) {
	if !s.has(part) {
		return d, ErrMoved
	}
	number, err := s.plans.hold(r.Limit)
	if err != nil {
		return d, err
	}
	defer s.plans.release(number)
	if err := r.check(); err != nil {
		return d, err
	}
	for {
		done, err := s.lend(now, part, number, r, ln, &d)
		if done || err != nil {
			return d, err
		}
		if !s.evict(now) {
			return d, s.noRoom()
		}
	}
}

// Lent tells that a replica knows, or none need know, of what was set aside for ln.To by ln, a Lending of key in
// partition part: its next Lending brings it.
func (s *Store) Lent(part int, key string, ln *Lending) {
	if !s.has(part) {
		return
	}
	sh := s.shard(part)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if r := sh.find(s.tag(part, key), key); r != nil && r.bits&lent != 0 {
		ls := s.leases[part>>s.width][s.leased(r)]
		if k := ls.find(ln.To); k >= 0 && ls.of[k].aside <= ln.Serial { // a later replica knows of it too
			ls.of[k].ready = true
		}
	}
}

// lend is Lend for a request that is known to be right, under the plan with that number. It is not done if there is no room
// for a new key.
func (s *Store) lend(now Instant, part int, number uint16, r *Request, ln *Lending, d *Decision) (done bool, err error) {
	tag, i := s.tag(part, r.Key), part>>s.width
	sh := &s.shards[i]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.isFrozen(s.number(part)) {
		return false, ErrMoved
	}
	now = max(now, s.seen[i])
	if (r.Cost == 0 || !r.Limit.Lendable()) && sh.find(tag, r.Key) == nil {
		return true, nil
	}
	if most := s.limitKeys; most > 0 && s.plans.at(number).keys.Load() >= most && sh.find(tag, r.Key) == nil {
		return true, nil // it shares a bucket, of which nothing is lent
	}
	rec := s.findOrAdd(now, part, tag, number, r)
	if rec == nil {
		return false, nil
	}
	s.firm(now, i, rec)
	end := r.Cost == 0 || rec.plan() != number || !r.Limit.Lendable() // it is under another limit now, which this does not change
	plan := s.plans.at(rec.plan())
	if ls := s.leasesOf(i, rec, end); ls != nil {
		if !ls.settle(now, plan, &rec.bucket, ln, end) {
			return true, nil
		}
		if !end {
			ls.lend(now, plan, &rec.bucket, ln, r.Cost)
		}
		s.note(part, rec, lowered)
		s.firm(now, i, rec)
	}
	rec.bucket.take(now, plan, 0, d)
	return true, nil
}

// leasesOf returns the leases of r, which is in shard i: where it has none nil if it is to have none, or too many keys have, and
// else new ones.
func (s *Store) leasesOf(i int, r *record, none bool) *leases {
	switch {
	case r.bits&lent != 0:
		return s.leases[i][s.leased(r)]
	case none || s.lentKeys.Load() >= lendKeys:
		return nil
	}
	return s.newLeases(i, r)
}

// newLeases makes leases for r, which is in shard i and has none.
func (s *Store) newLeases(i int, r *record) *leases {
	if s.leases[i] == nil {
		s.leases[i] = make(map[leaseKey]*leases)
	}
	ls, of := new(leases), s.leased(r)
	of.key = cloned(of.key)
	s.leases[i][of] = ls
	s.lentKeys.Add(1)
	r.bits |= lent
	return ls
}

// forget forgets the leases of r, in shard i: all that was lent is spent.
func (s *Store) forget(i int, r *record) {
	if r.bits&lent == 0 {
		return
	}
	s.cutLine(i, r)
	delete(s.leases[i], s.leased(r))
	s.lentKeys.Add(-1)
	r.bits &^= lent
}

// firm makes the bucket of r, in shard i, owe what is lent of it, forgets the leases that are over, and notes for its
// reservations what it owes: before anything is taken.
func (s *Store) firm(now Instant, i int, r *record) {
	if r.bits&lent == 0 {
		return
	}
	ls, plan := s.leases[i][s.leased(r)], s.plans.at(r.plan())
	if plan.opens == nil {
		ls.pass(now, plan, &r.bucket)
	} else {
		ls.of, ls.total = nil, 0 // it has a window now: what is lent counts as spent in that
	}
	s.firmLine(now, plan, r, ls)
	if len(ls.of) == 0 && ls.line == nil {
		s.forget(i, r)
	}
}

// missing returns the units that r, in shard i, misses to be full.
func (s *Store) missing(now Instant, i int, r *record) int64 {
	s.firm(now, i, r)
	units, _ := r.bucket.missing(now, s.plans.at(r.plan()))
	return units
}

// pass lets b refill until now, so that it owes what is lent at each moment before.
func (ls *leases) pass(now Instant, p *Plan, b *Bucket) {
	for len(ls.of) > 0 && ls.of[0].until <= now {
		b.owe(ls.of[0].until, p, ls.total)
		ls.total -= ls.of[0].all()
		ls.of = slices.Delete(ls.of, 0, 1)
	}
	b.owe(now, p, ls.total)
}

// owe makes b, under a plan without windows, owe at least so many tokens at now.
func (b *Bucket) owe(now Instant, p *Plan, tokens int64) {
	units := p.cost(tokens)
	if debt, at := b.owed(now, p); debt < units {
		b.debt, b.at = p.late(now, units, at)
	}
}

// find returns the index of to's lease, -1 if it has none.
func (ls *leases) find(to string) int {
	return slices.IndexFunc(ls.of, func(l lease) bool { return l.to == to })
}

// settle notes what ln says that is left of its lease, and ends that if it is to end. It is false if ln comes late. b owes
// what is lent.
func (ls *leases) settle(now Instant, p *Plan, b *Bucket, ln *Lending, end bool) bool {
	ln.Held, ln.Next = 0, 0
	k := ls.find(ln.To)
	if k < 0 {
		return true
	}
	l := &ls.of[k]
	if l.serial >= ln.Serial {
		ln.Held = -1
		return false
	}
	back := min(max(ln.Back, 0), l.tokens)
	ls.total -= l.all()
	l.tokens, l.serial = min(max(ln.Rest, 0), l.tokens-back), ln.Serial
	if end {
		back += l.next // nobody has it yet
		ls.of = slices.Delete(ls.of, k, k+1)
	} else {
		ls.total += l.all()
	}
	debt, at := b.owed(now, p)
	b.debt, b.at = max(debt-p.cost(back), 0), at
	return true
}

// lend gives ln.To what was set aside for it, and sets aside so much that it has one and a half times want.
func (ls *leases) lend(now Instant, p *Plan, b *Bucket, ln *Lending, want int64) {
	until := now + Instant(ln.For+ln.For/8)
	k := ls.find(ln.To)
	if k < 0 {
		if len(ls.of) >= lendNodes {
			return
		}
		k, ls.of = len(ls.of), append(ls.of, lease{to: cloned(ln.To), serial: ln.Serial})
	}
	l := &ls.of[k]
	want += want / 2
	l.want, l.until = want, max(l.until, until)
	if l.ready {
		l.tokens, l.next, l.ready = l.all(), 0, false
	}
	debt, at := b.owed(now, p)
	level := p.tokens(debt)
	if more := min(min(want, ls.fair(level, want))-l.all(), level); more >= lendLeast && l.next == 0 {
		l.next, l.aside = more, ln.Serial
		ls.total += more
		b.debt, b.at = debt+more*p.p, at
	}
	ln.Held, ln.Next = l.tokens, l.next
	ls.sort()
}

// fair returns the most tokens that one who wants as much may have of what is there and what is lent, so that nobody has
// less who wants more. What is there is wanted by one more.
func (ls *leases) fair(level, want int64) int64 {
	left, sharers := level+ls.total, int64(1)
	wants := make([]int64, 0, len(ls.of))
	for i := range ls.of {
		if l := &ls.of[i]; l.to == "" {
			left -= l.all()
		} else {
			wants = append(wants, l.want)
			sharers++
		}
	}
	slices.Sort(wants)
	for _, w := range wants {
		if w > left/sharers {
			break
		}
		if w >= want {
			return want
		}
		left -= w
		sharers--
	}
	return left / sharers
}

// end takes the lease of to away, of which nothing is left.
func (ls *leases) end(to string) {
	if k := ls.find(to); k >= 0 {
		ls.total -= ls.of[k].all()
		ls.of = slices.Delete(ls.of, k, k+1)
	}
}

func (ls *leases) sort() {
	slices.SortStableFunc(ls.of, func(a, b lease) int { return cmp.Compare(a.until, b.until) })
}

// came notes that so many tokens of r, in shard i, are lent for that long, as st says, which brought the bucket. exactly says
// that no more are.
func (s *Store) came(now Instant, i int, r *record, st *State, exactly bool) {
	if st.Lent <= 0 && (!exactly || r.bits&lent == 0) {
		return
	}
	if s.plans.at(r.plan()).opens != nil {
		return
	}
	ls := s.leases[i][s.leased(r)]
	if r.bits&lent == 0 {
		ls = s.newLeases(i, r)
	}
	l := lease{tokens: min(max(st.Lent, 0), MaxBurst), until: now + Instant(min(max(st.LentFor, 0), lendMost))}
	if k := ls.find(""); k >= 0 {
		if was := ls.of[k]; !exactly {
			l.tokens, l.until = max(l.tokens, was.tokens), max(l.until, was.until)
		}
		ls.end("")
	}
	if l.tokens > 0 {
		ls.of, ls.total = append(ls.of, l), ls.total+l.tokens
		ls.sort()
	}
	s.firm(now, i, r)
}

// lentOf returns how many tokens of r, in shard i, are lent, and for how long, as others are to take it.
func (s *Store) lentOf(now Instant, i int, r *record) (tokens int64, left time.Duration) {
	if r.bits&lent == 0 {
		return 0, 0
	}
	ls := s.leases[i][s.leased(r)]
	if ls.total == 0 {
		return 0, 0
	}
	return ls.total, ls.of[len(ls.of)-1].until.Sub(now) + lendLonger
}
