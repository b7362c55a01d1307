package main

import (
	"bytes"
	"runtime"
	"runtime/trace"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// When one processor or the other was not to be had is counted once, and of a pause only what is in it.
func TestWithin(t *testing.T) {
	late := merged([]span{{50, 60}, {10, 20}, {15, 30}, {30, 31}, {100, 200}, {12, 13}})
	if diff := cmp.Diff(late, []span{{10, 31}, {50, 60}, {100, 200}}); diff != "" {
		t.Errorf("merged (-got +want):\n%s", diff)
	}
	for _, c := range []struct {
		s    span
		want int64
	}{
		{span{0, 10}, 0},
		{span{0, 11}, 1},
		{span{12, 15}, 3},
		{span{25, 55}, 11},
		{span{31, 50}, 0},
		{span{0, 300}, 131},
		{span{150, 300}, 50},
		{span{200, 300}, 0},
	} {
		if got := c.s.within(late); got != c.want {
			t.Errorf("%d of %v are late, want %d", got, c.s, c.want)
		}
	}
}

// Each collection stops all twice, at times by the clock that a lookout goes by.
func TestPausesIn(t *testing.T) {
	var traced bytes.Buffer
	if err := trace.Start(&traced); err != nil {
		t.Skip(err) // somebody traces the tests
	}
	began := time.Now()
	for range 3 {
		runtime.GC()
	}
	took := time.Since(began)
	trace.Stop()
	pauses, err := pausesIn(&traced)
	if err != nil {
		t.Fatal(err)
	}
	if len(pauses) < 6 {
		t.Fatalf("%d pauses in 3 collections, want 6", len(pauses))
	}
	for _, p := range pauses {
		if p.To <= p.From {
			t.Errorf("pause %v ends before it begins", p)
		}
	}
	if all := time.Duration(pauses[len(pauses)-1].To - pauses[0].From); all > took {
		t.Errorf("the pauses take %v, and what they are in %v", all, took)
	}
}

// What is left of the pauses is told beside them, and how many are longer than a millisecond.
func TestStood(t *testing.T) {
	s := stood{pauses: []int64{3e6, 1e6, 2e3}, left: []int64{1e6 + 1, 5e3, 1e3}, held: time.Second, took: 4 * time.Second}
	s.sum()
	s.pauses, s.left = nil, nil
	want := stood{
		Pauses: 3, P999: 3000, Most: 3000, Over: 1, Left50: 5, Left99: 1000.001, Left999: 1000.001, LeftMost: 1000.001, LeftOver: 1, Withheld: 0.25,
		held: time.Second, took: 4 * time.Second,
	}
	if diff := cmp.Diff(s, want, cmp.AllowUnexported(stood{})); diff != "" {
		t.Errorf("sum (-got +want):\n%s", diff)
	}
}
