package cluster

import (
	"math/bits"
	"strings"
	"sync"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// shares are the buckets from which a node answers while the holder of a key cannot be reached: each of the N members
// has one of an N-th of the rate, which is empty when the holder is lost. So all of them together admit no more than what
// the holder's bucket would have gained meanwhile, and never a second burst.
//
// What shares admitted is charged to the next holder as soon as there is one.
type shares struct {
	mu    sync.Mutex
	of    map[string]*share // by key; guarded by mu
	owing bool              // some share owes; guarded by mu
}

// share is the share of one key.
type share struct {
	limit bucket.Limit
	of    int // how many members share
	plan  *bucket.Plan
	lost  bucket.Instant // since when the holder is
	used  bucket.Instant
	part  ring.Partition
	owed  int64 // tokens admitted that no holder has been charged for
	bucket.Bucket
}

const (
	maxShares = 100_000     // beyond it a new key is denied
	shareAge  = time.Minute // after which one that is not used goes
)

func (s *shares) init() { s.of = make(map[string]*share) }

// take takes req.Cost from this node's share, one of members, of a bucket whose holder is lost since then. It denies
// where there can be no share: a quota gains nothing, and a window is not shared.
func (s *shares) take(now, lost bucket.Instant, members int, p ring.Partition, req *bucket.Request) bucket.Decision {
	if req.Limit.Tokens == 0 || req.Cost > req.Limit.Burst {
		return bucket.Decision{Allowed: req.Cost == 0}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.of[req.Key]
	if sh == nil || sh.lost != lost || sh.of != members || sh.limit != req.Limit {
		owed := sh.debt()
		if sh = newShare(sh.emptyAt(now, lost), lost, members, req.Limit); sh == nil || len(s.of) >= maxShares {
			return bucket.Decision{Allowed: req.Cost == 0}
		}
		sh.part, sh.owed = p, owed
		s.of[strings.Clone(req.Key)] = sh
	}
	sh.used = now
	d := sh.Take(now, sh.plan, req.Cost)
	if d.Allowed {
		sh.owed += req.Cost
		s.owing = s.owing || req.Cost > 0
	}
	return d
}

// debt returns what sh has admitted and nobody was charged for.
func (sh *share) debt() int64 {
	if sh == nil {
		return 0
	}
	return sh.owed
}

// A due is what the holder of a key is to be charged.
type due struct {
	part ring.Partition
	req  bucket.Request
}

// dues returns up to most charges, and takes them off the shares: who cannot deliver one gives it back by owe.
func (s *shares) dues(most int) (dues []due) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.owing {
		return nil
	}
	s.owing = false
	for key, sh := range s.of {
		if sh.owed == 0 {
			continue
		}
		if len(dues) == most {
			s.owing = true
			break
		}
		cost := min(sh.owed, bucket.MaxCost)
		dues = append(dues, due{sh.part, bucket.Request{Key: key, Limit: sh.limit, Cost: cost}})
		sh.owed -= cost
		s.owing = s.owing || sh.owed > 0
	}
	return dues
}

// owe makes a charge that was not delivered be due again.
func (s *shares) owe(d due) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sh := s.of[d.req.Key]; sh != nil {
		sh.owed += d.req.Cost
		s.owing = true
	}
}

// emptyAt returns as of when the share that comes after sh is empty: none of what sh may have given is given again. Without
// an sh there was none, or it was dropped because nobody used it for shareAge.
func (sh *share) emptyAt(now, lost bucket.Instant) bucket.Instant {
	switch {
	case sh == nil:
		return max(lost, now-bucket.Instant(shareAge))
	case sh.lost == lost:
		return now
	}
	return max(lost, sh.used, now-bucket.Instant(shareAge))
}

// newShare returns a share that is empty at the instant empty, nil if the arithmetic has no room for it.
func newShare(empty, lost bucket.Instant, members int, l bucket.Limit) *share {
	part := l
	part.Queue = 0
	hi, per := bits.Mul64(uint64(l.Per), uint64(members))
	if hi != 0 || per > 1<<62 {
		return nil
	}
	part.Per = time.Duration(per)
	plan, err := bucket.NewPlan(part, time.Time{})
	if err != nil {
		return nil
	}
	sh := &share{limit: l, of: members, plan: plan, lost: lost}
	sh.Charge(empty, plan, l.Burst)
	return sh
}

// sweep drops what has not been used for long.
func (s *shares) sweep(now bucket.Instant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, sh := range s.of {
		if age := now.Sub(sh.used); age > shareAge && sh.owed == 0 || age > 10*shareAge {
			delete(s.of, key)
		}
	}
}
