package bucket

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A memory is a list of what was remembered last, cut off by age and number.
func TestMemoryIsAList(t *testing.T) {
	checkMany(t, 5, func(t *rapid.T) {
		type entry struct {
			k  memoKey
			d  Decision
			at Instant
		}
		const most, age = 5, time.Minute
		var m memory
		var now Instant
		var list []entry // oldest first; one that is forgotten keeps its place, without a key
		m.init(most, age)
		find := func(k memoKey) *entry {
			for i := range list {
				if e := &list[i]; e.k == k && now.Sub(e.at) <= age {
					return e
				}
			}
			return nil
		}
		request := func(t *rapid.T) *Request {
			return &Request{ID: fmt.Sprint(rapid.IntRange(1, 8).Draw(t, "id")), Key: rapid.SampledFrom([]string{"k", "l"}).Draw(t, "key"), Cost: 1}
		}
		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) { now += Instant(rapid.Int64Range(0, int64(age)).Draw(t, "ns")) },
			"remember": func(t *rapid.T) {
				r, d := request(t), Decision{Allowed: true, Remaining: int64(now)}
				m.remember(now, partOf(r.Key), r, &d)
				k := memoKey{partOf(r.Key), r.ID, r.Key}
				if find(k) == nil {
					list = append(list, entry{k, d, now})
				}
				for len(list) > most || len(list) > 0 && now.Sub(list[0].at) > age {
					list = list[1:]
				}
			},
			"forget": func(t *rapid.T) {
				r := request(t)
				m.forget(partOf(r.Key), r.ID, r.Key)
				if e := find(memoKey{partOf(r.Key), r.ID, r.Key}); e != nil {
					e.k = memoKey{}
				}
			},
			"": func(t *rapid.T) {
				for id := range 9 {
					r := &Request{ID: fmt.Sprint(id), Key: "k", Cost: 1}
					got, ok := m.recall(now, partOf(r.Key), r)
					e := find(memoKey{partOf(r.Key), r.ID, r.Key})
					if ok && (e == nil || got != e.d) {
						t.Fatalf("recall(%s) = %+v, want %+v", r.ID, got, e)
					}
					if !ok && e != nil {
						t.Fatalf("recall(%s): nothing, want %+v", r.ID, *e)
					}
				}
				if len(m.of) > most || len(m.ring) > most || m.tail-m.head > most {
					t.Fatalf("%d remembered in %d places, want at most %d", len(m.of), len(m.ring), most)
				}
			},
		})
	})
}

// A request that is sent many times at once under one id is charged once, and all get the one answer.
func TestIDIsChargedOnce(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 4})
	l := Limit{Burst: 1000}
	for round := range 100 {
		key, id := fmt.Sprint("key ", round), fmt.Sprint("id ", round)
		var wg sync.WaitGroup
		answers := make([]Decision, 8)
		for i := range answers {
			wg.Go(func() {
				r := &Request{Key: key, Limit: l, Cost: 10, ID: id}
				d, err := s.Take(0, round%4, r)
				if err != nil {
					t.Error(err)
				}
				answers[i] = d
			})
		}
		wg.Wait()
		for _, got := range answers {
			if want := answers[0]; got != want || got.Remaining != 990 {
				t.Fatalf("answer %+v, another %+v", got, want)
			}
		}
	}
}

// A denial is not remembered: under its id the request may be sent again and be allowed.
func TestIDOfADenial(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1})
	l := Limit{Tokens: 1, Per: time.Second, Burst: 1}
	take := func(now time.Duration, id string) bool {
		t.Helper()
		d, err := s.Take(Instant(now), 0, &Request{Key: "k", Limit: l, Cost: 1, ID: id})
		if err != nil {
			t.Fatal(err)
		}
		return d.Allowed
	}
	for _, c := range []struct {
		now  time.Duration
		id   string
		want bool
	}{
		{0, "a", true},
		{0, "b", false},
		{0, "a", true},
		{time.Second, "b", true},
		{time.Second, "c", false},
		{time.Second, "a", true},
		{time.Second, "b", true},
		{2*time.Minute + 2*time.Second, "a", true}, // charged again: it is forgotten
		{2*time.Minute + 2*time.Second, "c", false},
	} {
		if got := take(c.now, c.id); got != c.want {
			t.Errorf("at %v under id %s: allowed is %v, want %v", c.now, c.id, got, c.want)
		}
	}
}
