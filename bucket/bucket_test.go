package bucket

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// checkMany is rapid.Check with times as many cases.
func checkMany(t *testing.T, times int, prop func(*rapid.T)) {
	t.Helper()
	for range times {
		rapid.Check(t, prop)
	}
}

// Every decision is the ideal bucket's: never a unit over, never more than two ticks late, with exact figures, whatever the
// limit, for a century, and however the clock is read.
func TestBucketIsIdeal(t *testing.T) {
	checkMany(t, 50, func(t *rapid.T) {
		if err := judge(stories().Draw(t, "story"), new(ours), false); err != nil {
			t.Fatal(err)
		}
	})
}

func planOf(t testing.TB, l Limit) *Plan {
	t.Helper()
	p, err := NewPlan(l, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A bucket that is asked as soon as it may admit, for a century or half a million times, admits its burst and what it
// gains, to the token.
func TestNoDrift(t *testing.T) {
	for _, l := range []Limit{
		{Tokens: 1, Per: time.Hour, Burst: 1},
		{Tokens: 7, Per: day, Burst: 3},
		{Tokens: 3, Per: time.Second, Burst: 1e9},
		{Tokens: 7_000_000, Per: time.Second, Burst: 1e9},
		{Tokens: 10_000_000, Per: time.Second, Burst: 1e9},
		{Tokens: 1000, Per: 7 * time.Second, Burst: 999_983},
		{Tokens: 1, Per: year, Burst: 1_000_000},     // ticks of a microsecond
		{Tokens: 7, Per: 30 * day, Burst: 1e9},       // of a millisecond
		{Tokens: 7, Per: 30 * year, Burst: 1e9},      // of a second
		{Tokens: 999_999_937, Per: year, Burst: 1e9}, // of a second, that pays 31 tokens
	} {
		t.Run(l.String(), func(t *testing.T) {
			p, b := planOf(t, l), new(Bucket)
			m := newIdeal(l)
			admitted, now := int64(0), Instant(0)
			for steps := int64(0); now < Instant(100*year) && steps < 500_000; steps++ {
				cost := min(l.Burst, 1+l.Burst/1000*(steps%900))
				d := b.Take(now, p, cost)
				if d.Allowed {
					admitted += cost
				}
				now += Instant(d.RetryAfter)
			}
			d := b.Take(now, p, 0)
			gained := m.gain(int64(now))
			gained.Div(gained, m.units(1))
			if got, want := admitted+d.Remaining, l.Burst+gained.Int64(); got > want || got < want-late(p) {
				t.Errorf("after %v %d admitted and left, want %d", time.Duration(now), got, want)
			}
		})
	}
}

// late returns how many tokens less than the ideal bucket has p's may hold: none with ticks of a nanosecond.
func late(p *Plan) int64 {
	if p.tick == 1 {
		return 0
	}
	return (2*p.n-1)/p.p + 1
}

// Charges beyond all bounds leave a bucket that owes much, and never one that has more.
func TestChargeIsBounded(t *testing.T) {
	for _, l := range []Limit{
		{Tokens: 1, Per: time.Second, Burst: 10},
		{Tokens: 7, Per: 30 * day, Burst: 1e9},
		{Burst: 10},
		{Burst: 10, Window: Day},
	} {
		p, b := planOf(t, l), new(Bucket)
		for range 4 {
			b.Charge(0, p, math.MaxInt64)
			if d := b.Take(1, p, 1); d.Allowed || d.Remaining != 0 || d.RetryAfter <= 0 {
				t.Errorf("%v: after Charge: %+v, want a denial", l, d)
			}
			if d := b.Take(1, p, 0); !d.Allowed || d.Remaining != 0 || d.ResetAfter <= 0 {
				t.Errorf("%v: a peek after Charge: %+v", l, d)
			}
		}
		if got, _ := b.missing(0, p); got < maxDebt/2 || got > maxDebt {
			t.Errorf("%v: owes %d units, want about %d", l, got, maxDebt)
		}
	}
}

// A level below zero has to rise before anything is admitted again.
func TestCharge(t *testing.T) {
	p, b := planOf(t, Limit{Tokens: 10, Per: time.Second, Burst: 20}), new(Bucket)
	b.Charge(0, p, 50)
	want := Decision{RetryAfter: 3*time.Second + 100*time.Millisecond, ResetAfter: 5 * time.Second}
	if got := b.Take(0, p, 1); got != want {
		t.Errorf("Take after a charge of 50 = %+v, want %+v", got, want)
	}
	b.Charge(0, p, 0)
	want = Decision{Allowed: true, ResetAfter: 2 * time.Second}
	if got := b.Take(Instant(3*time.Second+100*time.Millisecond), p, 1); got != want {
		t.Errorf("Take at RetryAfter = %+v, want %+v", got, want)
	}
}

// A plan is its limit's and no other's.
func TestPlanIs(t *testing.T) {
	base := Limit{Tokens: 7, Per: time.Second, Burst: 9, Queue: 3, Window: Day, Zone: "Asia/Tokyo"}
	p := &Plan{limit: base}
	if !p.Is(&base) {
		t.Error("a plan is not its own limit's")
	}
	for _, change := range []func(l *Limit){
		func(l *Limit) { l.Tokens++ },
		func(l *Limit) { l.Per++ },
		func(l *Limit) { l.Burst++ },
		func(l *Limit) { l.Queue++ },
		func(l *Limit) { l.Window++ },
		func(l *Limit) { l.Zone = "Asia/Seoul" },
	} {
		l := base
		if change(&l); p.Is(&l) {
			t.Errorf("the plan of %+v is that of %+v", base, l)
		}
	}
}

// A plan's Refill is that of its limit.
func TestPlanRefill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limit{
			Tokens: rapid.Int64Range(1, 1_000_000_000).Draw(t, "tokens"),
			Per:    time.Duration(rapid.Int64Range(1, int64(100*365*24*time.Hour)).Draw(t, "per")),
			Burst:  rapid.Int64Range(1, 1_000_000_000).Draw(t, "burst"),
		}
		p, err := NewPlan(l, time.Unix(0, 0))
		if err != nil {
			t.Skip(err)
		}
		tokens := rapid.Int64Range(-1, 2_000_000_000).Draw(t, "refilled")
		if got, want := p.Refill(tokens), l.Refill(tokens); got != want {
			t.Errorf("Refill(%d) of the plan of %v is %v, want %v", tokens, l, got, want)
		}
	})
}
