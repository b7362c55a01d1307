package gubernator

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/noriahq/noria/bucket"
	pb "github.com/noriahq/noria/transport/gubernatorpb"
)

// What Gubernator says of a duration of the calendar that it does not have.
var (
	errWeeks    = errors.New("`Duration = GregorianWeeks` not yet supported; consider making a PR!`")
	errInterval = errors.New("behavior DURATION_IS_GREGORIAN is set; but `Duration` is not a valid gregorian interval")
)

// The durations of the calendar, as numbers in RateLimitReq.duration.
const (
	minute int64 = iota
	hour
	day
	week
	month
	year
)

// has says whether m asks for a behavior.
func has(m *pb.RateLimitReq, b pb.Behavior) bool { return m.GetBehavior()&b != 0 }

// keyOf returns the key of m's bucket. Each algorithm has one of its own, so that a bucket starts anew with another algorithm.
func keyOf(m *pb.RateLimitReq) string {
	kind := "gubernator/token/"
	if m.GetAlgorithm() == pb.Algorithm_LEAKY_BUCKET {
		kind = "gubernator/leaky/"
	}
	name := m.GetName()
	key := kind + strconv.Itoa(len(name)) + ":" + name + m.GetUniqueKey()
	if len(key) <= bucket.MaxKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return kind + "#" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// limitOf returns what m's limit is here. m.Limit is at least 1. Of a limit of the calendar it is the one at now.
func limitOf(m *pb.RateLimitReq, now time.Time) (bucket.Limit, error) {
	gregorian := has(m, pb.Behavior_DURATION_IS_GREGORIAN)
	switch m.GetAlgorithm() {
	case pb.Algorithm_TOKEN_BUCKET:
		if gregorian {
			return calendarLimit(m)
		}
		per, err := span(m)
		return bucket.Limit{Burst: m.GetLimit(), Window: bucket.Fixed, Per: per}, err
	case pb.Algorithm_LEAKY_BUCKET:
		l := bucket.Limit{Tokens: m.GetLimit(), Burst: m.GetBurst()}
		if l.Burst == 0 {
			l.Burst = m.GetLimit()
		}
		var err error
		if l.Per, err = span(m); gregorian {
			l.Per, err = interval(m.GetDuration(), now)
		}
		return l, err
	}
	//lint:ignore ST1005 Gubernator's words
	return bucket.Limit{}, fmt.Errorf("Invalid rate limit algorithm '%d'", m.GetAlgorithm()) //nolint:staticcheck // Gubernator's words
}

// span returns m's duration, which is one in milliseconds.
func span(m *pb.RateLimitReq) (time.Duration, error) {
	const most = math.MaxInt64 / int64(time.Millisecond)
	if d := m.GetDuration(); d < 1 || d > most {
		return 0, fmt.Errorf("field 'duration' is %d, want 1 to %d milliseconds", d, most)
	}
	return time.Duration(m.GetDuration()) * time.Millisecond, nil
}

// calendarLimit returns what a TOKEN_BUCKET over an interval of the calendar is.
func calendarLimit(m *pb.RateLimitReq) (bucket.Limit, error) {
	l := bucket.Limit{Burst: m.GetLimit()}
	switch m.GetDuration() {
	case minute:
		l.Window, l.Per = bucket.Fixed, time.Minute
	case hour:
		l.Window = bucket.Hour
	case day:
		l.Window = bucket.Day
	case week:
		return l, errWeeks
	case month:
		l.Window = bucket.Month
	case year:
		l.Window = bucket.Year
	default:
		return l, errInterval
	}
	return l, nil
}

// interval returns how long the interval of the calendar is that now is in.
func interval(number int64, now time.Time) (time.Duration, error) {
	y, m, _ := now.UTC().Date()
	switch number {
	case minute:
		return time.Minute, nil
	case hour:
		return time.Hour, nil
	case day:
		return 24 * time.Hour, nil
	case week:
		return 0, errWeeks
	case month:
		return time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC).Sub(time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)), nil
	case year:
		return time.Date(y+1, 1, 1, 0, 0, 0, 0, time.UTC).Sub(time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC)), nil
	}
	return 0, errInterval
}

// windowEnd returns when the window of l ends that now is in. l has a window of this package.
func windowEnd(l bucket.Limit, now time.Time) time.Time {
	now = now.UTC()
	y, m, d := now.Date()
	switch l.Window {
	case bucket.Hour:
		return now.Truncate(time.Hour).Add(time.Hour)
	case bucket.Day:
		return time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
	case bucket.Month:
		return time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)
	case bucket.Year:
		return time.Date(y+1, 1, 1, 0, 0, 0, 0, time.UTC)
	default:
		since := time.Duration(now.UnixNano()) % l.Per
		return now.Add(l.Per - since)
	}
}
