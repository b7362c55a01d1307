package chaos

import (
	"context"
	"sync"
	"time"
)

// A meter notes how late this machine's clocks are: a machine that stands still for a second makes a fleet break no
// promise, and may look as if it did.
type meter struct {
	base time.Time

	mu    sync.Mutex
	rests []rest // guarded by mu

	stolen   processors // while it measured; guarded by mu
	withheld []Span     // guarded by mu
}

// A rest is a time in which nothing ran.
type rest struct{ from, to time.Duration }

const (
	meterTick = 5 * time.Millisecond
	meterNote = 5 * time.Millisecond // lateness that is noted
	maxRests  = 100_000
)

// run measures until ctx ends.
func (m *meter) run(ctx context.Context) {
	timer := time.NewTimer(meterTick)
	defer timer.Stop()
	for {
		due := time.Now().Add(meterTick)
		if !sleep(ctx, timer, meterTick) {
			return
		}
		if late := time.Since(due); late > meterNote {
			m.mu.Lock()
			if len(m.rests) < maxRests {
				m.rests = append(m.rests, rest{due.Sub(m.base), due.Sub(m.base) + late})
			}
			m.mu.Unlock()
		}
	}
}

// late returns the longest rest that shares a moment with the span.
func (m *meter) late(from, to time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var most time.Duration
	for _, r := range m.rests {
		if r.from <= to && r.to >= from {
			most = max(most, r.to-r.from)
		}
	}
	return most
}
