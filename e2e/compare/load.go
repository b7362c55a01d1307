package main

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

// An ask makes one check about key and says whether it was allowed. It returns an error if it was not decided as it should
// be, by whom it should be.
type ask func(ctx context.Context, key string) (allowed bool, err error)

// An asker returns how the caller of a number asks about keys under l.
type asker func(caller int, l limit) ask

// loaded is what a load found.
type loaded struct {
	asked, failed int64
	failure       error // the first
	took          time.Duration
	latency       *hdrhistogram.Histogram // nanoseconds
	cpu           time.Duration           // of this process and the others
	admitted      int64                   // from the first check on, those that do not count for the rest among them
	whole         time.Duration           // in which these were admitted
	slowest       float64                 // checks a second at that node of a fleet whose callers made the fewest
}

// load does j with a and these keys, for the time that j says after a tenth of it that does not count. The others are the
// processes that do the work together with this one.
func load(ctx context.Context, j job, a asker, keys []string, others []int) (loaded, error) {
	all, began := newCallers(j, a, keys), time.Now()
	all.ask(ctx, j.For/10)
	all.forget()
	before, err := processorTime(others)
	if err != nil {
		return loaded{}, err
	}
	took := all.ask(ctx, j.For)
	after, err := processorTime(others)
	out := all.sum()
	out.took, out.cpu, out.whole = took, after-before, time.Since(began)
	if err == nil {
		err = ctx.Err()
	}
	return out, err
}

// prime asks about every key until it is answered well, under l, with as many callers as are measured.
func prime(ctx context.Context, a asker, l limit, keys []string) error {
	all, ctx := errgroup.WithContext(ctx)
	for i := range manyCallers {
		all.Go(func() error {
			next := a(i, l)
			for at := i; at < len(keys); at += manyCallers {
				if err := primeKey(ctx, next, keys[at]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return all.Wait()
}

// primeKey asks about key until it is answered well: a service that has just started may be late once, or a node of it not
// have reached another one yet.
func primeKey(ctx context.Context, next ask, key string) error {
	return until(ctx, func() error {
		allowed, err := next(ctx, key)
		if err == nil && !allowed {
			return errors.Join(errGiveUp, errDenied)
		}
		return err
	})
}

var errDenied = errors.New("denied, although there is plenty")

// callers ask at once.
type callers []*caller

// newCallers returns the callers of j, who ask by a about keys.
func newCallers(j job, a asker, keys []string) callers {
	all := make(callers, j.Callers)
	for i := range all {
		number := j.First + i
		all[i] = &caller{
			next: a(number, j.limit()), keys: keys, at: number * len(keys) / max(j.Of, 1),
			denies: j.Load == over, latency: newHistogram(),
		}
	}
	return all
}

// ask lets all ask until d has passed and they have their answers, and returns how long that took.
func (cs callers) ask(ctx context.Context, d time.Duration) time.Duration {
	began := time.Now()
	var running sync.WaitGroup
	for _, c := range cs {
		running.Go(func() { c.ask(ctx, d) })
	}
	running.Wait()
	return time.Since(began)
}

// forget drops what callers have counted, but for what was admitted.
func (cs callers) forget() {
	for _, c := range cs {
		c.latency.Reset()
		c.asked, c.failed, c.failure = 0, 0, nil
	}
}

// sum returns what all have counted.
func (cs callers) sum() loaded {
	l := loaded{latency: newHistogram()}
	for _, c := range cs {
		l.add(loaded{asked: c.asked, failed: c.failed, failure: c.failure, admitted: c.admitted, latency: c.latency})
	}
	return l
}

// add counts o into l; times stay as they are.
func (l *loaded) add(o loaded) {
	l.asked += o.asked
	l.failed += o.failed
	l.admitted += o.admitted
	if l.failure == nil {
		l.failure = o.failure
	}
	l.latency.Merge(o.latency)
}

// A caller asks one question after the other.
type caller struct {
	next                    ask
	keys                    []string
	at                      int
	denies                  bool // a denial is a good answer
	asked, failed, admitted int64
	failure                 error
	latency                 *hdrhistogram.Histogram
}

// newHistogram returns one for 10 ns to 10 s with steps of 1 %.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(10, int64(10*time.Second), 2)
}

// restEvery is how many checks a caller makes before it lets others have their turn. Nobody asks all the time; without it,
// what the network brings to a process whose callers never wait would wait 10 ms for each of them.
const restEvery = 16

// ask asks until d has passed.
func (c *caller) ask(ctx context.Context, d time.Duration) {
	began := time.Now()
	for end := began.Add(d); began.Before(end) && ctx.Err() == nil; {
		allowed, err := c.next(ctx, c.keys[c.at])
		now := time.Now()
		c.count(allowed, err)
		_ = c.latency.RecordValue(min(int64(now.Sub(began)), int64(10*time.Second))) // it is in range
		began = now
		if c.at++; c.at == len(c.keys) {
			c.at = 0
		}
		if c.asked%restEvery == 0 {
			runtime.Gosched()
			began = time.Now()
		}
	}
}

// count counts an answer.
func (c *caller) count(allowed bool, err error) {
	c.asked++
	if allowed {
		c.admitted++
	} else if err == nil && !c.denies {
		err = errDenied
	}
	if err != nil {
		c.failed++
		if c.failure == nil {
			c.failure = err
		}
	}
}
