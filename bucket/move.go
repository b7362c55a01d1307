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
}

// has says whether there is a partition part.
func (s *Store) has(part int) bool { return uint(part) < uint(len(s.parts)) }

// Hold makes s decide on partition part from now on, after Import if there was something to bring.
func (s *Store) Hold(part int) { s.setFrozen(part, false) }

// Freeze makes s answer ErrMoved for partition part from now on. Its buckets stay, for Export, until Drop.
func (s *Store) Freeze(part int) { s.setFrozen(part, true) }

func (s *Store) setFrozen(part int, frozen bool) {
	if !s.has(part) {
		return
	}
	p := &s.parts[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = frozen
}

// Held says whether s decides on partition part.
func (s *Store) Held(part int) bool {
	if !s.has(part) {
		return false
	}
	p := &s.parts[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.frozen
}

// Drop forgets all buckets of partition part and returns how many there were.
func (s *Store) Drop(part int) int {
	if !s.has(part) {
		return 0
	}
	p := &s.parts[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	dropped := 0
	p.rebuild(
		func(*slot) bool { return false },
		func(sl *slot) { s.drained(sl); s.plans.release(sl.plan); dropped++ },
	)
	s.keys.Add(-int64(dropped))
	return dropped
}

// Export returns the buckets of partition part that are not full. Checks on other partitions go on meanwhile; those on
// this one wait.
func (s *Store) Export(now Instant, part int) []State {
	if !s.has(part) {
		return nil
	}
	p := &s.parts[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	states := make([]State, 0, p.used)
	for i := range p.slots {
		sl := &p.slots[i]
		if sl.tag == 0 {
			continue
		}
		plan := s.plans.at(sl.plan)
		if debt, _ := sl.bucket.missing(now, plan); debt > 0 {
			states = append(states, State{Key: cloned(p.keyOf(sl)), Limit: plan.limit, Debt: debt, Left: plan.left(now, sl.bucket)})
		}
	}
	return states
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
	if !s.has(part) {
		return ErrMoved
	}
	var first error
	for i := range states {
		if err := s.importOne(now, part, &states[i]); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (s *Store) importOne(now Instant, part int, st *State) error {
	if err := CheckKey(st.Key); err != nil {
		return err
	}
	plan, err := s.plans.hold(st.Limit)
	if err != nil {
		return err
	}
	defer s.plans.release(plan)
	for !s.merge(now, part, plan, st) {
		if !s.evict(now) {
			return s.full()
		}
	}
	return nil
}

// merge merges st into the bucket of its key, and says whether there was room.
func (s *Store) merge(now Instant, part int, number uint16, st *State) bool {
	tag := s.tag(st.Key)
	p := &s.parts[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	plan := s.plans.at(number)
	b, slot := s.read(now, p, tag, st.Key, number)
	b.Merge(plan, plan.arrived(now, st))
	if slot < 0 && b.debt > 0 && !s.reserve(1) {
		return false
	}
	s.write(p, tag, st.Key, number, b)
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
		w = p.window(w.end)
	}
	return Bucket{debt: debt, at: w.name}
}
