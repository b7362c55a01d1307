package bucket

import "time"

// A State is one bucket on its way between stores: amounts and durations only, no clock readings.
type State struct {
	Key   string
	Limit Limit

	// Debt is what the bucket misses to be full, in the units of its limit (see the package comment), which are the same
	// on all nodes. It counts from when the state is received: the time on the way is the caller's loss.
	Debt int64

	// Left is, for limits with a window, the time until the window ends.
	Left time.Duration

	// Lent is how many tokens, of those that the bucket misses, others may spend for LentFor yet (see Store.Lend).
	Lent    int64
	LentFor time.Duration
}

// Hold makes s decide on partition part from now on, after Import if there was something to bring. Its buckets do not count
// as changed by that: whoever is to keep the partition's replica needs all of them, by Export or after TouchAll.
func (s *Store) Hold(part int) { s.setFrozen(part, false) }

// Freeze makes s answer ErrMoved for partition part from now on. Its buckets stay, for Export, until Drop; that they
// changed is forgotten.
func (s *Store) Freeze(part int) { s.setFrozen(part, true) }

func (s *Store) setFrozen(part int, frozen bool) {
	if !s.has(part) {
		return
	}
	sh := s.shard(part)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	switch bit := uint16(1) << s.number(part); {
	case frozen:
		sh.frozen |= bit
		s.unlist(part)
		s.untell(part>>s.width, s.number(part))
		s.ids.untellPart(part)
	case sh.frozen&bit != 0:
		sh.frozen &^= bit
	}
}

// Held says whether s decides on partition part.
func (s *Store) Held(part int) bool {
	if !s.has(part) {
		return false
	}
	sh := s.shard(part)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return !sh.isFrozen(s.number(part))
}

// Drop forgets all buckets of partition part, its request ids and reservations, and that it is cold. It returns how many buckets there were.
// Their memory is free after a Sweep.
func (s *Store) Drop(part int) int {
	if !s.has(part) {
		return 0
	}
	s.ids.drop(part)
	s.cold.set(part, 0, false)
	sh := s.shard(part)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	records := sh.of(s.number(part), s.width)
	for _, r := range records {
		s.drop(part>>s.width, r)
	}
	s.strikeAll(part)
	return len(records)
}

// Export returns the buckets of partition part that are not full, or would begin empty without one (see SetCold).
// Checks on other partitions go on meanwhile, but for its neighbours; those on this one wait.
func (s *Store) Export(now Instant, part int) []State {
	if !s.has(part) {
		return nil
	}
	sh := s.shard(part)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	records := sh.of(s.number(part), s.width)
	states := make([]State, 0, len(records))
	for _, r := range records {
		debt := s.missing(now, part>>s.width, r)
		if debt > 0 || s.isCold(now, part>>s.width, r) {
			states = append(states, s.state(now, part>>s.width, r, debt))
		}
	}
	return states
}

// State returns the bucket of key in partition part, and whether it has one that is not full. The partition may be frozen.
func (s *Store) State(now Instant, part int, key string) (State, bool) {
	if !s.has(part) {
		return State{}, false
	}
	sh := s.shard(part)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	r := sh.find(s.tag(part, key), key)
	if r == nil {
		return State{}, false
	}
	debt := s.missing(now, part>>s.width, r)
	if debt == 0 {
		return State{}, false
	}
	return s.state(now, part>>s.width, r, debt), true
}

// state returns r, of shard i, which misses debt.
func (s *Store) state(now Instant, i int, r *record, debt int64) State {
	plan := s.plans.at(r.plan())
	st := State{Key: cloned(r.key()), Limit: plan.limit, Debt: debt}
	if debt > 0 {
		st.Left = plan.left(now, r.bucket)
		st.Lent, st.LentFor = s.lentOf(now, i, r)
	}
	return st
}

// left returns the time until the window of b ends, 0 without windows.
func (p *Plan) left(now Instant, b Bucket) time.Duration {
	if p.opens == nil {
		return 0
	}
	return p.named(p.window(now), b.at).end.Sub(now)
}

// Import merges states into partition part: a key that has a bucket already owes the larger of both debts, under the
// limit of its state. It returns the first error: one that wraps ErrKey or ErrLimit for a state that breaks a rule, ErrFull,
// or ErrMoved if there is no such partition; the others are imported all the same. The partition may be frozen.
func (s *Store) Import(now Instant, part int, states []State) error {
	return s.importAll(now, part, states, s.merge)
}

