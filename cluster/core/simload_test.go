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
	gives bool // some of what is taken is given back
}

// addKey brings a key that nobody has asked for.
func (s *sim) addKey() {
	limits := []bucket.Limit{
		{Tokens: 1, Per: time.Hour, Burst: 40},
		{Tokens: 10, Per: time.Second, Burst: 20},
		{Tokens: 3, Per: 7 * time.Second, Burst: 30},
		{Burst: 60},
		{Burst: 15},
		{Tokens: 100, Per: time.Second, Burst: 120},
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
	k.gives = len(s.keys)/len(limits)%2 == 0
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

	gives   bool        // it gives back
	booking *simBooking // of a request that reserves, or settles
	settles bool
	decided bool // its client knows the answer
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
	if k.limit.Lendable() {
		r.cost += s.rng.Int64N(12)
	}
	if (s.kind.calmly() || s.saves.gentle) && s.rng.IntN(4) == 0 {
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
	n.ready = n.ready || n.core.table != nil && n.core.Wants() == 0 && n.core.Unsaved() == 0 && (!n.gateway || s.served(n))
	if !n.ready || n.draining || s.now < n.paused {
		return
	}
	s.asked++
	r.asked = s.now
	s.after(patience, func() { s.expire(r) })
	s.route(r, "")
}

// served says whether gateway n knows holders, and all of them serve and go by the same ring: before that it is not ready.
func (s *sim) served(n *simNode) bool {
	for id := range n.core.members {
		o := s.nodes[id].core
		if o.table == nil || o.table.Epoch() != n.core.table.Epoch() || o.Wants() > 0 {
			return false
		}
	}
	return len(n.core.members) > 0
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
