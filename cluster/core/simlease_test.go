package core

import (
	"time"

	"github.com/noriahq/noria/bucket"
)

// simLease is what a node was lent of one key.
type simLease struct {
	Lease
	lender *simNode // who lent of it last
	busy   bool     // it is being asked for, or given back
}

// lease returns n's lease of k.
func (n *simNode) lease(k *simKey) *simLease {
	l := n.leases[k]
	if l == nil {
		l = new(simLease)
		n.leases[k] = l
	}
	return l
}

// spend answers r from what its node was lent, and says whether it could. Now and then the node asks for more, or gives it
// back.
func (s *sim) spend(r *request) bool {
	n, k := r.at, r.key
	if !k.limit.Lendable() || r.name != "" {
		return false
	}
	l, now := n.lease(k), s.clock(n)
	switch s.rng.IntN(12) {
	case 0, 1, 2, 3:
		s.borrow(n, k, l, 20+s.rng.Int64N(100))
	case 4:
		s.borrow(n, k, l, 0)
	}
	if s.plant == plantLateLease {
		now = min(now, l.Until()-1)
	}
	s.waver(n, k, l, now)
	left, _, ok := l.Spend(now, r.cost)
	if !ok {
		return false
	}
	s.spent++
	s.count(uint64(s.now), uint64(n.id[0]), uint64(left))
	if s.kind.calmly() || l.lender.alive && s.owner[k.part] == l.lender && !s.alone(l.lender) {
		if over := k.judge.admit(s.now, r.cost, l.lender); over > 0 {
			s.fail("%s: %.3f tokens too many of %s, partition %d, limit %v, from what %s lent%s", n.id, over, k.name, k.part, k.limit,
				l.lender.id, s.describe(k.part))
		}
	} // else it is what was lent before its lender was lost, and the next holder need not know of it
	s.answer(r, bucket.Decision{Allowed: true, Source: bucket.FromLease, Remaining: left})
	return true
}

// waver makes a check of several limits take tokens now and then, and put them back half a second later as another limit denies.
// Many ask for the key then, whose bucket has been refilled meanwhile.
func (s *sim) waver(n *simNode, k *simKey, l *simLease, now bucket.Instant) {
	if s.rng.IntN(30) > 0 {
		return
	}
	cost := 1 + s.rng.Int64N(max(l.Left(), 1))
	_, round, ok := l.Spend(now, cost)
	if !ok {
		return
	}
	s.after(s.upTo(600*time.Millisecond), func() {
		if s.plant == plantReturnLate {
			round = roundOf(l.word.Load())
		}
		l.Return(cost, round)
		for range 30 {
			s.after(s.upTo(20*time.Millisecond), func() {
				if n.alive {
					s.ask(k, n)
				}
			})
		}
	})
}

// borrow asks the holder for tokens of k; with want 0 it gives back what is left.
func (s *sim) borrow(n *simNode, k *simKey, l *simLease, want int64) {
	to, _ := n.core.Route(k.part)
	m := s.nodes[to]
	if l.busy || m == nil || m == n {
		return
	}
	l.busy = true
	s.serial++
	sent := s.clock(n)
	ln := bucket.Lending{To: string(n.id), Serial: s.serial, For: LeaseFor}
	if want > 0 {
		ln.Rest = l.Report(sent)
	} else {
		if s.plant == plantKeepLease {
			ln.Back = l.Left()
		} else {
			ln.Back = l.End(sent)
		}
	}
	done := false
	finish := func(held int64) {
		if done {
			return
		}
		done, l.busy = true, false
		if held >= 0 && want > 0 {
			l.lender = m
			l.Answered(sent, ln.Rest, held)
		}
	}
	s.after(tellWait, func() { finish(-1) })
	arrive := func() {
		s.at(m, func() {
			if now := s.clock(m); m.core.Decides(now) {
				ln := ln
				_, err := m.store.Lend(now, int(k.part), &bucket.Request{Key: k.name, Limit: k.limit, Cost: want}, &ln)
				s.after(s.upTo(30*time.Millisecond), func() { m.store.Lent(int(k.part), k.name, &ln) })
				if back, ok := s.travel(m.id, n.id); ok && err == nil {
					s.after(back, func() { s.at(n, func() { finish(ln.Held) }) })
				}
			}
		})
	}
	d, ok := s.travel(n.id, m.id)
	if ok {
		s.after(d, arrive)
	}
	if s.rng.Float64() < s.net.twice {
		s.after(d+s.upTo(3*time.Second), arrive)
	}
}

// borrowers makes nodes borrow of the keys that are asked for most.
func (s *sim) borrowers() {
	for _, k := range s.keys[max(0, len(s.keys)-hotKeys):] {
		if !k.limit.Lendable() || len(s.alive) == 0 {
			continue
		}
		if n := some(s, s.alive); n.ready && s.now >= n.paused {
			s.borrow(n, k, n.lease(k), 50+s.rng.Int64N(70))
		}
	}
	s.after(50*time.Millisecond+s.upTo(100*time.Millisecond), s.borrowers)
}

// rush makes many ask for what is lent of partition p, which has moved a moment ago: what a holder does not know of is
// admitted twice then.
func (s *sim) rush(p int) {
	for _, k := range s.keys[max(0, len(s.keys)-hotKeys):] {
		if int(k.part) != p || !k.limit.Lendable() {
			continue
		}
		for range 40 {
			s.after(300*time.Millisecond+s.upTo(100*time.Millisecond), func() {
				if len(s.alive) > 0 {
					s.ask(k, some(s, s.alive))
				}
			})
		}
	}
}
