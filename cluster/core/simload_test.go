package core

import (
	"fmt"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// simKey is a key, with the judge of what is admitted for it.
type simKey struct {
	name  string
	part  ring.Partition
	limit bucket.Limit
	judge judge
}

// addKey brings a key that nobody has asked for.
func (s *sim) addKey() {
	limits := []bucket.Limit{
		{Tokens: 1, Per: time.Hour, Burst: 40},
		{Tokens: 10, Per: time.Second, Burst: 20},
		{Tokens: 3, Per: 7 * time.Second, Burst: 30},
		{Burst: 60},
		{Burst: 15},
	}
	l := limits[len(s.keys)%len(limits)]
	k := &simKey{name: fmt.Sprintf("key %d of %d", len(s.keys), s.rng.IntN(1000)), limit: l}
	k.part = ring.Partition(ring.Hash(k.name) % simPartitions)
	rate := 0.0
	if l.Tokens > 0 {
		rate = float64(l.Tokens) / l.Per.Seconds()
	}
	k.judge = judge{
		burst: float64(l.Burst), level: float64(l.Burst), least: float64(l.Burst), at: s.now,
		fast: rate * (1 + 3*driftMost), slow: rate * (1 - 3*driftMost),
	}
	s.keys = append(s.keys, k)
}

// hotKeys is how many keys are asked for most: those that came last, since what is spent no fault can lose.
const hotKeys = 12

// newKeys makes a new key hot now and then.
func (s *sim) newKeys() {
	s.addKey()
	s.after(400*time.Millisecond+s.upTo(800*time.Millisecond), s.newKeys)
}

func (s *sim) someKey() *simKey {
	if len(s.keys) > hotKeys && s.rng.IntN(4) > 0 {
		return some(s, s.keys[len(s.keys)-hotKeys:])
	}
	return some(s, s.keys)
}

// A request is a client's, at the node that it asked, until it is answered.
type request struct {
	key   *simKey
	cost  int64
	name  string // "" if it may be charged twice
	at    *simNode
	asked time.Duration
	done  bool
	hops  int
	chain int // messages since it last waited
	try   int
}

// load makes clients ask.
func (s *sim) load() {
	if len(s.alive) > 0 {
		s.ask(s.someKey(), some(s, s.alive))
	}
	s.after(time.Duration(s.rng.ExpFloat64()*float64(15*time.Millisecond)), s.load)
}

// hammer makes many ask for one key at once now and then.
func (s *sim) hammer() {
	k := s.someKey()
	for range 5 + s.rng.IntN(20) {
		s.after(s.upTo(30*time.Millisecond), func() {
			if len(s.alive) > 0 {
				s.ask(k, some(s, s.alive))
			}
		})
	}
	s.after(300*time.Millisecond+s.upTo(time.Second), s.hammer)
}

// ask asks n for a few tokens of k. Where no state is lost some requests have an id, and are sent once more.
func (s *sim) ask(k *simKey, n *simNode) {
	r := request{key: k, cost: 1 + s.rng.Int64N(3), at: n}
	if s.kind.calmly() && s.rng.IntN(4) == 0 {
		s.ids++
		r.name = fmt.Sprint("id ", s.ids)
		twice := r
		s.after(s.upTo(2*time.Second), func() {
			if len(s.alive) > 0 {
				twice.at = some(s, s.alive)
				s.begin(&twice)
			}
		})
	}
	s.begin(&r)
}

// begin sends r. A client does not ask a node that is not ready, or that leaves.
func (s *sim) begin(r *request) {
	n := r.at
	n.ready = n.ready || n.core.table != nil && n.core.Wants() == 0
	if !n.ready || n.draining || s.now < n.paused {
		return
	}
	s.asked++
	r.asked = s.now
	s.after(patience, func() { s.expire(r) })
	s.route(r, "")
}

// expire answers r without its holder.
func (s *sim) expire(r *request) {
	switch {
	case r.done:
		return
	case !r.at.alive || s.now < r.at.paused: // who asked a node that went away asks another one
		r.done = true
		s.gone++
		return
	}
	r.done = true
	s.degraded++
	s.answered++
	s.note("degraded: %s, partition %d, at %s, asked at %v", r.key.name, r.key.part, r.at.id, r.asked)
	switch {
	case s.kind == moves:
		s.fail("%s has no answer for %s although nodes only joined and left%s", r.at.id, r.key.name, s.describe(r.key.part))
	case s.agree && r.asked > s.agreed+healWait && s.net.loss == 0 && s.net.spike == 0:
		s.fail("%s has no answer for %s although all views are the same since %v%s", r.at.id, r.key.name, s.agreed, s.describe(r.key.part))
	}
}

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
		if under := k.judge.deny(s.now, r.cost); under > 0 && (k.limit.Tokens == 0 || s.kind.calmly()) {
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
}
