package core

import (
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
	flaps                      // gossip takes the living for dead
	everything
	scenarios

	blackouts = scenarios // all stop, and start again from what they have saved; TestSimSaved alone tries it
)

func (k scenario) String() string {
	return [...]string{"moves", "rough moves", "kills", "deaths", "pauses", "cuts", "one-way cuts", "restarts", "flaps", "everything", "blackouts"}[k]
}

// calmly says whether nodes only join and leave.
func (k scenario) calmly() bool { return k == moves || k == roughMoves }

// fault makes the next fault happen, and the one after.
func (s *sim) fault(until time.Duration) {
	if s.now >= until {
		s.over = true
		return
	}
	kinds := [...][]func(){
		moves:      {s.join, s.leave, s.rolling},
		roughMoves: {s.join, s.leave, s.rolling},
		kills:      {s.kill, s.kill, s.joinAndKill},
		deaths:     {s.die, s.join},
		pauses:     {s.pause, s.pause, s.join},
		cutsBoth:   {s.cut, s.cut, s.cutAndLeave},
		cutsOneWay: {s.cutOneWay},
		restarts:   {s.restart, s.restart, s.rolling},
		flaps:      {s.flap, s.flap, s.suspect},
		blackouts:  {s.join, s.leave, s.blackout, s.blackout},
		everything: {s.join, s.leave, s.kill, s.die, s.pause, s.cut, s.cutOneWay, s.restart, s.flap, s.suspect, s.cutAndLeave},
	}[s.kind]
	kinds[s.rng.IntN(len(kinds))]()
	gap := 200*time.Millisecond + s.upTo(2*time.Second)
	if !s.kind.calmly() {
		gap += 5 * time.Second // a second loss before the first is made good is another promise
	}
	s.after(gap, func() { s.fault(until) })
}

// spare returns a name of a node that may join.
func (s *sim) spare() ring.Member {
	for i := range 26 {
		if id := ring.Member(rune('a' + i)); s.nodes[id] == nil {
			return id
		}
	}
	return ""
}

func (s *sim) join() {
	if s.mixed && s.rng.IntN(2) == 0 {
		s.joinGate()
		return
	}
	if id := s.spare(); id != "" && len(s.voters()) < 7 {
		s.note("%s joins", id)
		s.start(id)
	}
}

// joinGate starts a gateway.
func (s *sim) joinGate() {
	for i := range 26 {
		if id := ring.Member(rune('A' + i)); s.nodes[id] == nil && len(s.alive) < 9 {
			s.note("%s joins, a gateway", id)
			s.startAs(id, true)
			return
		}
	}
}

// victim returns a node that a fault may hit, nil if there is none: a gateway, or a holder if others are enough.
func (s *sim) victim() *simNode {
	if !s.mixed && !s.dispensable() {
		return nil
	}
	n := some(s, s.alive)
	if n.gateway || s.dispensable() {
		return n
	}
	return nil
}

// dispensable says whether the others are a majority, and more than one that does not leave, without one holder more.
func (s *sim) dispensable() bool {
	stay, holders := 0, s.voters()
	for _, n := range holders {
		if !n.draining {
			stay++
		}
	}
	return stay > 2 && len(holders)-1 > s.dead+1
}

// leave makes a node drain and go.
func (s *sim) leave() {
	if n := s.victim(); n != nil {
		s.drain(n, func() {})
	}
}

func (s *sim) drain(n *simNode, then func()) {
	if n.draining {
		return
	}
	s.note("%s leaves", n.id)
	s.busy++
	n.draining, n.drains = true, s.now
	n.sees[n.id] = n.member()
	s.spread(n)
	s.drained(n, func() {
		s.busy--
		then()
	})
}

