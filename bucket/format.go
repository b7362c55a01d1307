package bucket

import (
	"strconv"
	"time"
)

// day is the unit d of the limit grammar. A calendar day may be an hour longer or shorter.
const day = 24 * time.Hour

// String returns l as ParseLimit reads it, in one canonical form: the period in the largest unit that divides it, and
// the burst only where it is not the tokens of the rate. Of a valid l, ParseLimit makes l again. For one that is not
// valid the text shows what is set.
func (l Limit) String() string {
	b := make([]byte, 0, 48)
	switch {
	case l.Window == Concurrency:
		b = appendInt(append(b, "concurrency "...), l.Burst)
	case l.Window == Fixed:
		b = appendInt(append(b, "window "...), l.Burst)
		b = appendPeriod(append(b, " per "...), l.Per, true)
	case l.Window != None:
		b = appendInt(append(b, "quota "...), l.Burst)
		b = append(append(b, " per "...), l.Window.String()...)
	case l.Tokens != 0 || l.Per != 0:
		b = appendPeriod(append(appendInt(b, l.Tokens), '/'), l.Per, false)
		if l.Burst != l.Tokens {
			b = appendInt(append(b, " burst "...), l.Burst)
		}
	default:
		b = appendInt(append(b, "quota "...), l.Burst)
	}
	if l.Queue != 0 {
		b = appendInt(append(b, " queue "...), l.Queue)
	}
	if l.Zone != "" {
		b = append(append(b, " in "...), l.Zone...)
	}
	return string(b)
}

// appendPeriod appends d in its largest unit. Its count is left out if it is 1, unless one says so.
func appendPeriod(b []byte, d time.Duration, one bool) []byte {
	n, unit := inUnits(d)
	if n != 1 || one {
		b = appendInt(b, n)
	}
	return append(b, unit...)
}

// inUnits returns d as a number of the largest unit that divides it.
func inUnits(d time.Duration) (n int64, unit string) {
	for _, u := range [...]struct {
		length time.Duration
		name   string
	}{
		{day, "d"},
		{time.Hour, "h"},
		{time.Minute, "m"},
		{time.Second, "s"},
		{time.Millisecond, "ms"},
		{time.Microsecond, "us"},
	} {
		if d != 0 && d%u.length == 0 {
			return int64(d / u.length), u.name
		}
	}
	return int64(d), "ns"
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

// String returns the word that the limit grammar has for w: hour, day, week, month or year, concurrency; none and fixed for
// those that have no word.
func (w Window) String() string {
	switch w {
	case None:
		return "none"
	case Fixed:
		return "fixed"
	case Hour:
		return "hour"
	case Day:
		return "day"
	case Week:
		return "week"
	case Month:
		return "month"
	case Year:
		return "year"
	case Concurrency:
		return "concurrency"
	}
	return "window(" + strconv.Itoa(int(w)) + ")"
}
