package bucket

import (
	"fmt"
	"unicode/utf8"
)

// CheckKey returns nil if key is 1 to MaxKey bytes of UTF-8, and an error that wraps ErrKey if not.
func CheckKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: empty, want 1 to %d bytes", ErrKey, MaxKey)
	case len(key) > MaxKey:
		return fmt.Errorf("%w: %d bytes, want 1 to %d", ErrKey, len(key), MaxKey)
	case !utf8.ValidString(key):
		return fmt.Errorf("%w: not UTF-8", ErrKey)
	}
	return nil
}

// Check is r.Check, quicker for limits that s knows.
func (s *Store) Check(r *Request) error {
	plan, err := s.plans.hold(r.Limit)
	if err != nil {
		return err
	}
	s.plans.release(plan)
	return r.check()
}
