package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime/trace"
	"slices"
	"strings"
	"time"

	exptrace "golang.org/x/exp/trace"
)

// A stood is how long all stood still for garbage collections, in microseconds: as the runtime says, and how much of that is left
// without the times in which some processor was not to be had, as a lookout says. Who has to stop on such a processor does so late,
// whatever it does.
type stood struct {
	Pauses   int     `json:"pauses"`
	P999     float64 `json:"p999_us"`
	Most     float64 `json:"most_us"`
	Over     int     `json:"over_1ms"`
	Left50   float64 `json:"left_p50_us"`
	Left99   float64 `json:"left_p99_us"`
	Left999  float64 `json:"left_p999_us"`
	LeftMost float64 `json:"left_most_us"`
	LeftOver int     `json:"left_over_1ms"`
	Withheld float64 `json:"withheld"` // part of the time in which some processor was not to be had

	pauses, left []int64
	held, took   time.Duration
}

// during notes the pauses of the process while f runs.
func (s *stood) during(ctx context.Context, f func() error) error {
	l, err := watchOut(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	var traced bytes.Buffer
	if err = trace.Start(&traced); err == nil {
		err = f()
		trace.Stop()
	}
	s.took += time.Since(began)
	late, also := l.stop()
	if err := errors.Join(err, also); err != nil {
		return err
	}
	pauses, err := pausesIn(&traced)
	if err != nil {
		return err
	}
	for _, p := range pauses {
		s.pauses = append(s.pauses, p.To-p.From)
		s.left = append(s.left, p.To-p.From-p.within(late))
	}
	for _, p := range late {
		s.held += time.Duration(p.To - p.From)
	}
	return nil
}

// sum says what was noted.
func (s *stood) sum() {
	slices.Sort(s.pauses)
	slices.Sort(s.left)
	s.Pauses, s.Withheld = len(s.pauses), s.held.Seconds()/s.took.Seconds()
	s.P999, s.Most, s.Over = micros(ranked(s.pauses, 0.999)), micros(ranked(s.pauses, 1)), beyond(s.pauses, time.Millisecond)
	s.Left50, s.Left99, s.Left999 = micros(ranked(s.left, 0.5)), micros(ranked(s.left, 0.99)), micros(ranked(s.left, 0.999))
	s.LeftMost, s.LeftOver = micros(ranked(s.left, 1)), beyond(s.left, time.Millisecond)
}

// ranked returns the quantile q of sorted, 0 if there is nothing.
func ranked(sorted []int64, q float64) int64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// beyond returns how many of sorted are longer than most.
func beyond(sorted []int64, most time.Duration) int {
	at, _ := slices.BinarySearch(sorted, int64(most)+1)
	return len(sorted) - at
}

// pausesIn returns when all stood still for garbage collections in what runtime/trace wrote.
func pausesIn(traced io.Reader) (pauses []span, err error) {
	r, err := exptrace.NewReader(traced)
	if err != nil {
		return nil, err
	}
	began, ahead := exptrace.Time(-1), int64(0)
	for {
		e, err := r.ReadEvent()
		if errors.Is(err, io.EOF) {
			return pauses, nil
		}
		if err != nil {
			return nil, err
		}
		switch k := e.Kind(); {
		case k == exptrace.EventSync && e.Sync().ClockSnapshot != nil:
			at := e.Sync().ClockSnapshot
			ahead = int64(at.Mono) - int64(at.Trace) // of the machine's clock
		case k == exptrace.EventRangeBegin && isPause(e):
			began = e.Time()
		case k == exptrace.EventRangeEnd && isPause(e) && began >= 0:
			pauses = append(pauses, span{int64(began) + ahead, int64(e.Time()) + ahead})
			began = -1
		}
	}
}

// isPause says whether e is of a time in which all stand still for a garbage collection.
func isPause(e exptrace.Event) bool { return strings.HasPrefix(e.Range().Name, "stop-the-world (GC") }
