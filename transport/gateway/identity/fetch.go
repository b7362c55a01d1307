package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

const (
	fetchWait = 5 * time.Second // a fetch takes at most
	askEvery  = 5 * time.Second // between the end of a fetch and one because of a token
	askWait   = 2 * time.Second // a request waits for a fetch at most
	firstWait = time.Second     // between a fetch that failed and the next one; twice as long after each
	lastWait  = 30 * time.Second
)

// A fetcher fetches a key set again and again: each refresh time, soon after a failure, and when a token has a key that is
// not known, though not more often than each askEvery: anybody can make up such tokens.
type fetcher struct {
	url     string
	refresh time.Duration
	client  *http.Client
	now     func() time.Time
	logger  *slog.Logger
	use     func([]byte) error

	wake chan struct{} // of size 1: somebody asks for a fetch

	mu    sync.Mutex
	next  time.Time     // guarded by mu: when a token may ask for a fetch
	round chan struct{} // guarded by mu: closed at the end of the fetch that is asked for or under way; nil for none
}

// newFetcher returns a fetcher that hands what it finds at url to use.
func newFetcher(url string, refresh time.Duration, c Config, use func([]byte) error) *fetcher {
	if refresh == 0 {
		refresh = 5 * time.Minute
	}
	f := &fetcher{
		url: url, refresh: refresh, client: c.Client, now: c.Now, logger: c.Logger, use: use,
		wake: make(chan struct{}, 1), round: make(chan struct{}), // the first fetch is asked for from the start
	}
	return f
}

// newClient returns the client that fetches where there is no other.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 1, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: fetchWait, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 3 || via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
				return errors.New("redirected too often, or away from https")
			}
			return nil
		},
	}
}

// run fetches until ctx ends.
func (f *fetcher) run(ctx context.Context) error {
	again := firstWait
	for {
		wait := f.refresh - rand.N(f.refresh/10+1) // nodes that started together do not ask together for ever
		if err := f.fetch(ctx); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // it was asked to end
			}
			f.logger.Warn("key set not fetched, the old keys stay", "err", err)
			wait, again = min(wait, again), min(2*again, lastWait)
		} else {
			again = firstWait
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-f.wake:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// fetch fetches the key set once, and lets those go on who wait for it.
func (f *fetcher) fetch(ctx context.Context) error {
	f.mu.Lock()
	if f.round == nil {
		f.round = make(chan struct{})
	}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.next = f.now().Add(askEvery)
		close(f.round)
		f.round = nil
		select {
		case <-f.wake: // that was this one
		default:
		}
	}()
	b, err := f.get(ctx)
	if err != nil {
		return err
	}
	return f.use(b)
}

// get returns what is at f.url.
func (f *fetcher) get(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers with status %d", req.URL.Redacted(), res.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxSetBytes+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSetBytes {
		return nil, fmt.Errorf("%s answers with more than %d bytes", req.URL.Redacted(), maxSetBytes)
	}
	return b, nil
}

// again waits for a fetch and says whether one has ended: the one under way, or one that it asks for if the last was long
// enough ago. It blocks for askWait at most, and not after the end of ctx.
func (f *fetcher) again(ctx context.Context) bool {
	f.mu.Lock()
	if f.round == nil {
		if f.now().Before(f.next) {
			f.mu.Unlock()
			return false
		}
		f.round = make(chan struct{})
		select {
		case f.wake <- struct{}{}:
		default: // cannot be: it is emptied when round becomes nil
		}
	}
	round := f.round
	f.mu.Unlock()
	timer := time.NewTimer(askWait)
	defer timer.Stop()
	select {
	case <-round:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}
