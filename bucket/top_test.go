package bucket

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// The keys that are asked for most are found among many times as many takes of others.
func TestTopAmongNoise(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 64})
	rnd := rand.New(rand.NewPCG(1, 2))
	l := Limit{Tokens: 1000, Per: time.Second, Burst: 1000}
	take := func(i int) {
		if _, err := s.Take(0, i%64, &Request{Key: fmt.Sprint("key ", i), Limit: l, Cost: 1}); err != nil {
			t.Fatal(err)
		}
	}
	const takes, hot = 200_000, 5
	for range takes {
		if rnd.IntN(10) == 0 {
			take(rnd.IntN(hot)) // each 2 % of all
		} else {
			take(hot + rnd.IntN(takes/5))
		}
	}
	got := s.Top(hot)
	if len(got) != hot {
		t.Fatalf("Top(%d) = %v", hot, got)
	}
	for i := range hot {
		found := false
		for _, h := range got {
			found = found || h.Key == fmt.Sprint("key ", i)
		}
		if !found {
			t.Errorf("key %d is not among %v", i, got)
		}
	}
	for _, h := range got {
		if want := uint64(takes / 50); h.Takes < want/3 || h.Takes > want*3 {
			t.Errorf("%q is said to have been asked for %d times, want about %d", h.Key, h.Takes, want)
		}
	}
	if got := len(s.Top(1000)); got != topSize {
		t.Errorf("%d keys are counted, want %d", got, topSize)
	}
}

// What was hot once is not for ever.
func TestTopFades(t *testing.T) {
	top := NewTop()
	for range 1000 {
		top.Add("old", 1000)
	}
	for range 20_000 {
		top.Add("new", 1000)
	}
	got := top.List(2)
	if len(got) != 2 || got[0].Key != "new" || got[1].Takes > 200_000 {
		t.Errorf("list = %v, want old to have faded", got)
	}
	if got := top.List(-1); len(got) != 0 {
		t.Errorf("list(-1) = %v", got)
	}
}
