package bucket

import (
	"errors"
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLimitValidate(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		l    Limit
		want string // "" if l is valid
	}{
		{Limit{Tokens: 1, Per: 1, Burst: 1}, ""},
		{Limit{1e9, s, MaxBurst, MaxQueue, None, ""}, ""},
		{Limit{Tokens: 1, Per: 365 * day, Burst: MaxBurst, Queue: MaxQueue}, ""},
		{Limit{Tokens: math.MaxInt64, Per: math.MaxInt64, Burst: MaxBurst}, ""},
		{Limit{Burst: 1}, ""},
		{Limit{Burst: MaxBurst, Window: Year, Zone: "Asia/Kathmandu"}, ""},
		{Limit{Burst: 1, Per: 1, Window: Fixed}, ""},
		{Limit{Burst: 1, Per: math.MaxInt64, Window: Fixed}, ""},
		{Limit{Burst: MaxBurst, Window: Concurrency}, ""},

		{Limit{}, "quota of 0 tokens, want 1 to 1000000000"},
		{Limit{Tokens: 1, Burst: 1}, "period of 0ns, want at least 1ns"},
		{Limit{Tokens: 1, Per: -s, Burst: 1}, "period of -1000000000ns, want at least 1ns"},
		{Limit{Per: s, Burst: 1}, "rate of 0 tokens, want at least 1"},
		{Limit{Tokens: -1, Per: s, Burst: 1}, "rate of -1 tokens, want at least 1"},
		{Limit{Tokens: 2, Per: 1, Burst: 1}, "rate of 2 tokens per 1ns, want at most 1, which is 1000000000/s"},
		{
			Limit{Tokens: 1, Per: math.MaxInt64, Burst: 1},
			"rate of 1 tokens per 9223372036854775807ns is too fine to be counted, want a shorter period, or whole seconds",
		},
		{Limit{Tokens: 1, Per: s}, "burst of 0 tokens, want 1 to 1000000000"},
		{Limit{Tokens: 1, Per: s, Burst: MaxBurst + 1}, "burst of 1000000001 tokens, want 1 to 1000000000"},
		{Limit{Tokens: 1, Per: s, Burst: 1, Queue: -1}, "queue of -1 tokens, want 0 to 1000000000"},
		{Limit{Tokens: 1, Per: s, Burst: 1, Queue: math.MaxInt64}, "queue of 9223372036854775807 tokens, want 0 to 1000000000"},
		{Limit{Tokens: 1, Per: s, Burst: 1, Zone: "Asia/Tokyo"}, "rate with a time zone, want none: only calendar windows have one"},
		{Limit{Burst: 1, Queue: 1}, "quota with queue 1, want 0: only a rate has a queue"},
		{Limit{Burst: 1, Zone: "Asia/Tokyo"}, "quota with a time zone, want none: only calendar windows have one"},
		{Limit{Burst: 1, Window: Day, Per: s}, "quota with Per 1s, want 0"},
		{Limit{Burst: 1, Window: Day, Tokens: 1}, "quota with Tokens 1, want 0: it is refilled at once, not at a rate"},
		{Limit{Burst: 1, Window: Concurrency + 1}, "unknown window 8, want None to Concurrency (7)"},
		{Limit{Window: Concurrency}, "concurrency of 0 tokens, want 1 to 1000000000"},
		{Limit{Burst: 1, Window: Concurrency, Tokens: 1}, "concurrency with Tokens 1, want 0: its tokens are given back, not refilled"},
		{Limit{Burst: 1, Window: Concurrency, Queue: 1}, "concurrency with queue 1, want 0: only a rate has a queue"},
		{Limit{Burst: 1, Window: Concurrency, Per: s}, "concurrency with Per 1s, want 0"},
		{Limit{Burst: 1, Window: Concurrency, Zone: "GMT"}, "concurrency with a time zone, want none: only calendar windows have one"},
		{Limit{Burst: 1, Window: Fixed}, "window of 0ns, want at least 1ns"},
		{Limit{Burst: 1, Window: Fixed, Per: s, Queue: 1}, "window with queue 1, want 0: only a rate has a queue"},
		{Limit{Burst: 1, Window: Fixed, Per: s, Zone: "GMT"}, "window with a time zone, want none: only calendar windows have one"},
		{Limit{Burst: 1, Window: Day, Zone: "UTC"}, `time zone "UTC", want "": it is the default`},
		{Limit{Burst: 1, Window: Day, Zone: "Local"}, `time zone "Local" differs between nodes, want a name such as "Europe/Berlin"`},
		{Limit{Burst: 1, Window: Day, Zone: "Europe"}, `time zone "Europe" is not in this system's database, want a name such as "Europe/Berlin"`},
		{Limit{Burst: 1, Window: Day, Zone: "Europe//Berlin"}, `"Europe//Berlin" is not the name of a time zone, want a name such as "Europe/Berlin"`},
		{Limit{Burst: 1, Window: Day, Zone: "Europe/Berlin/"}, `"Europe/Berlin/" is not the name of a time zone, want a name such as "Europe/Berlin"`},
	} {
		err := tt.l.Validate()
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%#v.Validate() = %v, want nil", tt.l, err)
		case tt.want != "" && (!errors.Is(err, ErrLimit) || err.Error() != "bad limit: "+tt.want):
			t.Errorf("%#v.Validate() says\n\t%v, want\n\tbad limit: %s", tt.l, err, tt.want)
		}
	}
}

