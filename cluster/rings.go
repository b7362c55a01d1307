package cluster

import (
	"sync"

	"github.com/noriahq/noria/ring"
)

// rings makes rings, in half a millisecond each among few members. It is safe for concurrent use.
type rings struct {
	mu      sync.Mutex
	builder *ring.Builder // guarded by mu
}

// of returns the ring of ids.
func (r *rings) of(ids []ring.Member) (*ring.Table, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.builder.Table(ids)
}

// without returns t's ring without id; nil if nobody is in that.
func (r *rings) without(t *ring.Table, id ring.Member) (*ring.Table, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rest, err := r.builder.Without(t, id)
	if err != nil || len(rest.Members()) == 0 {
		return nil, err
	}
	return rest, nil
}
