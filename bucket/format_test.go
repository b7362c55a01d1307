package bucket

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Of a valid limit, ParseLimit makes the same limit again, and String the same text.
func TestLimitRoundTrip(t *testing.T) {
	zones := zoneNames(t)
	rapid.Check(t, func(t *rapid.T) {
		l := drawLimit(t, zones)
		if rapid.IntRange(0, 4).Draw(t, "concurrency") == 0 {
			l = Limit{Burst: l.Burst, Window: Concurrency}
		}
		if err := l.Validate(); err != nil {
			t.Fatalf("%#v: Validate() = %v", l, err)
		}
		text := l.String()
		if len(text) > maxText {
			t.Errorf("%q has %d bytes, want at most %d", text, len(text), maxText)
		}
		got, err := ParseLimit(text)
		if err != nil || got != l {
			t.Fatalf("ParseLimit(%q) = %#v, %v, want %#v", text, got, err, l)
		}
		if again := got.String(); again != text {
			t.Errorf("String() = %q, then %q", text, again)
		}
	})
}

// drawLimit draws a valid limit of any kind.
func drawLimit(t *rapid.T, zones []string) Limit {
	kind := rapid.IntRange(0, 3).Draw(t, "kind")
	if kind > 0 {
		l := Limit{Burst: rapid.Int64Range(1, MaxBurst).Draw(t, "burst")}
		switch kind {
		case 1:
			l.Window, l.Per = Fixed, drawPeriod(t)
		case 2:
			l.Window = Window(rapid.IntRange(int(Hour), int(Year)).Draw(t, "window"))
			l.Zone = rapid.SampledFrom(zones).Draw(t, "zone")
		}
		return l
	}
	l := Limit{Per: drawPeriod(t), Queue: rapid.SampledFrom([]int64{0, 0, 1, 50, MaxQueue}).Draw(t, "queue")}
	l.Tokens = rapid.Int64Range(1, min(int64(l.Per), 1e12)).Draw(t, "tokens")
	l.Burst = rapid.SampledFrom([]int64{1, 10, MaxBurst, min(l.Tokens, MaxBurst)}).Draw(t, "burst")
	if at, _ := l.flaw(); at == partBurst {
		l.Burst, l.Queue = 1, 0
	}
	if at, wrong := l.flaw(); wrong != "" && (at == partBurst || at == partPer) {
		l.Per = l.Per.Truncate(time.Second) + time.Second
	}
	return l
}

// drawPeriod draws a period, mostly of whole units and at most 30 years.
func drawPeriod(t *rapid.T) time.Duration {
	unit := rapid.SampledFrom([]time.Duration{
		time.Nanosecond, time.Microsecond, time.Millisecond, time.Second, time.Minute, time.Hour, day,
	}).Draw(t, "unit")
	most := min(math.MaxInt64/int64(unit), int64(30*365*day/unit))
	return unit * time.Duration(rapid.Int64Range(1, most).Draw(t, "count"))
}

// String shows what is set in a limit that is not valid, and nothing is mistaken for a valid one.
func TestLimitStringInvalid(t *testing.T) {
	for _, tt := range []struct {
		l    Limit
		want string
	}{
		{Limit{}, "quota 0"},
		{Limit{Tokens: 5, Burst: 5}, "5/0ns"},
		{Limit{Per: -time.Second, Burst: 5}, "0/-1s burst 5"},
		{Limit{Tokens: math.MinInt64, Per: math.MinInt64}, "-9223372036854775808/-9223372036854775808ns burst 0"},
		{Limit{Burst: 5, Queue: 7}, "quota 5 queue 7"},
		{Limit{Burst: 5, Zone: "UTC"}, "quota 5 in UTC"},
		{Limit{Burst: 5, Window: 99}, "quota 5 per window(99)"},
		{Limit{Burst: 5, Window: Fixed}, "window 5 per 0ns"},
	} {
		if got := tt.l.String(); got != tt.want {
			t.Errorf("%#v.String() = %q, want %q", tt.l, got, tt.want)
		}
		if l, err := ParseLimit(tt.want); err == nil {
			t.Errorf("ParseLimit(%q) = %v, want an error", tt.want, l)
		}
	}
}

func BenchmarkLimitString(b *testing.B) {
	l := Limit{Tokens: 1000, Per: 10 * time.Second, Burst: 2000, Queue: 50}
	b.ReportAllocs()
	for b.Loop() {
		_ = l.String()
	}
}
