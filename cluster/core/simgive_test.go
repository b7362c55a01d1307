package core

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/noriahq/noria/bucket"
)

// simGifts is what clients give back without a reservation.
type simGifts struct {
	rng   *rand.Rand // of its own, so that the rest of a story stays what it was
	made  int
	given map[string]bool // ids that came to something
	back  int64           // tokens that came back
}

// give makes clients give back. Where no state is lost some say it twice.
func (s *sim) give() {
	rng := s.gifts.rng
	var keys []*simKey
	for _, k := range s.keys[max(0, len(s.keys)-2*hotKeys):] {
		if k.gives {
			keys = append(keys, k)
		}
	}
	if len(keys) > 0 && len(s.alive) > 0 {
		s.gifts.made++
		k := keys[rng.IntN(len(keys))]
		r := request{key: k, cost: 1 + rng.Int64N(k.limit.Burst/3), gives: true, name: fmt.Sprint("gift ", s.gifts.made)}
		r.at = s.alive[rng.IntN(len(s.alive))]
		if s.kind.calmly() && rng.IntN(2) == 0 {
			again := r
			s.after(time.Duration(rng.Int64N(int64(2*time.Second))), func() {
				if len(s.alive) > 0 {
					again.at = s.alive[rng.IntN(len(s.alive))]
					s.begin(&again)
				}
			})
		}
		s.begin(&r)
	}
	s.after(time.Duration(rng.ExpFloat64()*float64(60*time.Millisecond)), s.give)
}

// decideGift gives back what r says at n, if n is the holder, and tells the judge of what is given the first time.
func (s *sim) decideGift(n *simNode, r *request) (d bucket.Decision, ok bool) {
	now, k := s.clock(n), r.key
	req := bucket.Request{Key: k.name, Limit: k.limit, Cost: r.cost, ID: r.name}
	var err error
	var given int64
	switch s.plant {
	case plantGiveTwice:
		req.ID = ""
		given, d, err = n.store.Give(now, int(k.part), &req)
	case plantGiveLent:
		given, err = s.giveLent(n, &req, int(k.part))
	default:
		given, d, err = n.store.Give(now, int(k.part), &req)
	}
	if err != nil {
		return d, false
	}
	s.count(uint64(s.now), uint64(n.id[0]), uint64(k.part), uint64(given))
	if !s.gifts.given[r.name] {
		s.gifts.given[r.name] = true
		s.gifts.back += given
		k.judge.give(s.now, given, k.limit.Tokens > 0)
	}
	d.Allowed = true
	return d, true
}

// giveLent is what plantGiveLent does.
func (s *sim) giveLent(n *simNode, r *bucket.Request, part int) (int64, error) {
	if !n.store.Held(part) {
		return 0, bucket.ErrMoved
	}
	now := s.clock(n)
	st, ok := n.store.State(now, part, r.Key)
	if !ok {
		return 0, nil
	}
	one := simStore()
	if _, err := one.Take(now, part, &bucket.Request{Key: r.Key, Limit: r.Limit, Cost: 1}); err != nil {
		return 0, err
	}
	token, _ := one.State(now, part, r.Key)
	st.Lent, st.Debt = 0, max(st.Debt-r.Cost*token.Debt, 0)
	return r.Cost, n.store.Replace(now, part, []bucket.State{st})
}
