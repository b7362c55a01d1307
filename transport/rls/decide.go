package rls

import (
	"context"
	"fmt"
	"time"

	"github.com/noriahq/noria/bucket"
)

// decide takes the costs of all hard limits or of none, with those of the soft ones that have room. Mostly it asks once. It
// asks again where soft limits deny, without those.
func (q *question) decide(ctx context.Context, l Limiter) error {
	asked := q.begin()
	for len(asked) > 0 {
		ds, err := q.ask(ctx, l, asked)
		if err != nil {
			return err
		}
		if ds.Allowed() || q.denied(asked, ds) {
			for i, at := range asked {
				q.items[at].hear(ds[i], ds.Allowed())
			}
			return nil
		}
		rest := asked[:0]
		for i, at := range asked {
			if ds[i].Allowed {
				rest = append(rest, at)
				continue
			}
			q.items[at].hear(ds[i], false)
		}
		asked = rest
	}
	return nil
}

// giveBack gives back what items say that do, if nothing else denies: who is denied asks again, and says so again.
func (q *question) giveBack(ctx context.Context, l Limiter) (err error) {
	allowed := q.allowed()
	for i := range q.items {
		it := &q.items[i]
		if it.kind < soft || !it.back || it.bucket == (bucket.Limit{}) {
			continue
		}
		r := bucket.Request{Key: it.key, Limit: it.bucket}
		if allowed && it.hits > 0 {
			r.Cost = int64(min(it.hits, bucket.MaxCost))
			it.decision, err = l.GiveBack(ctx, r)
		} else {
			it.decision, err = l.Check(ctx, r)
		}
		if err != nil {
			return err
		}
		it.told = true
	}
	return nil
}

// begin returns the items whose buckets are to be asked. Where a hard limit never lets its hits through all are asked how
// much there is, and none is charged.
func (q *question) begin() (asked []int) {
	lost := false
	for i := range q.items {
		it := &q.items[i]
		if it.kind < soft || !it.never() {
			continue
		}
		it.over = true
		it.decision.RetryAfter = bucket.Never
		lost = lost || it.kind == hard
	}
	for i := range q.items {
		it := &q.items[i]
		if it.kind < soft || it.back || it.bucket == (bucket.Limit{}) {
			continue
		}
		if !lost && !it.over {
			it.cost = int64(it.hits)
		}
		asked = append(asked, i)
	}
	return asked
}

// ask asks the buckets of the items at asked, all or none.
func (q *question) ask(ctx context.Context, l Limiter, asked []int) (bucket.Decisions, error) {
	rs := make([]bucket.Request, len(asked))
	for i, at := range asked {
		it := &q.items[at]
		rs[i] = bucket.Request{Key: it.key, Limit: it.bucket, Cost: it.cost}
	}
	if len(rs) == 1 {
		d, err := l.Check(ctx, rs[0])
		return bucket.Decisions{d}, err
	}
	ds, err := l.CheckAll(ctx, rs)
	if err == nil && len(ds) != len(rs) {
		err = fmt.Errorf("%d decisions on %d checks", len(ds), len(rs))
	}
	return ds, err
}

// denied says whether a hard limit of those at asked denies.
func (q *question) denied(asked []int, ds bucket.Decisions) bool {
	for i, at := range asked {
		if !ds[i].Allowed && q.items[at].kind == hard {
			return true
		}
	}
	return false
}

// hear keeps d, a decision on it. Where the whole was not allowed nothing was taken, though d may speak as if.
func (it *item) hear(d bucket.Decision, all bool) {
	never := it.over
	it.decision, it.told = d, d.Node != ""
	switch {
	case !d.Allowed:
		it.over = true
	case never:
		it.decision.Allowed, it.decision.RetryAfter = false, bucket.Never
	case it.cost < int64(it.hits) && it.told && d.Remaining < int64(it.hits): // it was asked how much there is
		it.over = true
		it.decision.Allowed, it.decision.RetryAfter = false, it.wait()
	case !all && it.told:
		it.decision.Remaining = min(d.Remaining+it.cost, it.bucket.Burst)
		if d.ResetAfter != bucket.Never {
			it.decision.ResetAfter = max(0, d.ResetAfter-it.bucket.Refill(it.cost))
		}
	}
}

// wait returns how long it takes until there is enough for it, from what is left: with windows until they end.
func (it *item) wait() time.Duration {
	if it.bucket.Window != bucket.None {
		return it.decision.ResetAfter
	}
	return it.bucket.Refill(int64(it.hits) - it.decision.Remaining)
}

// allowed says whether no hard limit is over.
func (q *question) allowed() bool {
	for i := range q.items {
		if q.items[i].kind == hard && q.items[i].over {
			return false
		}
	}
	return true
}
