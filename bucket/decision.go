package bucket

import (
	"math"
	"time"
)

// An Instant is a reading of one node's monotonic clock, in nanoseconds since a base that only this node knows. It
// never leaves the node: what crosses the wire is a duration or an amount. It is not negative.
type Instant int64

// Sub returns how long after o i is.
func (i Instant) Sub(o Instant) time.Duration { return time.Duration(i - o) }

// Never is the RetryAfter of a request that no waiting will admit, such as one on a spent quota.
const Never time.Duration = math.MaxInt64

// The bounds of what a Request may ask for.
const (
	MaxKey  = 512           // bytes of a key
	MaxID   = 64            // bytes of a request id
	MaxCost = 1_000_000_000 // tokens of one request
)

// A Request asks for Cost tokens of the bucket named Key, which Limit describes.
type Request struct {
	// Key says who is limited: 1 to MaxKey bytes of UTF-8. Two requests with equal keys share one bucket, whatever their
	// limits; where the limit differs from the bucket's last one, tokens owed stay owed.
	Key string

	// Limit describes the bucket.
	Limit Limit

	// Cost is the tokens asked for, 0 to MaxCost. 0 takes nothing: it tells the level.
	Cost int64

	// ID, where not empty, makes the request idempotent: a second request with the same ID and Key is answered as the
	// first one was and charges nothing. At most MaxID bytes.
	ID string

	// Reserve, where more than 0, makes the cost a reservation named by Key and ID, which is kept for this long: a Settlement
	// with them says within that time what it came to. What is not settled by then stays spent, or is given back where the
	// limit is one of Concurrency. A request with the ID of a living reservation takes nothing and keeps it for at least this
	// long from now. A Cost of 0 reserves nothing. ID is required; the limit has no queue. At most MaxReserve.
	Reserve time.Duration

	// OnLost says who answers while the holder of the key cannot be reached.
	OnLost OnLost

	// Durability says what the death of the holder may cost.
	Durability Durability

	// ColdStart says what a bucket holds whose former holder took its memory with it.
	ColdStart ColdStart
}

// A Decision is the answer to a Request. A refusal is a decision, not an error.
type Decision struct {
	// Allowed says whether the tokens were taken.
	Allowed bool

	// Degraded says that the holder could not be reached and the limit's OnLost rule answered.
	Degraded bool

	// Source says who decided.
	Source Source

	// Remaining is the whole tokens left after this decision, 0 or more.
	Remaining int64

	// RetryAfter is how long until the same request may be allowed, if nobody else asks: 0 if it was allowed, Never if
	// waiting does not help. Rounded up.
	RetryAfter time.Duration

	// ResetAfter is how long until the bucket is full again if nobody asks: 0 if it is full, Never for a quota without
	// refill.
	ResetAfter time.Duration

	// Delay is how long an allowed request has to wait for its turn before it goes ahead. 0 without a queue.
	Delay time.Duration

	// Node is the id of the node that decided.
	Node string

	_ [2]uint32 // 64 bytes, and not returned in registers: so copying one that has just been made is 5 ns cheaper
}

// Short returns for how long after d, which allowed a request under l, one of cost tokens is denied if nothing is given back:
// some nanoseconds less at most, and never more. It is 0 where the tokens are there, and where d does not tell: with a queue,
// with windows, for a quota, and with periods of so many years that the bucket does not count in nanoseconds.
func (d *Decision) Short(l *Limit, cost int64) time.Duration {
	if d.Remaining >= cost || l.Tokens <= 0 || l.Queue > 0 || l.Window != None || cost > l.Burst || d.ResetAfter == Never {
		return 0
	}
	if _, _, tick, ok := l.units(); !ok || tick != 1 {
		return 0
	}
	full := l.Refill(l.Burst - cost) // what may be missing
	if full == Never {
		return 0
	}
	return max(d.ResetAfter-full-1, 0)
}

// Source says where a decision was made.
type Source uint8

// The sources of a Decision.
const (
	FromHolder   Source = iota // the node that holds the bucket
	FromLease                  // a node that the holder lent tokens to
	FromDenial                 // a node that remembers the holder's denial
	FromDegraded               // no holder: the limit's OnLost rule
)

// String returns the word the API uses for s: holder, lease, denial or degraded.
func (s Source) String() string {
	switch s {
	case FromHolder:
		return "holder"
	case FromLease:
		return "lease"
	case FromDenial:
		return "denial"
	case FromDegraded:
		return "degraded"
	}
	return "unknown"
}

// OnLost is the rule for requests whose holder cannot be reached.
type OnLost uint8

// The OnLost rules.
const (
	Share OnLost = iota // a bucket of this node's share of the rate, which starts empty; the default
	Deny                // refuse
	Allow               // admit
)

// Durability says how much the death of a holder may forget.
type Durability uint8

// The durabilities.
const (
	Async     Durability = iota // what was admitted since the last replica, some 20 ms; the default
	Sync                        // nothing: an answer waits for its replica
	Ephemeral                   // everything: no replica is kept; "none" in the API
)

// ColdStart says what a bucket holds when its former state is lost for good.
type ColdStart uint8

// The cold starts.
const (
	Full  ColdStart = iota // full, so that nobody is refused wrongly; the default
	Empty                  // empty, so that nobody is admitted twice
)
