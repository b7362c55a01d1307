package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A load is a run of a bench under way.
type load struct {
	bench   *bench
	callers []caller
	tally   *tally
	tickets atomic.Int64 // requests that were given to a caller
}

// newLoad returns the run of b over callers, one per target.
func newLoad(b *bench, callers []caller) *load {
	return &load{bench: b, callers: callers, tally: newTally()}
}

// run asks until the bench is over or ctx ends, and returns how long that took.
func (l *load) run(ctx context.Context) time.Duration {
	began := time.Now()
	until, cancel := context.WithDeadline(ctx, began.Add(l.bench.duration))
	defer cancel()
	// A stream that takes nothing more would hold its callers beyond their timeouts.
	stuck := time.AfterFunc(l.bench.duration+l.bench.timeout, l.close)
	defer stuck.Stop()
	var g sync.WaitGroup
	for i := range l.bench.concurrency {
		g.Go(func() { l.work(ctx, until, began, i) })
	}
	g.Wait()
	return time.Since(began)
}

// close closes all connections.
func (l *load) close() {
	for _, c := range l.callers {
		c.close()
	}
}

// work is one caller's part: until ends what starts, ctx ends what is under way.
func (l *load) work(ctx, until context.Context, began time.Time, number int) {
	var (
		picker = l.bench.keys.picker(number)
		keys   = make([]string, l.bench.batch)
		timer  = time.NewTimer(time.Hour)
	)
	defer timer.Stop()
	for until.Err() == nil {
		ticket := l.tickets.Add(1) - 1
		if l.bench.requests > 0 && ticket >= int64(l.bench.requests) {
			return
		}
		start, ok := l.turn(until, timer, began, ticket)
		if !ok {
			return
		}
		picker.pick(keys)
		got := l.ask(ctx, int(ticket), number, keys)
		if ctx.Err() != nil {
			return // stopped: what was under way says nothing
		}
		l.tally.add(number, time.Since(start), got)
		if got.err != "" && l.bench.rate == 0 && !pause(until, timer) {
			return
		}
	}
}

// turn returns when the request of ticket should have started: in an open loop it is its time on the schedule, for which
// turn waits, and in a closed loop now. It returns false if that is after the end.
func (l *load) turn(until context.Context, timer *time.Timer, began time.Time, ticket int64) (start time.Time, ok bool) {
	if l.bench.rate == 0 {
		return time.Now(), true
	}
	start = began.Add(schedule(ticket, l.bench.rate))
	if end, _ := until.Deadline(); !start.Before(end) {
		return start, false
	}
	wait := time.Until(start)
	if wait <= 0 {
		return start, true // late, and the latency will say so
	}
	timer.Reset(wait)
	select {
	case <-timer.C:
		return start, true
	case <-until.Done():
		return start, false
	}
}

// schedule returns when, after the begin, a ticket of an open loop starts.
func schedule(ticket int64, rate int) time.Duration {
	whole, part := ticket/int64(rate), ticket%int64(rate)
	return time.Duration(whole)*time.Second + time.Duration(part)*time.Second/time.Duration(rate)
}

// errorPause is how long a caller of a closed loop rests after an error: a node that is gone refuses at once, and asking
// a million times a second says nothing more.
const errorPause = 10 * time.Millisecond

// pause rests after an error. It returns false if the end came.
func pause(until context.Context, timer *time.Timer) bool {
	timer.Reset(errorPause)
	select {
	case <-timer.C:
		return true
	case <-until.Done():
		return false
	}
}

// ask asks one target in turn.
func (l *load) ask(ctx context.Context, ticket, number int, keys []string) outcome {
	ctx, cancel := context.WithTimeout(ctx, l.bench.timeout)
	defer cancel()
	return l.callers[ticket%len(l.callers)].ask(ctx, number, keys)
}
