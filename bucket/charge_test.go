package bucket

import (
	"errors"
	"testing"
	"time"
)

// A charge is taken whether it is there or not, and is an error where a Take is.
func TestStoreCharge(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 2, MaxKeys: 1})
	s.Freeze(1)
	l := Limit{Tokens: 1, Per: time.Second, Burst: 10}
	r := Request{Key: "k", Limit: l, Cost: 25}
	if err := s.Charge(0, 0, &r); err != nil {
		t.Fatal(err)
	}
	for now, want := range map[time.Duration]bool{15 * time.Second: false, 16 * time.Second: true} {
		d, err := s.Take(Instant(now), 0, &Request{Key: "k", Limit: l})
		if err != nil || (d.Remaining == 1) != want {
			t.Errorf("at %v: %+v, %v; is one left: want %v", now, d, err, want)
		}
	}
	for _, c := range []struct {
		name   string
		part   int
		change func(r *Request)
		want   error
	}{
		{"not held", 1, func(*Request) {}, ErrMoved},
		{"no such partition", 2, func(*Request) {}, ErrMoved},
		{"no key", 0, func(r *Request) { r.Key = "" }, ErrKey},
		{"no limit", 0, func(r *Request) { r.Limit = Limit{} }, ErrLimit},
		{"negative", 0, func(r *Request) { r.Cost = -1 }, ErrCost},
		{"nothing", 0, func(r *Request) { r.Key, r.Cost = "l", 0 }, nil},
		{"a key that another makes room for", 0, func(r *Request) { r.Key = "l" }, nil},
		{"more than can be owed", 0, func(r *Request) { r.Cost = 1 << 62 }, nil},
	} {
		r := r
		c.change(&r)
		if err := s.Charge(0, c.part, &r); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
	if err := s.intact(); err != nil {
		t.Error(err)
	}
}
