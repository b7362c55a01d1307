package core

import (
	"math"
	"time"

	"github.com/noriahq/noria/ring"
)

// A scenario is what may happen in a run.
type scenario uint8

// The scenarios.
const (
	moves      scenario = iota // joins and graceful leaves, no loss
	roughMoves                 // the same, and messages are lost, late and repeated
	kills                      // processes die; their addresses refuse connections
	deaths                     // hosts die: only gossip can tell
	pauses                     // nodes stand still
	cutsBoth                   // the network falls apart
	cutsOneWay                 // some cannot be heard, but hear
	restarts                   // nodes come back under their names
	everything
	scenarios
)

func (k scenario) String() string {
	return [...]string{"moves", "rough moves", "kills", "deaths", "pauses", "cuts", "one-way cuts", "restarts", "everything"}[k]
}

// fault makes the next fault happen, and the one after.
func (s *sim) fault(until time.Duration) {
	if s.now >= until {
		return
	}
	kinds := map[scenario][]func(){
		moves:      {s.join, s.leave},
		roughMoves: {s.join, s.leave},
		kills:      {s.kill, s.join},
		deaths:     {s.die, s.join},
		pauses:     {s.pause, s.join},
		cutsBoth:   {s.cut, s.cut, s.leave},
		cutsOneWay: {s.cutOneWay},
		restarts:   {s.restart, s.rolling},
		everything: {s.join, s.leave, s.kill, s.die, s.pause, s.cut, s.cutOneWay, s.restart},
	}[s.kind]
	kinds[s.rng.IntN(len(kinds))]()
	gap := 300*time.Millisecond + time.Duration(s.rng.Int64N(int64(3*time.Second)))
	if s.kind != moves && s.kind != roughMoves {
		gap += 8 * time.Second // a second loss before the first is made good is another promise
	}
	s.after(gap, func() { s.fault(until) })
}

func (s *sim) join() {
	if id := s.spare(); id != "" && len(s.living()) < 7 {
		s.note("%s joins", id)
		s.start(id)
	}
}

// leave makes a node drain and go.
func (s *sim) leave() {
	if nodes := s.living(); len(nodes) > 2 {
		s.drain(some(s, nodes), func() {})
	}
}

func (s *sim) drain(n *simNode, then func()) {
	if n.draining {
		return
	}
	s.note("%s leaves", n.id)
	n.draining = true
	n.sees[n.id] = Member{ID: n.id, Boot: n.boot, Draining: true}
	s.spread(n, s.lag)
	s.drained(n, then)
}

// drained ends n once it has nothing any more.
func (s *sim) drained(n *simNode, then func()) {
	if !n.alive {
		return
	}
	ok := false
	for _, m := range n.sees {
		ok = ok || m.ID != n.id && !m.Draining
	}
	if n.core.Has() > 0 || !ok || s.now < n.paused {
		s.after(50*time.Millisecond, func() { s.drained(n, then) })
		return
	}
	s.note("%s has left", n.id)
	s.after(time.Second, func() { // in which it tells those who still ask it who holds what it held
		n.alive, n.refuses = false, true
		for _, o := range s.living() {
			s.unlearn(o, n, s.lag(), true)
		}
		then()
	})
}

// loses gives each key that n may hold the credit for what its death may forget.
func (s *sim) loses(n *simNode, window time.Duration) {
	for _, k := range s.keys {
		k.judge.credit += math.Min(k.judge.burst, k.judge.lent(n, s.now-window))
	}
}

// window is how long an admission may be without a replica: a tick, the way there, and what loss and delay add.
func (s *sim) window() time.Duration {
	w := 20*time.Millisecond + 2*s.net.delay
	if s.net.spike > 0 {
		w += 60 * 2 * s.net.delay
	}
	if s.net.loss > 0 {
		w += 3 * (tellWait + 20*time.Millisecond)
	}
	return w
}

// kill ends a process: its address refuses connections.
func (s *sim) kill() {
	if nodes := s.living(); len(nodes) > 2 {
		s.end(some(s, nodes))
	}
}

