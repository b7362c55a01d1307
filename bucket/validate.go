package bucket

import (
	"fmt"
	"math/bits"
	"time"
)

// The bounds of a Limit.
const (
	MaxBurst = 1_000_000_000 // tokens a bucket holds
	MaxQueue = 1_000_000_000 // tokens that may wait

	maxRate  = 1_000_000_000 // tokens a second: one a nanosecond
	maxUnits = 1 << 61       // units of a drained bucket with a full queue, and units a tick
)

// A part is a field of a Limit, for telling where a flaw is.
type part uint8

const (
	partTokens part = iota
	partPer
	partBurst
	partQueue
	partWindow
	partZone
	parts
)

// Validate returns nil if l keeps the rules of its fields' comments, and otherwise an error that wraps ErrLimit and says
// which rule is broken. Fields that l's kind does not use must be zero. A time zone must be in the system's time zone
// database, which may be read from a file; it is never "Local", which differs between nodes, and UTC is "".
//
// A rate must also be countable in 64 bits. Rates of whole seconds up to 30 years always are, whatever the burst.
func (l Limit) Validate() error {
	if _, wrong := l.flaw(); wrong != "" {
		return fmt.Errorf("%w: %s", ErrLimit, wrong)
	}
	return nil
}

// flaw returns what is wrong with l and in which part, "" if nothing is.
func (l Limit) flaw() (at part, wrong string) {
	switch {
	case l.Window > Concurrency:
		return partWindow, fmt.Sprintf("unknown window %d, want None to Concurrency (%d)", l.Window, Concurrency)
	case l.Window == None && (l.Tokens != 0 || l.Per != 0):
		return l.rateFlaw()
	}
	kind, filled := "quota", "it is refilled at once, not at a rate"
	switch l.Window {
	case Fixed:
		kind = "window"
	case Concurrency:
		kind, filled = "concurrency", "its tokens are given back, not refilled"
	default: // a quota
	}
	switch {
	case l.Burst < 1 || l.Burst > MaxBurst:
		return partBurst, fmt.Sprintf("%s of %d tokens, want 1 to %d", kind, l.Burst, MaxBurst)
	case l.Tokens != 0:
		return partTokens, fmt.Sprintf("%s with Tokens %d, want 0: %s", kind, l.Tokens, filled)
	case l.Queue != 0:
		return partQueue, fmt.Sprintf("%s with queue %d, want 0: only a rate has a queue", kind, l.Queue)
	case l.Window == Fixed && l.Per < 1:
		return partPer, fmt.Sprintf("window of %dns, want at least 1ns", l.Per)
	case l.Window != Fixed && l.Per != 0:
		return partPer, fmt.Sprintf("%s with Per %v, want 0", kind, l.Per)
	case l.Zone != "" && (l.Window < Hour || l.Window == Concurrency):
		return partZone, kind + " with a time zone, want none: only calendar windows have one"
	}
	return l.zoneFlaw()
}

// rateFlaw is flaw for steady rates.
func (l Limit) rateFlaw() (at part, wrong string) {
	switch {
	case l.Tokens < 1:
		return partTokens, fmt.Sprintf("rate of %d tokens, want at least 1", l.Tokens)
	case l.Per < 1:
		return partPer, fmt.Sprintf("period of %dns, want at least 1ns", l.Per)
	case l.Tokens > int64(l.Per):
		return partTokens, fmt.Sprintf("rate of %d tokens per %s, want at most %d, which is %d/s",
			l.Tokens, appendPeriod(nil, l.Per, true), int64(l.Per), maxRate)
	case l.Burst < 1 || l.Burst > MaxBurst:
		return partBurst, fmt.Sprintf("burst of %d tokens, want 1 to %d", l.Burst, MaxBurst)
	case l.Queue < 0 || l.Queue > MaxQueue:
		return partQueue, fmt.Sprintf("queue of %d tokens, want 0 to %d", l.Queue, MaxQueue)
	case l.Zone != "":
		return partZone, "rate with a time zone, want none: only calendar windows have one"
	}
	if _, _, _, ok := l.units(); !ok {
		return l.roomFlaw()
	}
	return 0, ""
}

// roomFlaw says how a rate that is not countable could be changed to be.
func (l Limit) roomFlaw() (at part, wrong string) {
	var room int64 // most tokens of burst and queue
	for _, tick := range ticks() {
		if _, p, ok := l.perTick(tick); ok {
			room = max(room, maxUnits/p)
		}
	}
	period := appendPeriod(nil, l.Per, true)
	switch {
	case room == 0:
		return partPer, fmt.Sprintf("rate of %d tokens per %s is too fine to be counted, want a shorter period, or whole seconds",
			l.Tokens, period)
	case l.Per%time.Second != 0:
		return partBurst, fmt.Sprintf("burst and queue of %d tokens, want at most %d with %d per %s, or a period of whole seconds",
			l.Burst+l.Queue, room, l.Tokens, period)
	}
	return partBurst, fmt.Sprintf("burst and queue of %d tokens, want at most %d with %d per %s, or a shorter period",
		l.Burst+l.Queue, room, l.Tokens, period)
}

// units returns l's rate as n units a tick of tick nanoseconds, where p units are one token: n/p is in lowest terms and
// exactly Tokens/Per. The tick is the shortest of 1ns, 1us, 1ms and 1s with which a drained bucket and a full queue
// together are at most maxUnits, and n is too; ok is false if none is. Quotas and windows have n 0, p 1 and ticks of 1ns.
//
// Apart from that l must be valid.
func (l Limit) units() (n, p, tick int64, ok bool) {
	if l.Tokens == 0 {
		return 0, 1, 1, true
	}
	for _, tick := range ticks() {
		n, p, ok := l.perTick(tick)
		if ok && p <= maxUnits/(l.Burst+l.Queue) {
			return n, p, tick, true
		}
	}
	return 0, 0, 0, false
}

// ticks returns the ticks that units chooses from, in nanoseconds.
func ticks() [4]int64 { return [...]int64{1, 1e3, 1e6, 1e9} }

// perTick returns n/p in lowest terms such that l gains n/p tokens a tick; ok is false if n is more than maxUnits.
func (l Limit) perTick(tick int64) (n, p int64, ok bool) {
	g := gcd(l.Tokens, int64(l.Per))
	tokens, per := l.Tokens/g, int64(l.Per)/g
	g = gcd(tick, per)
	hi, lo := bits.Mul64(uint64(tokens), uint64(tick/g))
	if hi != 0 || lo > maxUnits {
		return 0, 0, false
	}
	return int64(lo), per / g, true
}

// gcd returns the greatest common divisor of two positive numbers.
func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// zoneFlaw says what is wrong with the zone.
func (l Limit) zoneFlaw() (at part, wrong string) {
	if l.Zone == "" {
		return 0, ""
	}
	if _, err := loadZone(l.Zone); err != nil {
		return partZone, err.Error()
	}
	return 0, ""
}
