package api

import (
	"context"
	"time"
)

// transit is how long before a caller's deadline an answer has to leave to be there in time.
const transit = 10 * time.Millisecond

// turns holds answers to requests that were admitted but have to wait for their turn. It is safe for concurrent use.
//
// The tokens of such a request are taken and its turn is its own, whatever happens to the call; so an answer that cannot
// be held is not an error but goes out at once, and says how long the caller still has to wait.
type turns struct {
	most     time.Duration // longest wait
	held     chan struct{} // has an entry for each answer that is held
	stopping <-chan struct{}
}

// newTurns returns the turns that c asks for.
func newTurns(c Config) *turns {
	return &turns{most: c.MaxHold, held: make(chan struct{}, c.MaxHeld), stopping: c.Stopping}
}

// wait blocks until delay has passed and returns 0. It returns what is left of delay early if the server stops, and at
// once if it does not hold the answer. It returns ctx's error if ctx ends: nobody is there to answer.
func (t *turns) wait(ctx context.Context, delay time.Duration) (left time.Duration, err error) {
	if !t.hold(ctx, delay) {
		return max(0, delay), nil
	}
	defer t.release()
	return t.sleep(ctx, delay)
}

// hold says whether to hold an answer for delay, and counts it as held until release is called. It is not if there is
// nothing to wait for, ctx's deadline comes before the turn, delay is longer than an answer is held, or too many are held.
func (t *turns) hold(ctx context.Context, delay time.Duration) bool {
	if delay <= 0 || delay > t.most {
		return false
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < delay+transit {
		return false
	}
	select {
	case t.held <- struct{}{}:
		return true
	default:
		return false
	}
}

// release ends a hold.
func (t *turns) release() { <-t.held }

// sleep is wait for an answer that is held.
func (t *turns) sleep(ctx context.Context, delay time.Duration) (left time.Duration, err error) {
	turn := time.Now().Add(delay)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return 0, nil
	case <-t.stopping:
		return max(0, time.Until(turn)), nil
	case <-ctx.Done():
		return max(0, time.Until(turn)), ctx.Err()
	}
}
