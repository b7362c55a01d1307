package bucket

import (
	"math"
	"testing"
	"time"
)

// A holder is a store with one key, of which tokens are held and given back.
type holder struct {
	*testing.T
	s *Store
}

func (h holder) take(now time.Duration, l Limit, cost int64) []Hold {
	h.Helper()
	items := []Item{{Request: &Request{Key: "k", Limit: l, Cost: cost}}}
	holds, err := h.s.TakeAll(Instant(now), items, true)
	if err != nil || !items[0].Decision.Allowed {
		h.Fatalf("Take of %d at %v = %+v, %v", cost, now, items[0].Decision, err)
	}
	return holds
}

func (h holder) remains(now time.Duration, l Limit, want int64) {
	h.Helper()
	if d, err := h.s.Take(Instant(now), 0, &Request{Key: "k", Limit: l}); err != nil || d.Remaining != want {
		h.Errorf("at %v %d remain, want %d (%v)", now, d.Remaining, want, err)
	}
}

// What refunds gave, and what a bucket regained after it, a later refund of an older hold does not give again.
func TestRefundAfterRefund(t *testing.T) {
	h := holder{t, storeOf(t, StoreConfig{Partitions: 1})}
	l := Limit{Tokens: 1, Per: time.Second, Burst: 10}
	first := h.take(0, l, 9)
	second := h.take(0, l, 1)
	h.s.Refund(0, first)
	h.remains(0, l, 9)
	h.take(time.Second, l, 10) // it was full a moment
	h.s.Refund(Instant(time.Second), second)
	h.remains(time.Second, l, 0)
}

// A hold from before the limit changed is worth nothing, even if the limit is the same again.
func TestRefundAfterLimits(t *testing.T) {
	h := holder{t, storeOf(t, StoreConfig{Partitions: 1})}
	slow, fast := Limit{Tokens: 1, Per: time.Hour, Burst: 10}, Limit{Tokens: 1000, Per: time.Second, Burst: 10}
	h.take(0, slow, 9)
	hold := h.take(0, slow, 1)
	h.take(0, fast, 0)
	if d, err := h.s.Take(0, 0, &Request{Key: "k", Limit: fast, Cost: 1}); err != nil || d.Allowed {
		t.Fatalf("Take = %+v, %v; want a denial", d, err)
	}
	h.take(time.Second, slow, 10) // it was full under the other limit
	h.s.Refund(Instant(time.Second), hold)
	h.remains(time.Second, slow, 0)
}

// A hold from before a reset is worth nothing.
func TestRefundAfterReset(t *testing.T) {
	h := holder{t, storeOf(t, StoreConfig{Partitions: 1})}
	l := Limit{Burst: 10}
	hold := h.take(0, l, 10)
	if err := h.s.Reset(0, "k"); err != nil {
		t.Fatal(err)
	}
	h.take(0, l, 10)
	h.s.Refund(0, hold)
	h.remains(0, l, 0)
}

// Holds of a quota are given back whole in any order.
func TestRefundOfQuota(t *testing.T) {
	h := holder{t, storeOf(t, StoreConfig{Partitions: 1})}
	l := Limit{Burst: 10}
	first, second, third := h.take(0, l, 2), h.take(0, l, 3), h.take(0, l, 5)
	h.s.Refund(0, third)
	h.s.Refund(0, first)
	h.remains(0, l, 7)
	h.s.Refund(Instant(year), second)
	h.remains(0, l, 10)
}

// Two requests of one check with one id are one.
func TestIDTwiceInOneCheck(t *testing.T) {
	h := holder{t, storeOf(t, StoreConfig{Partitions: 1})}
	l := Limit{Burst: 10}
	r := Request{Key: "k", Limit: l, Cost: 3, ID: "id"}
	again, peek := r, r
	peek.Cost = 0
	items := []Item{{Request: &peek}, {Request: &r}, {Request: &again}}
	holds, err := h.s.TakeAll(0, items, true)
	if err != nil || len(holds) != 1 {
		t.Fatalf("TakeAll = %v, %v; want one hold", holds, err)
	}
	if got, want := items[2].Decision, items[1].Decision; got != want || got.Remaining != 7 {
		t.Errorf("answers %+v and %+v, want one with 7 remaining", want, got)
	}
	h.remains(0, l, 7)
	h.s.Refund(0, holds)
	h.remains(0, l, 10)
}

// Reliefs beyond all bounds make a hold worthless, not worth more.
func TestReliefIsBounded(t *testing.T) {
	p := planOf(t, Limit{Tokens: 1, Per: time.Second, Burst: 10})
	for _, r := range []relief{{given: 1 << 63, forgot: 1 << 63}, {given: math.MaxUint64, forgot: math.MaxUint64}, {given: maxDebt, forgot: maxDebt}} {
		if got := r.since(relief{}, p); got != maxDebt {
			t.Errorf("%+v since nothing = %d, want %d", r, got, maxDebt)
		}
	}
	if got, want := (relief{given: 2, forgot: 1}).since(relief{given: math.MaxUint64}, p), 4*p.p; got != want {
		t.Errorf("4 tokens since a count wrapped = %d units, want %d", got, want)
	}
}
