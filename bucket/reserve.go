package bucket

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// MaxReserve is the longest that a reservation is kept without being renewed.
const MaxReserve = time.Hour

// ErrReserve says that a request breaks a rule of Request.Reserve, or a Settlement one of Settlement.Renew.
var ErrReserve = errors.New("bad reservation")

// A Settlement says what a reservation came to.
type Settlement struct {
	// Key and ID are those of the request that reserved.
	Key, ID string

	// Cost is what it came to, 0 to MaxCost: 0 gives all back, and less than was reserved the rest of it, as far as that is
	// still missing: tokens that the bucket has gained only because it was not full without them are not given again. More
	// takes the rest though it may not be there (see Bucket.Charge). A reservation of a Concurrency limit gives all back
	// whatever the Cost.
	Cost int64

	// Renew, where more than 0, keeps the reservation for at least this long from now instead of settling it: Cost is not
	// looked at. At most MaxReserve.
	Renew time.Duration
}

// Settled is what came of a Settlement.
type Settled struct {
	// Known says that there was such a reservation. Without one, because it expired, was never made or was lost, nothing is
	// done. A Settlement that comes again is answered as the first one was, for some minutes, and does nothing.
	Known bool

	// Reserved is the tokens that were reserved; Charged those that are charged for it now.
	Reserved, Charged int64
}

// Check returns an error that wraps ErrKey, ErrID, ErrCost or ErrReserve if s is not as its fields say.
func (s *Settlement) Check() error {
	switch {
	case s.ID == "" || len(s.ID) > MaxID:
		return fmt.Errorf("%w: %d bytes, want 1 to %d, those of the reservation", ErrID, len(s.ID), MaxID)
	case !utf8.ValidString(s.ID):
		return fmt.Errorf("%w: not UTF-8", ErrID)
	case s.Cost < 0 || s.Cost > MaxCost:
		return fmt.Errorf("%w: %d, want 0 to %d", ErrCost, s.Cost, MaxCost)
	case s.Renew < 0 || s.Renew > MaxReserve:
		return fmt.Errorf("%w: renewed for %v, want 0 to %v", ErrReserve, s.Renew, MaxReserve)
	}
	return CheckKey(s.Key)
}

// checkReserve returns what is wrong with how r reserves, or does not.
func (r *Request) checkReserve() error {
	switch {
	case r.Reserve < 0 || r.Reserve > MaxReserve:
		return fmt.Errorf("%w: for %v, want 0 to %v", ErrReserve, r.Reserve, MaxReserve)
	case r.Reserve == 0 && r.Cost > 0 && r.Limit.Window == Concurrency:
		return fmt.Errorf("%w: limit %q wants requests that reserve, for as long as they are kept at most", ErrReserve, r.Limit)
	case r.Reserve > 0 && r.ID == "":
		return fmt.Errorf("%w: without an id, want one of 1 to %d bytes, by which it is settled", ErrReserve, MaxID)
	case r.Reserve > 0 && r.Limit.Queue > 0:
		return fmt.Errorf("%w: limit %q has a queue, want one without: a turn that was told cannot be given back", ErrReserve, r.Limit)
	}
	return nil
}
