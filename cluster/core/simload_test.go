package core

import (
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// A request is a client's, at the node that it asked, until it is answered.
type request struct {
	key  *simKey
	cost int64
	at   *simNode
	end  time.Duration
	id   int
	done bool
	hops int
	try  int
}

// load makes clients ask until then.
func (s *sim) load(until time.Duration) {
	if s.now >= until {
		return
	}
	if nodes := s.living(); len(nodes) > 0 {
		s.ask(some(s, s.keys), some(s, nodes))
	}
	s.after(time.Duration(s.rng.ExpFloat64()*float64(6*time.Millisecond)), func() { s.load(until) })
}

// ask asks n for a few tokens of k.
func (s *sim) ask(k *simKey, n *simNode) {
	n.ready = n.ready || n.core.table != nil && n.core.Wants() == 0
	if !n.ready || n.draining || s.now < n.paused {
		return // clients know that much
	}
	s.asked++
	r := &request{key: k, cost: 1 + s.rng.Int64N(3), at: n, end: s.now + patience}
	s.after(patience, func() {
		if !r.done {
			r.done = true
			if n.alive && s.now >= n.paused { // who asked a node that went away asks another one
				s.degraded++
				s.answered++
				if *seed != 0 {
					s.note("degraded: %s at %s, asked at %v%s", k.name, n.id, r.end-patience, s.describe(k.part))
				}
			}
		}
	})
	s.route(r, "")
}

// route sends r to to, or to whom its node takes for the holder.
func (s *sim) route(r *request, to ring.Member) {
	n := r.at
	s.at(n, func() {
		if r.done {
			return
		}
		if to == "" {
			to, _ = n.core.Holder(r.key.part)
		}
		switch {
		case to == n.id:
			if d, ok := s.decide(n, r); ok {
				s.answer(r, d)
				return
			}
			s.again(r)
		case to == "":
			s.again(r)
		default:
			s.forward(r, to)
		}
	})
}

// again tries once more, soon: the holder is about to be known.
func (s *sim) again(r *request) {
	r.try++
	s.after(time.Duration(1+min(r.try, 8))*time.Millisecond, func() { s.route(r, "") })
}

// forward takes r to the node to, and back.
func (s *sim) forward(r *request, to ring.Member) {
	m := s.nodes[to]
	d, ok := s.travel(r.at.id, to)
	if m == nil || !ok {
		return // silence; the deadline answers
	}
	s.after(d, func() {
		if !m.alive {
			if m.refuses {
				s.after(d, func() {
					s.at(r.at, func() { r.at.core.Lost(r.key.part, to) })
					s.again(r)
				})
			}
			return
		}
		s.at(m, func() {
			dec, ok := s.decide(m, r)
			hint, term := m.core.Holder(r.key.part)
			back, arrives := s.travel(to, r.at.id)
			if !arrives {
				return
			}
			s.after(back, func() {
				if !ok {
					s.at(r.at, func() { r.at.core.Learn(r.key.part, hint, term) })
				}
				switch {
				case ok:
					s.at(r.at, func() { s.answer(r, dec) })
				case hint != "" && hint != to && r.hops < 2:
					r.hops++
					s.route(r, hint)
				default:
					r.hops = 0
					s.again(r)
				}
			})
		})
	})
}

// decide decides on r at n, if n is the holder.
func (s *sim) decide(n *simNode, r *request) (bucket.Decision, bool) {
	now := s.clock(n)
	if !n.core.Decides(now) {
		return bucket.Decision{}, false
	}
	d, err := n.store.Take(now, int(r.key.part), &bucket.Request{Key: r.key.name, Limit: r.key.limit, Cost: r.cost})
	if err != nil {
		return d, false
	}
	if d.Allowed {
		if over := r.key.judge.admit(s.now, r.cost, n); over > 0 {
			s.fail("%s: %.3f tokens too many of %s, partition %d, limit %v, credit %.1f%s", n.id, over, r.key.name, r.key.part, r.key.limit,
				r.key.judge.credit, s.describe(r.key.part))
		}
	}
	return d, true
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
}
