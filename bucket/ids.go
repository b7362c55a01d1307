package bucket

import (
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// Remembered is a request id that was charged, on its way between stores.
type Remembered struct {
	Key, ID  string
	Decision Decision      // what the request was answered by; allowed
	Age      time.Duration // since then

	// Gone says that the id is not remembered any more, because what it was charged for was given back: there is no Decision.
	Gone bool
}

// ExportIDs returns the request ids of partition part that are remembered, in the order in which they came. The
// partition may be frozen.
func (s *Store) ExportIDs(now Instant, part int) []Remembered {
	m := &s.ids
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []Remembered
	m.each(part, func(c *memo) {
		if age := now.Sub(c.at); age <= m.age {
			ids = append(ids, Remembered{Key: c.k.key, ID: c.k.id, Decision: c.decision, Age: max(0, age)})
		}
	})
	slices.Reverse(ids)
	return ids
}

// ImportIDs makes s answer requests with these ids in partition part as they were answered before. An id that is
// remembered already stays as it is, one that is older than IDAge is left out, and one that is Gone is forgotten. It returns the first error: one that wraps
// ErrKey or ErrID for an id that breaks a rule, or ErrMoved if there is no such partition; the others are remembered all the
// same. Of more than MaxIDs the last stay. The partition may be frozen.
func (s *Store) ImportIDs(now Instant, part int, ids []Remembered) error {
	if !s.has(part) {
		return ErrMoved
	}
	var first error
	for i := range ids {
		if err := s.ids.bring(now, part, &ids[i]); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// bring remembers one id.
func (m *memory) bring(now Instant, part int, r *Remembered) error {
	if err := r.check(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Gone {
		m.strike(memoKey{part, r.ID, r.Key})
		return nil
	}
	age := max(0, r.Age)
	if age > m.age {
		return nil
	}
	d := r.Decision
	d.Node = cloned(d.Node)
	m.put(now, now-Instant(age), memoKey{part, r.ID, r.Key}, &d)
	return nil
}

// check returns an error if r cannot have been charged.
func (r *Remembered) check() error {
	switch {
	case r.ID == "" || len(r.ID) > MaxID:
		return fmt.Errorf("%w: %d bytes, want 1 to %d", ErrID, len(r.ID), MaxID)
	case !utf8.ValidString(r.ID):
		return fmt.Errorf("%w: not UTF-8", ErrID)
	case !r.Decision.Allowed && !r.Gone:
		return fmt.Errorf("%w: %q was denied, want one that was charged", ErrID, r.ID)
	}
	return CheckKey(r.Key)
}

// drop forgets all ids of a partition.
func (m *memory) drop(part int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.each(part, func(c *memo) { m.strike(c.k) })
	delete(m.last, part)
	m.takenAll(part)
}
