package core

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// simFair is sales of a quota with Durability Sync: who was told that it has one has it, whatever dies, and is not charged again.
type simFair struct {
	rng    *rand.Rand // of its own
	sales  []*simSale
	buyers []*simBuyer

	made, sold, again int
}

// simSale is a key of which each buyer gets one.
type simSale struct {
	name  string
	part  ring.Partition
	limit bucket.Limit
	sold  int // to buyers who were told so, and of which no fault has taken the memory
}

// simBuyer asks under one id until it is told something, and some do so again later.
type simBuyer struct {
	sale *simSale
	id   string
	told bool // it has one
	lost bool // that may have been lost, with all who knew
	ends bool

	by *simNode      // who charged it last
	at time.Duration // when
}

// sales makes buyers come.
func (s *sim) sales() {
	f := &s.fair
	if len(f.sales) == 0 || f.rng.IntN(25) == 0 {
		k := &simSale{name: fmt.Sprint("sale ", len(f.sales)), limit: bucket.Limit{Burst: 10 + f.rng.Int64N(40)}}
		k.part = ring.Partition(ring.Hash(k.name) % simPartitions)
		f.sales = append(f.sales, k)
	}
	some := f.sales[max(0, len(f.sales)-4):]
	f.made++
	b := &simBuyer{sale: some[f.rng.IntN(len(some))], id: fmt.Sprint("buyer ", f.made)}
	f.buyers = append(f.buyers, b)
	s.buy(b, 0)
	s.after(time.Duration(f.rng.ExpFloat64()*float64(30*time.Millisecond)), s.sales)
}

// buy asks some node for b, until it is told something.
func (s *sim) buy(b *simBuyer, try int) {
	if b.ends || try > 60 {
		return
	}
	s.after(patience, func() { s.buy(b, try+1) })
	if len(s.alive) == 0 {
		return
	}
	n := s.alive[s.fair.rng.IntN(len(s.alive))]
	to, _ := n.core.Route(b.sale.part)
	m := s.nodes[to]
	if !n.ready || m == nil {
		return
	}
	d, ok := s.travel(n.id, to)
	if n == m {
		d, ok = 0, true
	}
	if ok {
		s.after(d, func() { s.at(m, func() { s.sell(m, b, func(allowed bool) { s.saleAnswered(m, n, b, allowed) }) }) })
	}
}

// sell decides on b at n, and calls answer once the heir knows, if n is the holder and there is one.
func (s *sim) sell(n *simNode, b *simBuyer, answer func(allowed bool)) {
	now, k := s.clock(n), b.sale
	if !n.core.Decides(now) {
		return
	}
	r := bucket.Request{Key: k.name, Limit: k.limit, Durability: bucket.Sync}
	before, err := n.store.Take(now, int(k.part), &r)
	if err != nil {
		return
	}
	r.ID, r.Cost = b.id, 1
	d, err := n.store.Take(now, int(k.part), &r)
	if err != nil {
		return
	}
	r.ID, r.Cost = "", 0
	after, err := n.store.Take(now, int(k.part), &r)
	if err != nil {
		return
	}
	s.count(uint64(s.now), uint64(n.id[0]), uint64(after.Remaining))
	charged := after.Remaining < before.Remaining
	if b.told && !b.lost && (charged || !d.Allowed) {
		s.fail("%s: %s of %s, partition %d, was told that it has one, and is charged again (%v) or denied (%v)%s", n.id, b.id, k.name, k.part, charged,
			!d.Allowed, s.describe(k.part))
	}
	switch {
	case !d.Allowed:
		answer(false)
		return
	case charged:
		b.by, b.at = n, s.now
	case !b.told && s.apart(b.by, b.at):
		b.lost = true
	}
	out, ok := n.core.Copy(now, k.part, k.name, b.id, false)
	switch {
	case !ok:
		answer(true)
	case out.To == "":
		n.core.Done(now, out, nil)
	default:
		s.deliverThen(n, out, func(r *Reply) {
			if r != nil && r.Known && len(r.Over) == 0 {
				answer(true)
			}
		})
	}
}

// apart says whether n charged somebody at that time, whom it could not answer, as one of two that both took themselves for the
// holder: what one of them charged is not added to what the other did, though both are remembered.
func (s *sim) apart(n *simNode, at time.Duration) bool {
	if n == nil || !n.alive {
		return false
	}
	for _, f := range n.faults {
		if at >= f.from-s.window() && at <= f.to {
			return true
		}
	}
	return false
}

// saleAnswered takes the answer from m to the node n, and to the client.
func (s *sim) saleAnswered(m, n *simNode, b *simBuyer, allowed bool) {
	d, ok := s.travel(m.id, n.id)
	if m == n {
		d, ok = 0, true
	}
	if !ok {
		return
	}
	s.after(d, func() {
		if !n.alive || b.ends {
			return
		}
		if !allowed {
			b.ends = true
			return
		}
		if !b.told {
			b.told = true
			s.fair.sold++
			if b.lost {
				b.ends = true
				return
			}
			if b.sale.sold++; b.sale.sold > int(b.sale.limit.Burst) {
				s.fail("%d of %s are sold, want at most %d%s", b.sale.sold, b.sale.name, b.sale.limit.Burst, s.describe(b.sale.part))
			}
		}
		if b.ends = true; s.fair.rng.IntN(2) == 0 { // it is not sure that it has heard right, and asks again, by the same id
			s.after(time.Duration(s.fair.rng.Int64N(int64(4*time.Second))), func() {
				b.ends = false
				s.fair.again++
				s.buy(b, 40)
			})
		}
	})
}

// forgiveSold takes what was sold of partition p as lost, now that n has begun to hold it, if all who knew were lost at once, or before
// they saved it, or if it was sold beyond a cut: there holder and heir may be on the side that others go on without.
func (s *sim) forgiveSold(n *simNode, p int, all bool) {
	for _, b := range s.fair.buyers {
		beyond := b.by != n && s.beyond(b.by, b.at)
		if int(b.sale.part) != p || b.lost || !beyond && !(b.told && (all || s.unsaved(p, b.at))) {
			continue
		}
		if b.lost = true; b.told {
			b.sale.sold--
		}
	}
}

// beyond says whether n, which lives, was lost to the others at that time.
func (s *sim) beyond(n *simNode, at time.Duration) bool {
	if n == nil || !n.alive {
		return false
	}
	for _, f := range n.faults {
		if at >= f.from && at <= f.to {
			return true
		}
	}
	return false
}
