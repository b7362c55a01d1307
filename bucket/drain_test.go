package bucket

import (
	"errors"
	"testing"
	"time"
)

// What is there is taken where it is too little, and the answer says that it was, what is left, and when it will do.
func TestDrain(t *testing.T) {
	const now = Instant(time.Second)
	for _, c := range []struct {
		limit              string
		take, drain        int64
		wantTaken, wantNow int64
		allowed            bool
		retry              time.Duration
	}{
		{"10/s burst 100", 0, 30, 30, 70, true, 0},
		{"10/s burst 100", 90, 30, 10, 0, false, 3 * time.Second},
		{"10/s burst 100", 100, 30, 0, 0, false, 3 * time.Second},
		{"10/s burst 100", 40, 200, 60, 0, false, Never},
		{"10/s burst 100", 40, 0, 0, 60, true, 0},
		{"quota 100", 99, 2, 1, 0, false, Never},
		{"window 100 per 10s", 60, 50, 40, 0, false, 9 * time.Second},
		{"10/s burst 10 queue 5", 8, 4, 4, 0, true, 0}, // two of them wait for their turn
		{"10/s burst 10 queue 5", 8, 20, 2, 0, false, Never},
	} {
		s := storeOf(t, StoreConfig{Partitions: 4})
		r := Request{Key: "k", Limit: mustParse(t, c.limit), Cost: c.take}
		if d, err := s.Take(now, 1, &r); err != nil || !d.Allowed {
			t.Fatal(d, err)
		}
		r.Cost = c.drain
		taken, d, err := s.Drain(now, 1, &r)
		if err != nil || taken != c.wantTaken || d.Allowed != c.allowed || d.Remaining != c.wantNow || d.RetryAfter != c.retry {
			t.Errorf("%s, %d taken, %d drained: %d, %+v, %v; want %d, %d left, %v, after %v", c.limit, c.take, c.drain, taken, d, err, c.wantTaken,
				c.wantNow, c.allowed, c.retry)
		}
		r.Cost = 0
		if d, err := s.Take(now, 1, &r); err != nil || d.Remaining != c.wantNow {
			t.Errorf("%s: %+v, %v afterwards, want %d left", c.limit, d, err, c.wantNow)
		}
	}
	s := storeOf(t, StoreConfig{Partitions: 1})
	if _, _, err := s.Drain(now, 0, &Request{Key: "k", Limit: mustParse(t, "concurrency 5"), Cost: 1}); !errors.Is(err, ErrLimit) {
		t.Errorf("slots: %v, want ErrLimit", err)
	}
}

// With an id what is there is taken once.
func TestDrainOnce(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1})
	r := Request{Key: "k", Limit: mustParse(t, "quota 10"), Cost: 4, ID: "x"}
	for range 2 {
		if _, d, err := s.Drain(0, 0, &r); err != nil || !d.Allowed || d.Remaining != 6 {
			t.Fatal(d, err)
		}
	}
	if d, err := s.Take(0, 0, &r); err != nil || d.Remaining != 6 {
		t.Errorf("the same as a Take: %+v, %v", d, err)
	}
}
