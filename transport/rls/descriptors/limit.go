package descriptors

import (
	"fmt"
	"time"

	"github.com/noriahq/noria/bucket"
)

// A Unit is the time that a limit is for.
type Unit uint8

// The units.
const (
	NoUnit Unit = iota
	Second
	Minute
	Hour
	Day
	Week
	Month // of 30 days
	Year  // of 365 days
)

// units are the words for the units, in their order.
func units() []string {
	return []string{"", "second", "minute", "hour", "day", "week", "month", "year"}
}

// String returns the word for u in a configuration, "" for NoUnit.
func (u Unit) String() string {
	if all := units(); int(u) < len(all) {
		return all[u]
	}
	return ""
}

// Length returns how long u is, 0 for NoUnit.
func (u Unit) Length() time.Duration {
	const day = 24 * time.Hour
	switch u {
	case Second:
		return time.Second
	case Minute:
		return time.Minute
	case Hour:
		return time.Hour
	case Day:
		return day
	case Week:
		return 7 * day
	case Month:
		return 30 * day
	case Year:
		return 365 * day
	default:
		return 0
	}
}

// What a Limit may have at most.
const (
	MaxRequests   = bucket.MaxBurst
	MaxMultiplier = 1000 // of a unit
	maxPer        = 100 * 365 * 24 * time.Hour
)

// A Limit is so many requests in so many units.
type Limit struct {
	Requests uint32
	Unit     Unit
	Units    uint32 // how many of Unit; 0 is 1
}

// Bucket returns what l stands for, by the algorithm a: the zero value if it lets nothing through.
func (l Limit) Bucket(a Algorithm) (bucket.Limit, error) {
	unit, many := l.Unit.Length(), int64(max(1, l.Units))
	switch {
	case unit == 0:
		return bucket.Limit{}, fmt.Errorf("%w: the unit of the rate limit is unknown; want second, minute, hour, day, week, month or year", bucket.ErrLimit)
	case l.Requests > MaxRequests:
		return bucket.Limit{}, fmt.Errorf("%w: %d requests per unit; want at most %d", bucket.ErrLimit, l.Requests, int64(MaxRequests))
	case many > MaxMultiplier || unit > maxPer/time.Duration(many):
		return bucket.Limit{}, fmt.Errorf("%w: %d times %s; want at most %d, and a hundred years", bucket.ErrLimit, l.Units, l.Unit, MaxMultiplier)
	case l.Requests == 0:
		return bucket.Limit{}, nil
	}
	made := bucket.Limit{Tokens: int64(l.Requests), Per: unit * time.Duration(many), Burst: int64(l.Requests)}
	if a == FixedWindow {
		made.Tokens, made.Window = 0, bucket.Fixed
	}
	return made, made.Validate()
}
