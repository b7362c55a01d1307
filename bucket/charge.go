package bucket

import "fmt"

// Charge takes r's Cost whether the tokens are there or not (see Bucket.Charge), for what was admitted without the holder.
// The Cost may be more than Burst and MaxCost; the ID is not looked at: who charges takes care to do so once. It returns
// the errors of Take.
func (s *Store) Charge(now Instant, part int, r *Request) error {
	if !s.has(part) {
		return ErrMoved
	}
	plan, err := s.plans.hold(r.Limit)
	if err != nil {
		return err
	}
	defer s.plans.release(plan)
	if r.Limit.Window == Concurrency {
		return nil // nobody is admitted without the holder
	}
	if err := CheckKey(r.Key); err != nil {
		return err
	}
	if r.Cost < 0 {
		return fmt.Errorf("%w: %d, want 0 or more", ErrCost, r.Cost)
	}
	for {
		done, err := s.charge(now, part, plan, r)
		if done || err != nil {
			return err
		}
		if !s.evict(now) {
			return s.noRoom()
		}
	}
}

// charge is Charge for a request that is known to be right, under the plan with that number. It is not done if there is no
// room for a new key.
func (s *Store) charge(now Instant, part int, number uint16, r *Request) (done bool, err error) {
	tag, i := s.tag(part, r.Key), part>>s.width
	sh := &s.shards[i]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.isFrozen(s.number(part)) {
		return false, ErrMoved
	}
	now = max(now, s.seen[i])
	if r.Cost == 0 {
		return true, nil
	}
	rec := s.findOrAdd(now, part, tag, number, r)
	if rec == nil {
		return false, nil
	}
	plan := s.plans.at(number)
	s.firm(now, i, rec)
	b := s.under(now, rec, number)
	b.Charge(now, plan, r.Cost)
	s.rewrite(part, rec, number, b, r.Durability == Ephemeral)
	return true, nil
}
