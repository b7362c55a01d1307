package bucket

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// Give gives r's Cost tokens back to the bucket of its key, for who was charged for more than it came to and has no reservation:
// up to full, or to what is lent of it, and no further. It answers how many tokens came back, rounded up, and what is there now.
//
// The Cost may be more than Burst. With an ID it gives once: a second one with the same ID and Key is answered as the first was, and
// gives nothing; it is no matter if a Take had the same ID. Where requests wait for their turn (see Limit.Queue) nothing comes back
// as long as one does, because a turn that was told cannot be made an earlier one. What the key has under another limit it has under
// r's from then on, as with Take. Slots of a Concurrency limit are given back by a Settlement, so they are an error that wraps
// ErrLimit; the others are those of Take.
func (s *Store) Give(now Instant, part int, r *Request) (given int64, d Decision, err error) {
	err = s.withRoom(now, part, r, func(number uint16) (done bool, err error) {
		given, done, err = s.give(now, part, number, r, &d)
		return done, err
	})
	return given, d, err
}

// withRoom calls try, for r in partition part under the plan with the number that it is given, until it is done, and makes room for
// a new key before each further time.
func (s *Store) withRoom(now Instant, part int, r *Request, try func(number uint16) (done bool, err error)) error {
	if !s.has(part) {
		return ErrMoved
	}
	if err := r.CheckGive(); err != nil {
		return err
	}
	number, err := s.plans.hold(r.Limit)
	if err != nil {
		return err
	}
	defer s.plans.release(number)
	for {
		if done, err := try(number); done || err != nil {
			return err
		}
		if !s.evict(now) {
			return s.noRoom()
		}
	}
}

// CheckGive returns an error that wraps ErrKey, ErrLimit, ErrCost, ErrID or ErrReserve if r is not one that gives back.
func (r *Request) CheckGive() error {
	if err := r.Limit.Validate(); err != nil {
		return err
	}
	if r.Limit.Window == Concurrency {
		return fmt.Errorf("%w: %q: tokens given back, want its reservations settled: that gives slots back", ErrLimit, r.Limit)
	}
	if r.Reserve != 0 {
		return fmt.Errorf("%w: for %v, want 0 where tokens are given back", ErrReserve, r.Reserve)
	}
	check := *r
	check.Cost = min(r.Cost, r.Limit.Burst)
	if r.Cost > MaxCost {
		return fmt.Errorf("%w: %d, want at most %d", ErrCost, r.Cost, MaxCost)
	}
	return check.check()
}

// give is Give for a request that is known to be right, under the plan with that number. It is not done if there is no room for a
// new key.
func (s *Store) give(now Instant, part int, number uint16, r *Request, d *Decision) (given int64, done bool, err error) {
	tag, i := s.tag(part, r.Key), part>>s.width
	sh := &s.shards[i]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.isFrozen(s.number(part)) {
		return 0, false, ErrMoved
	}
	now = max(now, s.seen[i])
	once := Request{Key: r.Key, ID: GiveID(r.ID), Cost: r.Cost}
	if was, ok := s.ids.recall(now, part, &once); ok {
		*d = was
		return 0, true, nil
	}
	plan := s.plans.at(number)
	rec := sh.find(tag, r.Key)
	if rec == nil { // it is full, or begins empty
		first := s.first(now, part, plan, r.ColdStart)
		if first.debt == 0 && r.ID == "" {
			first.take(now, plan, 0, d)
			return 0, true, nil
		}
		if rec = s.findOrAdd(now, part, tag, number, r); rec == nil {
			return 0, false, nil
		}
	}
	s.firm(now, i, rec)
	bucket := s.under(now, rec, number)
	s.rewrite(part, rec, number, bucket, r.Durability == Ephemeral)
	units := rec.bucket.give(now, plan, min(plan.cost(r.Cost), s.givable(now, i, rec, plan)))
	if units > 0 {
		s.reliefs.forget(tag, plan, units)
		s.firm(now, i, rec)
	}
	rec.bucket.take(now, plan, 0, d)
	s.ids.remember(now, part, &once, d)
	if r.Durability != Ephemeral {
		s.note(part, rec, lowered)
		if once.ID != "" && r.Cost > 0 {
			s.tellID(part, rec, once.ID)
		}
	}
	return int64(plan.roundUp(units)), true, nil
}

// givable returns the most units that may be given back to r, of shard i, under plan p: what it owes besides what is lent, which is
// nothing where requests wait for their turn.
func (s *Store) givable(now Instant, i int, r *record, p *Plan) int64 {
	units, _ := r.bucket.missing(now, p)
	if units > p.empty && p.line > p.empty {
		return 0
	}
	if r.bits&lent != 0 {
		units -= p.cost(s.leases[i][s.leased(r)].total)
	}
	return max(units, 0)
}

// GiveID returns the id under which it is remembered that tokens were given back by a request with id: another one than that of a
// request that takes some.
func GiveID(id string) string {
	switch {
	case id == "":
		return ""
	case len(id) < MaxID:
		return "\x00" + id
	}
	sum := sha256.Sum256([]byte(id))
	return "\x00#" + base64.RawURLEncoding.EncodeToString(sum[:])
}
