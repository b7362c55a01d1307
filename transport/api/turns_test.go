package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// An answer is held exactly until its turn, unless nobody would hear it or the server holds enough; then it goes out at
// once and says what is left to wait.
func TestTurns(t *testing.T) {
	for _, c := range []struct {
		name     string
		config   Config
		deadline time.Duration // of the caller; 0 for none
		delay    time.Duration
		took     time.Duration
		left     time.Duration
	}{
		{name: "no wait", delay: 0},
		{name: "held", delay: time.Second, took: time.Second},
		{name: "held up to MaxHold", config: Config{MaxHold: time.Second}, delay: time.Second, took: time.Second},
		{name: "longer than MaxHold", config: Config{MaxHold: time.Second}, delay: time.Second + 1, left: time.Second + 1},
		{name: "NoHold", config: Config{MaxHold: NoHold}, delay: 1, left: 1},
		{name: "deadline after the turn", deadline: time.Second + transit, delay: time.Second, took: time.Second},
		{name: "deadline too near the turn", deadline: time.Second + transit - 1, delay: time.Second, left: time.Second},
		{name: "deadline before the turn", deadline: time.Millisecond, delay: time.Second, left: time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if c.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.deadline)
					defer cancel()
				}
				start := time.Now()
				left, err := newTurns(c.config.withDefaults()).wait(ctx, c.delay)
				if took := time.Since(start); left != c.left || took != c.took || err != nil {
					t.Errorf("wait(%v) = %v, %v after %v, want %v after %v", c.delay, left, err, took, c.left, c.took)
				}
			})
		})
	}
}

// No more than MaxHeld answers are held; a place that is given back is used again.
func TestTurnsFull(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		turns := newTurns(Config{MaxHeld: 2}.withDefaults())
		for range 2 {
			go turns.wait(t.Context(), time.Second)
		}
		synctest.Wait()
		if left, err := turns.wait(t.Context(), time.Second); left != time.Second || err != nil {
			t.Errorf("wait with no place = %v, %v, want 1s at once", left, err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if left, err := turns.wait(t.Context(), time.Second); left != 0 || err != nil {
			t.Errorf("wait with places = %v, %v, want 0", left, err)
		}
	})
}

// A server that stops sends its held answers at once, with what is left to wait; a caller that goes away is not waited
// for.
func TestTurnsEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		stopping := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(stopping) })
		left, err := newTurns(Config{Stopping: stopping}.withDefaults()).wait(t.Context(), 3*time.Second)
		if left != 2*time.Second || err != nil {
			t.Errorf("wait until the server stops = %v, %v, want 2s", left, err)
		}
	})
	bubble.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := newTurns(Config{}.withDefaults()).wait(ctx, 3*time.Second); !errors.Is(err, context.Canceled) {
			t.Errorf("wait until the caller is gone: %v, want %v", err, context.Canceled)
		}
	})
}