// drained ends n once it has nothing any more, and tells when it has gone.
func (s *sim) drained(n *simNode, then func()) {
	others := false
	for _, m := range n.sees {
		others = others || m.ID != n.id && !m.Draining && !m.Gateway
	}
	switch {
	case !n.alive:
		then()
		return
	case !n.core.Drained() || !others || s.now < n.paused || n.core.Kept() > 0 && s.now < n.drains+10*time.Second:
		s.after(50*time.Millisecond, func() { s.drained(n, then) })
		return
	}
	s.after(time.Second, func() { // in which it tells those who still ask it who holds what it held
		if n.alive {
			s.note("%s has left", n.id)
			if len(s.cuts) > 0 && !n.gateway {
				s.dead++ // for those who cannot hear of it
			}
			if kept := n.core.Kept(); kept > 0 && s.kind == moves {
				s.fail("%s has left, and keeps %d replicas that their holders may have nowhere else, after %v", n.id, kept, s.now-n.drains)
			}
			s.end(n, true)
			s.saves.left = s.now
			for _, o := range s.alive {
				s.unlearn(o, n, s.lag(), true)
			}
		}
		then()
	})
}

// kill ends a process: its address refuses connections.
func (s *sim) kill() {
	if n := s.victim(); n != nil {
		s.strike(n)
	}
}

func (s *sim) strike(n *simNode) {
	if !n.alive {
		return
	}
	s.note("%s is killed", n.id)
	s.lose(n)
	s.end(n, true)
	for _, o := range s.alive {
		s.unlearn(o, n, 5*time.Millisecond+s.upTo(120*time.Millisecond), true)
	}
}

// joinAndKill kills a node while partitions and replicas move.
func (s *sim) joinAndKill() {
	s.join()
	s.busy++
	s.after(s.upTo(1500*time.Millisecond), func() {
		s.busy--
		s.kill()
	})
}

// die ends a host: nobody says that it is gone.
func (s *sim) die() {
	few := len(s.voters())-1 <= s.dead+1
	if few && !s.mixed {
		return
	}
	n := some(s, s.alive)
	if few && !n.gateway {
		return
	}
	s.note("%s dies with its host", n.id)
	if !n.gateway {
		s.dead++
	}
	s.lose(n)
	s.end(n, false)
	for _, o := range s.alive {
		s.unlearn(o, n, s.miss(), false)
	}
}

// pause makes a node stand still for a while.
func (s *sim) pause() {
	n := s.victim()
	if n == nil {
		return
	}
	d := s.upTo(3 * time.Second)
	if s.rng.IntN(3) > 0 { // others have gone on with what it held
		d += 3500 * time.Millisecond
	}
	if s.now < n.paused {
		return
	}
	s.note("%s stands still for %v", n.id, d)
	s.busy++
	n.paused = s.now + d
	s.regard()
	for _, o := range s.alive {
		if o != n {
			s.unlearn(o, n, s.miss(), false)
		}
	}
	s.after(d, func() {
		s.note("%s goes on", n.id)
		s.busy--
		do := n.deferred
		n.deferred = nil
		s.regard()
		for _, f := range do {
			s.at(n, f)
		}
		for _, o := range s.alive {
			s.learn(o, n, s.lag())
		}
	})
}

// restart kills a node that comes back before it is missed, or after.
func (s *sim) restart() {
	n := s.victim()
	if n == nil {
		return
	}
	s.strike(n)
	s.busy++
	s.after(s.upTo(2*time.Second), func() {
		s.busy--
		if s.nodes[n.id] == n { // else it was leaving, to come back as another run
			s.comeBack(n)
		}
	})
}

// comeBack starts n's next run, now and then in the other role.
func (s *sim) comeBack(n *simNode) {
	gateway := n.gateway
	if s.mixed && s.rng.IntN(3) == 0 && (gateway || s.dispensable()) {
		gateway = !gateway
	}
	s.note("%s comes back, a gateway: %v", n.id, gateway)
	s.startAs(n.id, gateway)
}

// rolling makes a node leave and come back.
func (s *sim) rolling() {
	n := s.victim()
	if n == nil {
		return
	}
	s.drain(n, func() {
		s.busy++
		s.after(500*time.Millisecond+s.upTo(time.Second), func() { // to start takes a while
			s.busy--
			if s.nodes[n.id] == n {
				s.comeBack(n)
			}
		})
	})
}
