package core

import (
	"time"

	"github.com/noriahq/noria/ring"
)

// travel returns how long a message takes, and whether it arrives.
func (s *sim) travel(from, to ring.Member) (time.Duration, bool) {
	d := s.net.delay/2 + s.upTo(s.net.delay+1)
	if s.rng.Float64() < s.net.spike {
		d *= time.Duration(1 + s.rng.IntN(60))
	}
	return d, s.rng.Float64() >= s.net.loss && !s.cuts[[2]ring.Member{from, to}]
}

// flush sends what n's core wants to send, after it was told something.
func (s *sim) flush(n *simNode) {
	for _, o := range n.core.Outbox() {
		s.deliver(n, o)
	}
	s.watch(n)
}

// deliver takes a message there and its answer back.
func (s *sim) deliver(n *simNode, o Out) { s.deliverThen(n, o, func(*Reply) {}) }

// deliverThen is deliver, and calls then with the answer, nil if none is known.
func (s *sim) deliverThen(n *simNode, o Out, then func(r *Reply)) {
	s.count(uint64(s.now), uint64(o.To[0]), uint64(o.Msg.Kind), uint64(len(o.Msg.Wanted)), uint64(len(o.Msg.Parts)))
	to := s.nodes[o.To]
	done := false
	finish := func(r *Reply) {
		if done {
			return
		}
		s.at(n, func() {
			if !done {
				done = true
				n.core.Done(s.clock(n), o, r)
				s.flush(n)
				then(r)
			}
		})
	}
	d, ok := s.travel(n.id, o.To)
	if !to.alive && to.refuses {
		s.after(2*d, func() { finish(nil) })
		return
	}
	s.after(tellWait, func() { finish(nil) })
	arrive := func() {
		s.at(to, func() {
			r := to.core.Tell(s.clock(to), n.id, s.wired(o.Msg))
			s.flush(to)
			if back, ok := s.travel(o.To, n.id); ok {
				s.after(back, func() { finish(s.wiredReply(r)) })
			}
		})
	}
	if ok {
		s.after(d, arrive)
	}
	if s.rng.Float64() < s.net.twice {
		d, ok := s.travel(n.id, o.To)
		if ok {
			s.after(d+s.upTo(3*time.Second), arrive)
		}
	}
}

// wired returns msg as it comes out of the wire.
func (s *sim) wired(msg *Message) *Message {
	s.room = msg.Append(s.room[:0])
	got, err := ReadMessage(s.room)
	if err != nil {
		s.fail("%+v: %v", msg, err)
	}
	return got
}

// wiredReply returns r as it comes out of the wire.
func (s *sim) wiredReply(r *Reply) *Reply {
	s.room = r.Append(s.room[:0])
	got, err := ReadReply(s.room)
	if err != nil {
		s.fail("%+v: %v", r, err)
	}
	return got
}
