package limiter

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
)

// Lines are where those stand who wait for tokens: one line for each key, first come first served. They are safe for
// concurrent use.
type Lines struct {
	most int

	mu      sync.Mutex
	of      map[string]*line // those that are not empty; guarded by mu
	waiting int              // in all of them; guarded by mu
}

// A line is guarded by its Lines' mu.
type line struct {
	key     string
	limit   bucket.Limit
	waiters []*waiter // the first one asks
	ready   time.Time // when there can be tokens for the first one at the earliest; zero if it has not heard
}

// A waiter is one who stands in line.
type waiter struct {
	line *line
	cost int64
	end  time.Time     // when it gives up; zero for never
	turn chan struct{} // closed when it is the first, or err is there

	called bool  // turn is closed; guarded by the Lines' mu
	err    error // set before turn is closed
}

// NewLines returns Lines with room for most waiters, at least 1.
func NewLines(most int) *Lines {
	return &Lines{most: max(most, 1), of: map[string]*line{}}
}

// Wait calls ask until its Decision is Allowed, and then waits for the Decision's Delay. Who comes while others wait for key
// does not ask before they are done, so of one key one is served after the other. cost and l, which may be zero where they are not known, tell those in line how
// long they will wait at least.
//
// If ctx ends before that, or no waiting helps, the error wraps cluster.ErrTooLate and comes as soon as it is known; it is
// ErrCrowded where no room is left, and otherwise ctx's or ask's.
func (ls *Lines) Wait(ctx context.Context, key string, cost int64, l bucket.Limit, ask func(context.Context) (bucket.Decision, error)) (bucket.Decision, error) {
	var d bucket.Decision
	free := ls.free(key)
	if free {
		var err error
		if d, err = ask(ctx); err != nil {
			return d, err
		}
		if d.Allowed {
			return d, goAhead(ctx, d.Delay)
		}
	}
	w, first, err := ls.join(ctx, key, cost, l)
	if err != nil {
		return d, err
	}
	if d, err = ls.stand(ctx, w, d, free && first, ask); err != nil {
		return d, err
	}
	return d, goAhead(ctx, d.Delay)
}

// free says whether nobody waits for key.
func (ls *Lines) free(key string) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.of[key] == nil
}

// join puts a new waiter at the end of key's line, and says whether it is the first.
func (ls *Lines) join(ctx context.Context, key string, cost int64, l bucket.Limit) (w *waiter, first bool, err error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.waiting >= ls.most {
		return nil, false, fmt.Errorf("%w: %d of them", ErrCrowded, ls.waiting)
	}
	at := ls.of[key]
	if at == nil {
		at = &line{key: key, limit: l}
	}
	w = &waiter{line: at, cost: cost, turn: make(chan struct{})}
	w.end, _ = ctx.Deadline()
	at.waiters = append(at.waiters, w)
	if err := at.late(at.behind(len(at.waiters)-1), w); err != nil {
		at.waiters = at.waiters[:len(at.waiters)-1]
		return nil, false, err
	}
	ls.of[key] = at
	ls.waiting++
	if first = len(at.waiters) == 1; first {
		w.call(nil)
	}
	return w, first, nil
}

// stand waits for w's turn, and asks then until it is allowed. heard says that d is a refusal that has just come.
func (ls *Lines) stand(ctx context.Context, w *waiter, d bucket.Decision, heard bool, ask func(context.Context) (bucket.Decision, error)) (bucket.Decision, error) {
	defer ls.leave(w)
	select {
	case <-w.turn:
	case <-ctx.Done():
		return d, ctx.Err()
	}
	if w.err != nil {
		return d, w.err
	}
	for {
		if !heard {
			var err error
			if d, err = ask(ctx); err != nil || d.Allowed {
				return d, err
			}
		}
		heard = false
		if d.RetryAfter == bucket.Never {
			return d, fmt.Errorf("%w: the tokens never will be", cluster.ErrTooLate)
		}
		wait := max(d.RetryAfter, minRetry)
		if err := ls.tell(w, wait); err != nil {
			return d, err
		}
		if err := sleep(ctx, wait); err != nil {
			return d, err
		}
	}
}

// tell lets all in the line of w, which is its first, know that nothing is there before wait has passed. It returns an error if
// that is too late for w.
func (ls *Lines) tell(w *waiter, wait time.Duration) error {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	at := w.line
	at.ready = time.Now().Add(wait)
	cost := int64(0)
	for i, o := range at.waiters {
		if i > 0 {
			cost += o.cost
		}
		err := at.late(cost, o)
		if err == nil {
			continue
		}
		if i == 0 {
			return fmt.Errorf("%w: %v from now", cluster.ErrTooLate, wait) // the next will hear for themselves
		}
		cost -= o.cost // it will not take them
		o.call(err)
	}
	return nil
}

// behind returns the tokens that those after the first, up to the one with index i, wait for.
func (at *line) behind(i int) (cost int64) {
	for k := 1; k <= i; k++ {
		if w := at.waiters[k]; w.err == nil {
			cost += w.cost
		}
	}
	return cost
}

// late returns an error if w, which goes ahead when the tokens for the first and further ones for cost are there, has given
// up by then.
func (at *line) late(cost int64, w *waiter) error {
	if w.end.IsZero() || at.ready.IsZero() {
		return nil
	}
	more := at.limit.Refill(cost)
	if left := time.Until(w.end); more != bucket.Never && time.Until(at.ready) <= left-more {
		return nil
	}
	return fmt.Errorf("%w: others in line come first", cluster.ErrTooLate)
}

// leave takes w out of its line, and calls the next if it was the first.
func (ls *Lines) leave(w *waiter) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	at := w.line
	i := slices.Index(at.waiters, w)
	at.waiters = slices.Delete(at.waiters, i, i+1)
	ls.waiting--
	if len(at.waiters) == 0 {
		delete(ls.of, at.key)
		return
	}
	if i == 0 {
		at.ready = time.Time{}
		at.waiters[0].call(nil)
	}
}

// call tells w that it is its turn, or that it will have none.
func (w *waiter) call(err error) {
	if !w.called {
		w.called, w.err = true, err
		close(w.turn)
	}
}

// minRetry keeps those who wait from asking more often than a clock ticks.
const minRetry = time.Millisecond

// goAhead waits for a turn that the holder gave, unless it comes too late.
func goAhead(ctx context.Context, delay time.Duration) error {
	if end, ok := ctx.Deadline(); ok && delay > 0 && time.Until(end) < delay {
		return fmt.Errorf("%w: the turn comes in %v", cluster.ErrTooLate, delay)
	}
	return sleep(ctx, delay)
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
