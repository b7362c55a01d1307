package client

import (
	"context"
	"errors"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport"
)

// alone answers requests by their OnLost rules while no node does.
type alone struct {
	clients int         // 0: not known
	down    atomic.Bool // base is not zero

	mu    sync.Mutex
	base  time.Time         // Instant 0: when the first request was not answered; zero while nodes answer; guarded by mu
	parts map[string]*share // by key, since then; guarded by mu
}

// share is what this client may admit of one bucket: its part of the rate, and none of what is in the bucket already, as the
// others, who cannot be asked, may have taken that.
type share struct {
	bucket.Bucket
	limit bucket.Limit
	plan  *bucket.Plan
}

const (
	aloneRetry = time.Second // what a caller is told to wait when nobody can say how long
	maxShares  = 10_000      // beyond it a new key is denied
)

func newAlone(clients int) *alone { return &alone{clients: clients} }

// isLost says whether err is of nodes that cannot be reached, do not answer or have too much to do.
func isLost(err error) bool {
	return transport.IsOverloaded(err) || errors.Is(err, ErrLost) || errors.Is(err, context.DeadlineExceeded) ||
		status.Code(err) == codes.Unavailable || status.Code(err) == codes.DeadlineExceeded
}

// reached notes that a node answers: shares begin empty when none does again.
func (a *alone) reached() {
	if !a.down.Load() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.base, a.parts = time.Time{}, nil
	a.down.Store(false)
}

// decide answers rs, all or nothing, at now. The error is of a request that no node would have taken.
func (a *alone) decide(now time.Time, rs []bucket.Request) (bucket.Decisions, error) {
	for i := range rs {
		if err := rs[i].Check(); err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.base.IsZero() {
		a.base, a.parts = now, map[string]*share{}
		a.down.Store(true)
	}
	at := max(bucket.Instant(now.Sub(a.base)), 0) // another caller may have set base a little later than now
	all := make(bucket.Decisions, len(rs))
	var before []undo
	for i := range rs {
		sh := a.share(at, &rs[i])
		if sh != nil {
			before = append(before, undo{sh, sh.Bucket})
		}
		all[i] = decideOne(at, sh, &rs[i])
	}
	if !all.Allowed() {
		for i := len(before) - 1; i >= 0; i-- { // one key may be there twice
			before[i].of.Bucket = before[i].was
		}
	}
	return all, nil
}

// undo is a share as it was before a request.
type undo struct {
	of  *share
	was bucket.Bucket
}

// decideOne answers r by its OnLost rule, and where that is Share from sh, nil if there can be none.
func decideOne(now bucket.Instant, sh *share, r *bucket.Request) bucket.Decision {
	d := bucket.Decision{Allowed: r.Cost == 0 || r.OnLost == bucket.Allow}
	if sh != nil {
		d = sh.Take(now, sh.plan, r.Cost)
	}
	d.Degraded, d.Source = true, bucket.FromDegraded
	if !d.Allowed && (d.RetryAfter == 0 || d.RetryAfter == bucket.Never) {
		d.RetryAfter = aloneRetry
	}
	return d
}

// share returns this client's share of r's bucket, nil if there can be none: a quota gains nothing, and a window is not shared.
func (a *alone) share(now bucket.Instant, r *bucket.Request) *share {
	if r.OnLost != bucket.Share || a.clients == 0 || r.Limit.Tokens == 0 {
		return nil
	}
	sh := a.parts[r.Key]
	if sh != nil && sh.limit == r.Limit {
		return sh
	}
	if sh == nil && len(a.parts) >= maxShares {
		return nil
	}
	part := r.Limit
	part.Queue = 0
	hi, per := bits.Mul64(uint64(part.Per), uint64(a.clients))
	if hi != 0 || per > 1<<62 {
		return nil
	}
	part.Per = time.Duration(per)
	plan, err := bucket.NewPlan(part, time.Time{})
	if err != nil {
		return nil // the arithmetic has no room for it
	}
	empty := bucket.Instant(0)
	if sh != nil { // what it gave under another limit it does not give again
		empty = now
	}
	sh = &share{limit: r.Limit, plan: plan}
	sh.Charge(empty, plan, part.Burst)
	a.parts[strings.Clone(r.Key)] = sh
	return sh
}
