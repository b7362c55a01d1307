package gateway

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A download is the body of an answer on its way to the client. It counts what passes.
type download struct {
	io.ReadCloser
	exchange *exchange
	idle     time.Duration // the longest that is waited for its next piece
	waiting  atomic.Int64  // since when that is, in nanoseconds from stalls.base, plus 1; 0 while nobody waits
}

// Read implements io.Reader.
func (d *download) Read(p []byte) (int, error) {
	d.waiting.Store(int64(time.Since(d.exchange.gateway.stalls.base)) + 1)
	n, err := d.ReadCloser.Read(p)
	d.waiting.Store(0)
	d.exchange.outcome.bytes += int64(n)
	return n, err
}

// stalls ends answers that do not go on. One look at all of them, twice a second, takes the place of a timer for each, which
// cost 2 to 4 hundredths of a proxied request.
type stalls struct {
	base time.Time

	mu   sync.Mutex
	open map[*download]struct{} // guarded by mu
}

// stallEvery is how often answers are looked at.
const stallEvery = 500 * time.Millisecond

// add has d looked at until it is removed.
func (s *stalls) add(d *download) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[d] = struct{}{}
}

// remove has d looked at no more.
func (s *stalls) remove(d *download) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, d)
}

// run looks at all answers until ctx ends.
func (s *stalls) run(ctx context.Context) {
	tick := time.NewTicker(stallEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.look()
		case <-ctx.Done():
			return
		}
	}
}

// look ends those that have waited for too long: what is read of them then is an error.
func (s *stalls) look() {
	now := int64(time.Since(s.base)) + 1
	var stalled []*download
	s.mu.Lock()
	for d := range s.open {
		if since := d.waiting.Load(); since > 0 && now-since > int64(d.idle) {
			stalled = append(stalled, d)
		}
	}
	s.mu.Unlock()
	for _, d := range stalled {
		_ = d.ReadCloser.Close() // the reader hears of it
	}
}
