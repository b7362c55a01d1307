package core

import (
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// route sends r to to, or to whom its node takes for the holder.
func (s *sim) route(r *request, to ring.Member) {
	n := r.at
	s.at(n, func() {
		if r.done {
			return
		}
		if to == "" {
			to, _ = n.core.Route(r.key.part)
		}
		switch to {
		case n.id:
			if d, ok := s.decide(n, r); ok {
				s.answer(r, d)
				return
			}
			s.again(r)
		case "":
			s.again(r)
		default:
			if r.chain == 0 && s.spend(r) {
				return
			}
			s.forward(r, to)
		}
	})
}

// again tries once more, soon: the holder is about to be known.
func (s *sim) again(r *request) {
	r.try++
	r.hops, r.chain = 0, 0
	s.after(time.Duration(1+min(r.try, 8))*time.Millisecond, func() { s.route(r, "") })
}

// forward takes r to the node to, and back.
func (s *sim) forward(r *request, to ring.Member) {
	if r.chain++; r.chain > 3 { // to the holder, and after two redirects
		s.fail("a request for %s went through %d nodes", r.key.name, r.chain)
		return
	}
	m := s.nodes[to]
	d, ok := s.travel(r.at.id, to)
	if r.chain == 1 && r.at.core.members[to] == nil { // who redirects knows the address, but here nobody does
		r.at.core.Lost(r.key.part, to)
		s.again(r)
		return
	}
	if m == nil || !ok {
		return // silence; the deadline answers
	}
	known := r.at.core.members[to]
	s.after(d, func() {
		other := known != nil && known.boot != m.boot // a connection is to one run
		if !m.alive || other {
			if m.refuses || other {
				s.after(d, func() {
					s.at(r.at, func() { r.at.core.Lost(r.key.part, to) })
					s.again(r)
				})
			}
			return
		}
		s.at(m, func() { s.forwarded(r, m) })
	})
}

// forwarded answers r at m, to which another node has taken it.
func (s *sim) forwarded(r *request, m *simNode) {
	dec, ok := s.decide(m, r)
	hint, term := m.core.Route(r.key.part)
	back, arrives := s.travel(m.id, r.at.id)
	if !arrives {
		return
	}
	s.after(back, func() {
		s.at(r.at, func() {
			if ok {
				s.answer(r, dec)
				return
			}
			r.at.core.Learn(r.key.part, hint, term)
			if hint != "" && hint != m.id && (r.hops < 2 || s.plant == plantLoop) {
				r.hops++
				s.route(r, hint)
				return
			}
			s.again(r)
		})
	})
}

// decide decides on r at n, if n is the holder.
func (s *sim) decide(n *simNode, r *request) (bucket.Decision, bool) {
	now := s.clock(n)
	if !n.core.Decides(now) {
		return bucket.Decision{}, false
	}
	if r.booking != nil {
		return s.decideBooked(n, r)
	}
	if r.gives {
		return s.decideGift(n, r)
	}
	k := r.key
	d, err := n.store.Take(now, int(k.part), &bucket.Request{Key: k.name, Limit: k.limit, Cost: r.cost, ID: r.name})
	if err != nil {
		return d, false
	}
	if remained, ok := s.charged[r.name]; ok {
		if !d.Allowed || d.Remaining != remained {
			s.fail("%s: %s of %s was charged before, and %d remained; now it is %+v", n.id, r.name, k.name, remained, d)
		}
		return d, true
	}
	s.judge(n, r, d)
	return d, true
}

// judge looks at what n decided.
func (s *sim) judge(n *simNode, r *request, d bucket.Decision) {
	k := r.key
	s.count(uint64(s.now), uint64(n.id[0]), uint64(k.part), uint64(r.cost), uint64(d.Remaining))
	if !d.Allowed {
		if under := k.judge.deny(s.now, r.cost); under > 0 && !k.limit.Lendable() && (k.limit.Tokens == 0 || s.kind.calmly()) &&
			(!k.judge.given || s.exact()) {
			s.fail("%s denies %d of %s, partition %d, limit %v, of which %.3f more are there%s", n.id, r.cost, k.name, k.part, k.limit, under,
				s.describe(k.part))
		}
		return
	}
	if r.name != "" {
		s.charged[r.name] = d.Remaining
	}
	if over := k.judge.admit(s.now, r.cost, n); over > 0 {
		s.fail("%s: %.3f tokens too many of %s, partition %d, limit %v%s", n.id, over, k.name, k.part, k.limit, s.describe(k.part))
	}
}

func (s *sim) answer(r *request, d bucket.Decision) {
	if r.done {
		return
	}
	r.done = true
	s.answered++
	if d.Allowed {
		s.allowed++
	}
	if r.booking != nil {
		s.bookAnswered(r, d)
	}
}
