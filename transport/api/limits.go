package api

import (
	"fmt"
	"sync"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport"
)

// maxLimits is how many limits are remembered. A service has a handful.
const maxLimits = 1024

// A limitText is a limit and how it is written, which is not always how the caller wrote it.
type limitText struct {
	limit bucket.Limit
	text  string
}

// limits reads limits and remembers the valid ones, because the same few come with every request. It is safe for
// concurrent use.
type limits struct {
	mu    sync.RWMutex
	texts map[string]limitText       // by what callers wrote; guarded by mu
	specs map[bucket.Limit]limitText // guarded by mu
}

// newLimits returns limits that remembers nothing yet.
func newLimits() *limits {
	return &limits{texts: make(map[string]limitText), specs: make(map[bucket.Limit]limitText)}
}

// parse reads text.
func (ls *limits) parse(at place, text string) (limitText, error) {
	ls.mu.RLock()
	known, ok := ls.texts[text]
	ls.mu.RUnlock()
	if ok {
		return known, nil
	}
	l, err := bucket.ParseLimit(text)
	if err != nil {
		return limitText{}, fmt.Errorf("%s: %w", at.of("limit"), err)
	}
	known = limitText{limit: l, text: l.String()}
	remember(&ls.mu, ls.texts, text, known)
	return known, nil
}

// valid checks l, which a caller gave in numbers.
func (ls *limits) valid(at place, l bucket.Limit) (limitText, error) {
	ls.mu.RLock()
	known, ok := ls.specs[l]
	ls.mu.RUnlock()
	if ok {
		return known, nil
	}
	if err := l.Validate(); err != nil {
		return limitText{}, fmt.Errorf("%s: %w", at.of("limit_spec"), err)
	}
	known = limitText{limit: l, text: l.String()}
	remember(&ls.mu, ls.specs, l, known)
	return known, nil
}

// remember puts v into m, which mu guards. A full m starts over: whoever sends ever new limits costs the others a
// parse now and then, and no memory.
func remember[K comparable](mu *sync.RWMutex, m map[K]limitText, k K, v limitText) {
	mu.Lock()
	defer mu.Unlock()
	if len(m) >= maxLimits {
		clear(m)
	}
	m[k] = v
}

// missingLimit says that a check has no limit.
func missingLimit(at place) error {
	return fmt.Errorf(`%w: %s is missing; want one such as "100/s burst 200"`, transport.ErrRequest, at.of("limit"))
}