// units is exactly the rate, in lowest terms, within its bounds, and in the shortest tick that allows that.
func TestUnitsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limit{
			Per:   time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "per")),
			Burst: rapid.Int64Range(1, MaxBurst).Draw(t, "burst"),
			Queue: rapid.Int64Range(0, MaxQueue).Draw(t, "queue"),
		}
		if rapid.Bool().Draw(t, "whole") {
			l.Per = max(l.Per.Truncate(time.Millisecond), 1)
		}
		l.Tokens = rapid.Int64Range(1, int64(l.Per)).Draw(t, "tokens")
		checkUnits(t, l)
	})
	for _, l := range []Limit{
		{Tokens: 3e16 + 1, Per: 8 * (3.6e16 + 1), Burst: 20}, // would fit but for n
		{Tokens: 1, Per: 1 << 61, Burst: 1},
		{Tokens: 1, Per: 1<<61 + 1, Burst: 1},
		{Tokens: 1<<61 - 1, Per: 1 << 61, Burst: 1},
		{Tokens: 1<<61 - 1, Per: 1 << 61, Burst: 1, Queue: 1},
	} {
		checkUnits(t, l)
	}
}

func checkUnits(t rapid.TB, l Limit) {
	t.Helper()
	n, p, tick, ok := l.units()
	wantN, wantP, wantTick, wantOK := bigUnits(l)
	if n != wantN || p != wantP || tick != wantTick || ok != wantOK {
		t.Fatalf("%v: units() = %d, %d, %d, %v, want %d, %d, %d, %v", l, n, p, tick, ok, wantN, wantP, wantTick, wantOK)
	}
	if _, wrong := l.flaw(); (wrong == "") != ok {
		t.Fatalf("%v: flaw %q, but units ok = %v", l, wrong, ok)
	}
}

// bigUnits is units in numbers without bounds.
func bigUnits(l Limit) (n, p, tick int64, ok bool) {
	most := new(big.Int).Lsh(big.NewInt(1), 61)
	for _, tick := range []int64{1, 1e3, 1e6, 1e9} {
		gain := new(big.Int).Mul(big.NewInt(l.Tokens), big.NewInt(tick))
		rate := new(big.Rat).SetFrac(gain, big.NewInt(int64(l.Per)))
		line := new(big.Int).Mul(rate.Denom(), big.NewInt(l.Burst+l.Queue))
		if rate.Num().Cmp(most) <= 0 && line.Cmp(most) <= 0 {
			return rate.Num().Int64(), rate.Denom().Int64(), tick, true
		}
	}
	return 0, 0, 0, false
}

// Every rate of whole seconds from 1 in 30 years to 1e9 a second is countable with every burst and queue.
func TestUnitsOrdinary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		per := time.Duration(rapid.Int64Range(1, int64(30*365*day/time.Second)).Draw(t, "seconds")) * time.Second
		l := Limit{
			Tokens: rapid.Int64Range(1, int64(per)).Draw(t, "tokens"), Per: per, Burst: MaxBurst, Queue: MaxQueue,
		}
		if err := l.Validate(); err != nil {
			t.Fatalf("%v: Validate() = %v, want nil", l, err)
		}
	})
	for _, tt := range []struct {
		text       string
		n, p, tick int64
	}{
		{"100/s", 1, 1e7, 1},
		{"7000000/s burst 1000000000", 7, 1000, 1},
		{"1/d", 1, 86_400_000_000_000, 1},
		{"1/365d", 1, 365 * 86_400 * 1_000_000_000, 1},
		{"1/365d burst 1000", 1, 365 * 86_400 * 1_000_000, 1e3},
		{"1/365d burst 1000000000", 1, 365 * 86_400, 1e9},
		{"quota 5", 0, 1, 1},
		{"quota 5 per day", 0, 1, 1},
		{"window 5 per 7s", 0, 1, 1},
	} {
		l, err := ParseLimit(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		if n, p, tick, ok := l.units(); n != tt.n || p != tt.p || tick != tt.tick || !ok {
			t.Errorf("%s: units() = %d, %d, %d, %v, want %d, %d, %d, true", tt.text, n, p, tick, ok, tt.n, tt.p, tt.tick)
		}
	}
}

// What an error says would be right is right.
func TestRoomFlaw(t *testing.T) {
	l := Limit{Tokens: 7, Per: 3600000000001, Burst: MaxBurst}
	if err := l.Validate(); err == nil {
		t.Fatalf("%v: Validate() = nil, want an error", l)
	}
	l.Burst = 640511
	if err := l.Validate(); err != nil {
		t.Errorf("%v: Validate() = %v, want nil", l, err)
	}
	l.Burst++
	if err := l.Validate(); err == nil {
		t.Errorf("%v: Validate() = nil, want an error", l)
	}
}

func BenchmarkLimitValidate(b *testing.B) {
	l := Limit{Tokens: 1000, Per: 10 * time.Second, Burst: 2000, Queue: 50}
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}
