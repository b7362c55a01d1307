package bucket

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func quotaOf(i int) Limit { return Limit{Burst: int64(i) + 1} }

// Limits that no bucket uses any more make room for others; those in use never lose their number.
func TestPlansAreUsedAgain(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1})
	take := func(i int) error {
		_, err := s.Take(0, 0, &Request{Key: fmt.Sprint(i), Limit: quotaOf(i), Cost: 1})
		return err
	}
	for i := range maxPlans {
		if err := take(i); err != nil {
			t.Fatalf("limit %d: %v", i, err)
		}
	}
	if err := take(maxPlans); !errors.Is(err, ErrFull) {
		t.Fatalf("limit %d: %v, want ErrFull", maxPlans, err)
	}
	if err := s.intact(); err != nil {
		t.Fatal(err)
	}
	for i := range maxPlans / 2 {
		if err := s.Reset(0, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxPlans / 2 {
		if err := take(maxPlans + i); err != nil {
			t.Fatalf("limit %d: %v", maxPlans+i, err)
		}
	}
	if err := take(0); !errors.Is(err, ErrFull) {
		t.Fatalf("one limit more: %v, want ErrFull", err)
	}
	if err := s.intact(); err != nil {
		t.Fatal(err)
	}
	if s.Drop(0); len(s.plans.of) != maxPlans {
		t.Errorf("%d limits known, want %d", len(s.plans.of), maxPlans)
	}
	for _, i := range s.plans.of {
		if got := s.plans.at(i).refs.Load(); got != 0 {
			t.Fatalf("%d references to %v, want none", got, s.plans.at(i).limit)
		}
	}
}

// Limits that are asked for but never used by a bucket, as those of peeks and of bad requests, leave nothing behind.
func TestPlansOfNothing(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1})
	for i := range 3 * maxPlans {
		r := &Request{Key: "k", Limit: quotaOf(i), Cost: int64(i%2) * (quotaOf(i).Burst + 1)}
		if _, err := s.Take(0, 0, r); err != nil && !errors.Is(err, ErrCost) {
			t.Fatal(err)
		}
		if err := s.Check(r); err != nil && !errors.Is(err, ErrCost) {
			t.Fatal(err)
		}
	}
	if err := s.intact(); err != nil {
		t.Fatal(err)
	}
}

// All limits see the wall clock set, and those that come later too.
func TestSetEpoch(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1, Epoch: time.Unix(30, 0)})
	l := Limit{Burst: 3, Window: Fixed, Per: time.Minute}
	r := &Request{Key: "k", Limit: l, Cost: 1}
	reset := func(want time.Duration) {
		t.Helper()
		if d, err := s.Take(0, 0, r); err != nil || d.ResetAfter != want {
			t.Errorf("Take = %+v, %v; want ResetAfter %v", d, err, want)
		}
	}
	reset(30 * time.Second)
	s.SetEpoch(time.Unix(50, 0))
	reset(10 * time.Second)
	r.Key, r.Limit.Per = "other", time.Hour
	reset(time.Hour - 50*time.Second)
}
