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

// Hold makes s decide on partition part from now on, after Import if there was something to bring.
func (s *Store) Hold(part int) { s.setFrozen(part, false) }

// Freeze makes s answer ErrMoved for partition part from now on. Its buckets stay, for Export, until Drop.
func (s *Store) Freeze(part int) { s.setFrozen(part, true) }

func (s *Store) setFrozen(part int, frozen bool) {
	p := &s.parts[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = frozen
}

// Held says whether s decides on partition part.
func (s *Store) Held(part int) bool {
	p := &s.parts[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.frozen
}

// Drop forgets all buckets of partition part and returns how many there were.
func (s *Store) Drop(part int) int {
	p := &s.parts[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	dropped := 0
	p.rebuild(func(*slot) bool { return false }, func(sl *slot) { s.plans.release(sl.plan, 1); dropped++ })
	s.keys.Add(-int64(dropped))
	return dropped
}

// Export returns the buckets of partition part that are not full. Checks on other partitions go on meanwhile; those on
// this one wait.
func (s *Store) Export(now Instant, part int) []State {
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
		if _, debt := sl.bucket.missing(now, plan); debt > 0 {
			states = append(states, State{Key: cloned(p.keyOf(sl)), Limit: plan.limit, Debt: debt, Left: plan.left(now, sl.bucket.at)})
		}
	}
	return states
}

// left returns the time until the window name ends, 0 without windows.
func (p *Plan) left(now Instant, name int64) time.Duration {
	if p.opens == nil {
		return 0
	}
	_, end := p.opens(time.Unix(0, name))
	return time.Duration(end.UnixNano() - p.epoch.Load() - int64(now))
}

// Import merges states into partition part: a key that has a bucket already owes the larger of both debts under its own
// limit. It returns the first error: a state that breaks a rule, or ErrFull; the others are imported all the same. The
// partition may be frozen.
func (s *Store) Import(now Instant, part int, states []State) error {
	var first error
	for i := range states {
		if err := s.importOne(now, part, &states[i]); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (s *Store) importOne(now Instant, part int, st *State) error {
	r := Request{Key: st.Key, Limit: st.Limit}
	items := [1]Item{{Partition: part, Request: &r}}
	g := group{s: s, now: now, items: items[:]}
	defer g.release()
	if err := g.prepare(); err != nil {
		return err
	}
	for !g.merge(st) {
		if !s.evict(now) {
			return ErrFull
		}
	}
	return nil
}

// merge merges st into the bucket of the group's one item, and says whether there was room.
func (g *group) merge(st *State) bool {
	p := &g.s.parts[g.parts[0]]
	p.mu.Lock()
	defer p.mu.Unlock()
	plan := g.s.plans.at(g.items[0].plan)
	w := g.bucket(0)
	w.bucket.Merge(g.now, plan, plan.arrived(g.now, st))
	added := int64(0)
	if w.slot < 0 && w.bucket.debt != 0 {
		added = 1
	}
	if added > 0 && g.s.keys.Add(added) > g.s.maxKeys {
		g.s.keys.Add(-added)
		return false
	}
	g.write(&w)
	return true
}

// arrived returns the bucket that st tells of, received at now. The debt of a window counts in the one of this node's
// windows whose end is nearest to the one the sender spoke of.
func (p *Plan) arrived(now Instant, st *State) Bucket {
	debt := min(max(st.Debt, 0), maxDebt)
	if p.opens == nil {
		_, up := p.ticks(now)
		return Bucket{debt: debt, at: up}
	}
	w := p.window(now)
	end := now + Instant(min(max(st.Left, -time.Duration(1<<61)), time.Duration(1<<61)))
	length := w.end - w.begin
	switch {
	case end < w.begin+length/2: // it has ended
		return Bucket{}
	case end > w.end+length/2: // our clock is behind: the window has not begun here
		return Bucket{debt: debt, at: p.window(w.end).name}
	}
	return Bucket{debt: debt, at: w.name}
}