func (s *sim) end(n *simNode) {
	s.note("%s is killed", n.id)
	s.loses(n, s.window())
	n.alive, n.refuses = false, true
	for _, o := range s.living() {
		s.unlearn(o, n, 5*time.Millisecond+time.Duration(s.rng.Int64N(int64(120*time.Millisecond))), true)
	}
}

// die ends a host: nobody says that it is gone.
func (s *sim) die() {
	if nodes := s.living(); len(nodes)-1 > s.dead+1 {
		n := some(s, nodes)
		s.dead++
		s.note("%s dies with its host", n.id)
		s.loses(n, s.window())
		n.alive = false
		for _, o := range s.living() {
			s.unlearn(o, n, s.miss(), false)
		}
	}
}

// pause makes a node stand still for a while.
func (s *sim) pause() {
	if nodes := s.living(); len(nodes) > 2 {
		n := some(s, nodes)
		d := time.Duration(s.rng.Int64N(int64(7 * time.Second)))
		s.note("%s stands still for %v", n.id, d)
		s.loses(n, s.window())
		n.paused = s.now + d
		for _, o := range s.living() {
			if o != n {
				s.unlearn(o, n, s.miss(), false)
			}
		}
		s.after(d, func() {
			do := n.deferred
			n.deferred = nil
			for _, f := range do {
				s.at(n, f)
			}
			s.note("%s goes on", n.id)
			for _, o := range s.living() {
				s.learn(o, n, s.lag())
			}
		})
	}
}

// cut divides the nodes into two sides for a while.
func (s *sim) cut() {
	nodes := s.living()
	if len(nodes) < 3 {
		return
	}
	side := map[ring.Member]bool{}
	for _, n := range nodes {
		side[n.id] = s.rng.IntN(3) == 0
	}
	s.part(nodes, func(a, b ring.Member) bool { return side[a] != side[b] })
}

// cutOneWay makes a node unheard by some for a while.
func (s *sim) cutOneWay() {
	nodes := s.living()
	mute := some(s, nodes)
	deaf := map[ring.Member]bool{}
	for _, n := range nodes {
		deaf[n.id] = s.rng.IntN(2) == 0
	}
	s.part(nodes, func(a, b ring.Member) bool { return a == mute.id && deaf[b] })
}

// part cuts all ways that are says to cut for a while. Both sides of a cut miss each other, also where it is one-way.
func (s *sim) part(nodes []*simNode, are func(a, b ring.Member) bool) {
	d := 200*time.Millisecond + time.Duration(s.rng.Int64N(int64(9*time.Second)))
	s.note("cut for %v", d)
	for _, a := range nodes {
		for _, b := range nodes {
			if a == b || !are(a.id, b.id) {
				continue
			}
			s.note("  %s cannot reach %s", a.id, b.id)
			s.cuts[[2]ring.Member{a.id, b.id}] = true
			s.unlearn(a, b, s.miss(), false)
			s.unlearn(b, a, s.miss(), false)
		}
	}
	for _, k := range s.keys { // what was admitted without a replica until the holder saw that it was alone
		k.judge.credit += k.judge.burst + k.judge.rate*(1500*time.Millisecond+s.window()).Seconds()
	}
	s.after(d, func() {
		s.note("heal")
		clear(s.cuts)
		for _, a := range s.living() {
			for _, b := range s.living() {
				if a != b {
					s.learn(a, b, s.lag())
				}
			}
		}
	})
}

// restart kills a node that comes back before it is missed, or after.
func (s *sim) restart() {
	if nodes := s.living(); len(nodes) > 2 {
		n := some(s, nodes)
		s.end(n)
		s.after(time.Duration(s.rng.Int64N(int64(2*time.Second))), func() {
			s.note("%s comes back", n.id)
			s.start(n.id)
		})
	}
}

// rolling makes a node leave and come back.
func (s *sim) rolling() {
	if nodes := s.living(); len(nodes) > 2 {
		n := some(s, nodes)
		s.drain(n, func() {
			s.after(100*time.Millisecond, func() {
				s.note("%s comes back", n.id)
				s.start(n.id)
			})
		})
	}
}
