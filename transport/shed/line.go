package shed

import (
	"context"
	"sync"
	"time"
)

// A line is requests that are held back, in the order in which they came. Its zero value is empty. It is safe for concurrent use.
type line struct {
	mu      sync.Mutex
	waiting []*place // guarded by mu
	left    int      // of these, those that went away; guarded by mu
}

// A place is that of a request in a line.
type place struct {
	since time.Time
	in    chan bool // gets whether the request is let in
	gone  bool      // nobody waits there any more; guarded by the line's mu
}

// wait blocks until a request is let in, or is not, or ctx ends.
func (l *line) wait(ctx context.Context) (in bool) {
	p := &place{since: time.Now(), in: make(chan bool, 1)}
	l.mu.Lock()
	l.waiting = append(l.waiting, p)
	l.mu.Unlock()
	select {
	case in = <-p.in:
		return in
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p.gone = true
	l.left++
	return false
}

// release lets the first n in, and refuses those before them that have waited since oldest or longer.
func (l *line) release(n int, oldest time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	done := 0
	for _, p := range l.waiting {
		if n == 0 && p.since.After(oldest) {
			break
		}
		done++
		switch {
		case p.gone:
			l.left--
		case p.since.After(oldest):
			n--
			p.in <- true
		default:
			p.in <- false
		}
	}
	clear(l.waiting[:done])
	if l.waiting = l.waiting[done:]; len(l.waiting) == 0 {
		l.waiting = nil
	}
}

// len returns how many wait.
func (l *line) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(len(l.waiting)-l.left, 0)
}
