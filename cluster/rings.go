package cluster

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/ring"
)

const (
	// ringsMost is how many rings are kept, of 32 KiB each: more than twice foreseeMost.
	ringsMost = 64

	// foreseeMost is up to how many members a node makes the rings of what may come next before it comes.
	foreseeMost = 16

	// foreseeAfter is how long nothing must have changed before it does: a change has work enough.
	foreseeAfter = time.Second

	// ringRest is the rest that follows each quarter of a millisecond of work on a ring that is not in a hurry.
	ringRest = 500 * time.Microsecond
)

// rings makes rings and keeps the last of them. One takes some 10 ms, on all nodes at once, which checks on a small
// machine feel: so a node makes those that a leave or a crash would need in advance and with rests, and has to make one
// at once only for a change that nobody could foresee and nobody can wait for. It is safe for concurrent use.
type rings struct {
	one     chan struct{} // holds a token while nobody works; not a mutex, as who has it may sleep
	builder *ring.Builder // used by who took the token
	hurried atomic.Int32  // how many wait for a ring that is needed at once
	mu      sync.Mutex
	self    ring.Member   // whose heirs are asked for; guarded by mu
	made    []*ring.Table // the one used last is last; guarded by mu
}

func (r *rings) init(b *ring.Builder) {
	r.one, r.builder = make(chan struct{}, 1), b
	r.one <- struct{}{}
	b.Rest(func() {
		if r.hurried.Load() == 0 {
			time.Sleep(ringRest)
		}
	})
}

// of returns the ring of ids, made at once if hurry.
func (r *rings) of(ids []ring.Member, hurry bool) (*ring.Table, error) {
	ids = slices.Sorted(slices.Values(ids))
	if t := r.find(ids); t != nil {
		return t, nil
	}
	if hurry {
		r.hurried.Add(1)
		defer r.hurried.Add(-1)
	}
	<-r.one
	defer func() { r.one <- struct{}{} }()
	if t := r.find(ids); t != nil {
		return t, nil
	}
	t, err := r.builder.Table(ids)
	if err == nil {
		r.keep(t)
	}
	return t, err
}

// without returns t's ring without id; nil if nobody is in that.
func (r *rings) without(t *ring.Table, id ring.Member, hurry bool) (*ring.Table, error) {
	rest := slices.DeleteFunc(slices.Clone(t.Members()), func(m ring.Member) bool { return m == id })
	if len(rest) == 0 {
		return nil, nil
	}
	return r.of(rest, hurry)
}

// heirs returns t's ring without self, the node that the rings are for; nil if nobody is in that.
func (r *rings) heirs(t *ring.Table, self ring.Member, hurry bool) (*ring.Table, error) {
	r.mu.Lock()
	r.self = self
	r.mu.Unlock()
	return r.without(t, self, hurry)
}

// find returns the ring of ids, which are in order, if it is kept.
func (r *rings) find(ids []ring.Member) *ring.Table {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.made, func(t *ring.Table) bool { return slices.Equal(t.Members(), ids) })
	if i < 0 {
		return nil
	}
	t := r.made[i]
	r.made = append(slices.Delete(r.made, i, i+1), t)
	return t
}

func (r *rings) keep(t *ring.Table) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.made = append(r.made, t); len(r.made) > ringsMost {
		r.made = slices.Delete(r.made, 0, 1)
	}
}

// foresee makes the rings that a node which goes by the last of the tables from next would need if one member were gone,
// until ctx ends.
func (r *rings) foresee(ctx context.Context, next <-chan *ring.Table) error {
	var last *ring.Table
	quiet := time.NewTimer(foreseeAfter)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case last = <-next:
			quiet.Reset(foreseeAfter)
			continue
		case <-quiet.C:
		}
		if last == nil || len(last.Members()) > foreseeMost {
			continue
		}
		for _, id := range last.Members() {
			if ctx.Err() != nil || len(next) > 0 {
				break
			}
			if err := r.foreseeLoss(last, id); err != nil {
				return err
			}
		}
	}
}

// foreseeLoss makes t's ring without id, and the one of the node's heirs in that.
func (r *rings) foreseeLoss(t *ring.Table, id ring.Member) error {
	rest, err := r.without(t, id, false)
	if err != nil || rest == nil {
		return err
	}
	r.mu.Lock()
	self := r.self
	r.mu.Unlock()
	_, err = r.without(rest, self, false)
	return err
}