// Replace is Import, but that a key owes what its state says also if it owed more. It is for Changes that say so, in the
// order in which they were made.
func (s *Store) Replace(now Instant, part int, states []State) error {
	return s.importAll(now, part, states, s.replace)
}

// An importer puts a state, whose plan has that number, into a partition, and says whether there was room.
type importer func(now Instant, part int, plan uint16, st *State) bool

func (s *Store) importAll(now Instant, part int, states []State, do importer) error {
	if !s.has(part) {
		return ErrMoved
	}
	var first error
	for i := range states {
		if err := s.importOne(now, part, &states[i], do); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (s *Store) importOne(now Instant, part int, st *State, do importer) error {
	if err := CheckKey(st.Key); err != nil {
		return err
	}
	plan, err := s.plans.hold(st.Limit)
	if err != nil {
		return err
	}
	defer s.plans.release(plan)
	for !do(now, part, plan, st) {
		if !s.evict(now) {
			return s.noRoom()
		}
	}
	return nil
}

// Follow is Import of what comes from who decides on the partition, for who keeps its replica: states of one story, each a later
// one of the same bucket. Import takes them for copies that went apart: of two it does not know what the one that owes less
// has reserved, and gives nothing back of that.
func (s *Store) Follow(now Instant, part int, states []State) error {
	return s.importAll(now, part, states, s.follow)
}

// merge merges st into the bucket of its key.
func (s *Store) merge(now Instant, part int, number uint16, st *State) bool {
	return s.mergeOne(now, part, number, st, true)
}

func (s *Store) follow(now Instant, part int, number uint16, st *State) bool {
	return s.mergeOne(now, part, number, st, false)
}

// mergeOne is merge of a copy that went apart, or follow.
func (s *Store) mergeOne(now Instant, part int, number uint16, st *State, apart bool) bool {
	tag := s.tag(part, st.Key)
	sh := s.shard(part)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	plan := s.plans.at(number)
	b := plan.arrived(now, st)
	if plan.slots {
		return true // its reservations are the whole of it
	}
	if r := sh.find(tag, st.Key); r != nil {
		s.firm(now, part>>s.width, r)
		had := s.under(now, r, number)
		if had.mergeAt(now, plan, b); apart && had != r.bucket {
			s.cutLine(part>>s.width, r)
		}
		s.rewrite(part, r, number, had, false)
		s.came(now, part>>s.width, r, st, false)
		return true
	}
	return s.bring(now, part, tag, number, st, b)
}

// replace makes st the bucket of its key.
func (s *Store) replace(now Instant, part int, number uint16, st *State) bool {
	tag := s.tag(part, st.Key)
	sh := s.shard(part)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	b := s.plans.at(number).arrived(now, st)
	if s.plans.at(number).slots {
		return true
	}
	if r := sh.find(tag, st.Key); r != nil {
		before := s.missing(now, part>>s.width, r)
		s.drained(r)
		s.rewrite(part, r, number, b, true)
		s.lowered(now, part>>s.width, r, before)
		s.came(now, part>>s.width, r, st, true)
		s.note(part, r, lowered)
		return true
	}
	return s.bring(now, part, tag, number, st, b)
}

// bring makes b the bucket of st's key, which has none, and says whether there was room.
func (s *Store) bring(now Instant, part int, tag uint32, number uint16, st *State, b Bucket) bool {
	if b.debt == 0 && !s.cold.has(part) {
		return true
	}
	if !s.reserve(1) {
		return false
	}
	r := s.add(part, tag, st.Key, number, b)
	s.came(now, part>>s.width, r, st, false)
	s.note(part, r, 0)
	return true
}

// arrived returns the bucket that st tells of, received at now.
func (p *Plan) arrived(now Instant, st *State) Bucket {
	b, debt := Bucket{}, min(max(st.Debt, 0), maxDebt)
	switch {
	case debt == 0:
	case p.opens == nil:
		b.charge(now, p, 0, p.floor(now), debt)
	default:
		b = p.arrivedIn(p.window(now), now, st.Left, debt)
	}
	return b
}

// arrivedIn returns a bucket with the debt of a window that ends in left on the sender's clock: in the one of this node's
// windows that ends nearest to that, w, the one before or the one after.
func (p *Plan) arrivedIn(w *span, now Instant, left time.Duration, debt int64) Bucket {
	half := w.end.Sub(w.begin) / 2
	switch early := w.end.Sub(now) - max(left, 0); {
	case early > half: // it has ended
		return Bucket{}
	case early < -half: // our clock is behind: it has not begun here
		w = p.spanAt(w.epoch, w.epoch+int64(w.end))
	}
	return Bucket{debt: debt, at: w.name}
}
