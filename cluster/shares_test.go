package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
)

// Whatever happens to a share while its holder is lost, it gives no more than its part of the refill since then.
func TestShareGivesItsPartOnce(t *testing.T) {
	const second = bucket.Instant(time.Second)
	rate, other := bucket.Limit{Tokens: 30, Per: time.Second, Burst: 1000}, bucket.Limit{Tokens: 30, Per: time.Second, Burst: 999}
	for name, change := range map[string]func(i int, members *int, l *bucket.Limit, now *bucket.Instant){
		"nothing":            func(int, *int, *bucket.Limit, *bucket.Instant) {},
		"members come":       func(i int, members *int, _ *bucket.Limit, _ *bucket.Instant) { *members = 3 + i%2 },
		"two limits":         func(i int, _ *int, l *bucket.Limit, _ *bucket.Instant) { *l = []bucket.Limit{rate, other}[i%2] },
		"long without a use": func(i int, _ *int, _ *bucket.Limit, now *bucket.Instant) { *now += bucket.Instant(i%2) * 61 * second },
	} {
		var s shares
		s.init()
		lost, now, members, l, given := 5*second, 6*second, 3, rate, 0
		for i := range 40 {
			change(i, &members, &l, &now)
			s.sweep(now)
			for range 2000 {
				if s.take(now, lost, members, 0, &bucket.Request{Key: "k", Limit: l, Cost: 1}).Allowed {
					given++
				}
			}
			if most := int(int64(now-lost) * 30 / 3 / int64(second)); given > most {
				t.Errorf("%s: %d tokens given %v after the loss, want at most %d", name, given, now.Sub(lost), most)
				break
			}
			now += second / 4
		}
		if given == 0 {
			t.Error(fmt.Sprint(name, ": nothing given"))
		}
	}
}

// The planted bug: a share that starts anew as of the loss gives its part again.
func TestShareGivenTwiceIsFound(t *testing.T) {
	l := bucket.Limit{Tokens: 30, Per: time.Second, Burst: 1000}
	given := 0
	for range 2 {
		sh := newShare(0, 0, 3, l)
		for sh.Take(bucket.Instant(time.Second), sh.plan, 1).Allowed {
			given++
		}
	}
	if given <= 10 {
		t.Errorf("%d tokens given by two shares as of one loss: the check above would not see it", given)
	}
}

// Without a holder a share fills from the first check that was answered by the rule, as long as there are others, and no holder
// has decided between: then anew.
func TestUnheldSince(t *testing.T) {
	const second = bucket.Instant(time.Second)
	var u unheld
	u.init(2)
	for i, c := range []struct {
		now, want bucket.Instant
		decided   bool
	}{
		{now: 5 * second, want: 5 * second},
		{now: 5*second + second/2, want: 5 * second},
		{now: 6 * second, want: 5 * second},
		{now: 6*second + 1, want: 6*second + 1, decided: true},
		{now: 7 * second, want: 6*second + 1},
		{now: 9 * second, want: 9 * second}, // too long after the one before
		{now: 10 * second, want: 9 * second},
	} {
		if c.decided {
			u.decided(1)
		}
		if got := u.since(c.now, 1); got != c.want {
			t.Errorf("check %d: since(%v) = %v, want %v", i, c.now, got, c.want)
		}
	}
}
