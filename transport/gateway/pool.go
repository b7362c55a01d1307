package gateway

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// A pool is the upstreams of one route. A request goes to the one that is well and has the fewest requests under way.
type pool struct {
	all       []*upstream
	turn      atomic.Uint32 // where the search begins, so that equals take turns
	transport *http.Transport
}

// An upstream is one of a pool.
type upstream struct {
	url   *url.URL
	under atomic.Int64 // requests under way
	ill   atomic.Bool  // its last health check was bad
}

// maxUpstreams is the most of one pool: those tried are bits of a word.
const maxUpstreams = 64

// newPool returns a pool of the first maxUpstreams of urls.
func newPool(urls []*url.URL) *pool {
	p := &pool{}
	for _, u := range urls[:min(len(urls), maxUpstreams)] {
		p.all = append(p.all, &upstream{url: u})
	}
	return p
}

// pick returns the upstream for a request and counts the request in. tried has a bit for each that it was sent to before:
// those come last, and so do those that are ill, which are better than none.
func (p *pool) pick(tried uint64) (at int) {
	if len(p.all) == 1 {
		p.all[0].under.Add(1)
		return 0
	}
	first, best := int(p.turn.Add(1)), -1
	var least int64
	for i := range p.all {
		k := (first + i) % len(p.all)
		if rank := p.all[k].rank(tried&(1<<k) != 0); best < 0 || rank < least {
			best, least = k, rank
		}
	}
	p.all[best].under.Add(1)
	return best
}

// rank orders upstreams: not tried before tried, well before ill, then by requests under way.
func (u *upstream) rank(tried bool) int64 {
	r := min(u.under.Load(), 1<<40)
	if u.ill.Load() {
		r += 1 << 41
	}
	if tried {
		r += 1 << 42
	}
	return r
}

// watch asks all upstreams whether they are well until ctx ends.
func (p *pool) watch(ctx context.Context, s *site, logger *slog.Logger) {
	check := s.route.Health
	tick := time.NewTicker(check.Interval)
	defer tick.Stop()
	for {
		var asking sync.WaitGroup
		for _, u := range p.all {
			asking.Go(func() {
				if was := u.ill.Load(); p.ask(ctx, u, check.Path, check.Timeout) == was && ctx.Err() == nil {
					u.ill.Store(!was)
					logger.Info("health of an upstream changed", "route", s.route.Name, "upstream", u.url.Redacted(), "well", was)
				}
			})
		}
		asking.Wait()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// ask says whether u is well.
func (p *pool) ask(ctx context.Context, u *upstream, path string, wait time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.url.JoinPath(path).String(), nil)
	if err != nil {
		return false
	}
	r.Header.Set("User-Agent", "noria-health")
	a, err := p.transport.RoundTrip(r)
	if err != nil {
		return false
	}
	defer a.Body.Close()
	_, _ = io.CopyN(io.Discard, a.Body, 64<<10) // so that the connection can be used again
	return a.StatusCode/100 == 2
}
