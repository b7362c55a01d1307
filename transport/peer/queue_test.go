package peer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/noriahq/noria/cluster"
)

// A queue gives back what was put in, in its order and within the bounds of a batch, without what has expired.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var model []entry
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 50).Draw(t, "n") {
					a := &cluster.Ask{
						Checks: make([]cluster.Check, rapid.IntRange(1, 3).Draw(t, "checks")),
						Wait:   time.Duration(rapid.IntRange(1, 10).Draw(t, "wait")),
						Most:   time.Duration(rapid.IntRange(0, 20).Draw(t, "most")),
					}
					e := newEntry(a, moment{}, rapid.IntRange(1, 9).Draw(t, "bytes"))
					q.push(e)
					model = append(model, e)
				}
			},
			"pop": func(t *rapid.T) {
				checks, size := rapid.IntRange(1, 60).Draw(t, "checks"), rapid.IntRange(1, 150).Draw(t, "size")
				n := fitting(model, checks, size)
				if diff := cmp.Diff(asksOf(q.pop(nil, checks, size)), asksOf(model[:n]), byPointer); diff != "" {
					t.Fatalf("pop(%d, %d) (-got +want):\n%s", checks, size, diff)
				}
				model = model[n:]
			},
			"expire": func(t *rapid.T) {
				now := instant(rapid.IntRange(0, 20).Draw(t, "now"))
				heard := instant(rapid.IntRange(0, int(now)).Draw(t, "heard"))
				dead, kept, next := []entry{}, []entry{}, never
				for _, e := range model {
					if e.deadline <= now && heard+e.ask.Wait > now && e.last > now {
						e.deadline = min(heard+e.ask.Wait, e.last) // it is slow
					}
					if e.deadline <= now {
						dead = append(dead, e)
					} else {
						kept, next = append(kept, e), min(next, e.deadline)
					}
				}
				got, gotNext := q.expire(moment{now: now, wall: now}, heard, nil)
				if diff := cmp.Diff(got, asksOf(dead), byPointer); diff != "" || gotNext != next {
					t.Fatalf("expire(%d, %d): next %d, want %d (-got +want):\n%s", now, heard, gotNext, next, diff)
				}
				model = kept
			},
			"": func(t *rapid.T) {
				if q.n != len(model) {
					t.Fatalf("queue has %d entries, want %d", q.n, len(model))
				}
			},
		})
	})
}

// fitting returns how many of model fit a batch, at least the first.
func fitting(model []entry, checks, size int) int {
	for i, e := range model {
		checks, size = checks-len(e.ask.Checks), size-int(e.bytes)
		if i > 0 && (checks < 0 || size < 0) {
			return i
		}
	}
	return len(model)
}

func asksOf(es []entry) (asks []*cluster.Ask) {
	for _, e := range es {
		asks = append(asks, e.ask)
	}
	return asks
}

var byPointer = cmp.Comparer(func(a, b *cluster.Ask) bool { return a == b })
