package core

import (
	"time"

	"github.com/noriahq/noria/ring"
)

// cut divides the nodes into two sides for a while.
func (s *sim) cut() {
	if len(s.alive) < 3 {
		return
	}
	side := map[ring.Member]bool{}
	for _, n := range s.alive {
		side[n.id] = s.rng.IntN(3) == 0
	}
	s.part(func(a, b ring.Member) bool { return side[a] != side[b] })
}

// cutAndLeave makes a node leave just before the network falls apart.
func (s *sim) cutAndLeave() {
	s.leave()
	s.busy++
	s.after(s.upTo(time.Second), func() {
		s.busy--
		s.cut()
	})
}

// cutOneWay makes a node unheard by some for a while.
func (s *sim) cutOneWay() {
	mute := some(s, s.alive)
	deaf := map[ring.Member]bool{}
	for _, n := range s.alive {
		deaf[n.id] = s.rng.IntN(2) == 0
	}
	s.part(func(a, b ring.Member) bool { return a == mute.id && deaf[b] })
}

// part cuts all ways that are says to cut for a while. Both sides of a cut miss each other, also where it is one-way.
func (s *sim) part(are func(a, b ring.Member) bool) {
	d := 200*time.Millisecond + s.upTo(8*time.Second)
	var cut [][2]ring.Member
	for _, a := range s.alive {
		for _, b := range s.alive {
			way := [2]ring.Member{a.id, b.id}
			if a == b || !are(a.id, b.id) || s.cuts[way] {
				continue
			}
			s.note("%s cannot reach %s for %v", a.id, b.id, d)
			s.cuts[way] = true
			cut = append(cut, way)
			s.unlearn(a, b, s.miss(), false)
			s.unlearn(b, a, s.miss(), false)
		}
	}
	s.busy++
	s.regard()
	s.after(d, func() {
		s.note("heal")
		s.busy--
		for _, way := range cut {
			delete(s.cuts, way)
		}
		s.regard()
		s.meet()
	})
}

// meet makes all that reach each other see each other again.
func (s *sim) meet() {
	for _, a := range s.alive {
		for _, b := range s.alive {
			if a != b {
				s.learn(a, b, s.lag())
			}
		}
	}
}

// flap makes some take a node for dead that lives and answers, and think better of it soon.
func (s *sim) flap() {
	n := some(s, s.alive)
	s.note("%s is taken for dead", n.id)
	for _, o := range s.alive {
		if o != n && s.rng.IntN(3) > 0 {
			s.mistake(o, n)
		}
	}
}

// suspect makes all take a node for dead that lives and answers.
func (s *sim) suspect() {
	n := s.victim()
	if n == nil {
		return
	}
	s.note("%s is taken for dead by all", n.id)
	for _, o := range s.alive {
		if o != n {
			s.mistake(o, n)
		}
	}
}

// mistake makes o not see n for a while.
func (s *sim) mistake(o, n *simNode) {
	s.busy++
	s.after(s.upTo(300*time.Millisecond), func() {
		if was, ok := o.sees[n.id]; ok && was.Boot == n.boot {
			delete(o.sees, n.id)
			s.review(o)
		}
	})
	s.after(500*time.Millisecond+s.upTo(4*time.Second), func() {
		s.busy--
		s.learn(o, n, s.lag())
	})
}
