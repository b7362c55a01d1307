package core

import (
	"fmt"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// What a node had saved before it ended is a copy of a bucket like others, and merged like others: by the larger debt. It differs
// in that it may be old. So it makes nobody a holder, and never comes before a replica: it is where an orphan is started from if
// there is none, and else it is merged into what its holder has, unless that is known to come after it.
//
// That is told by the terms. Those of partitions that were held one after the other, each from what the one before had, rise one
// by one. Whoever starts a partition from less than a replica begins a new era, of which the higher bits are. In one era what was
// saved at a lower term is what the later holders had all of. In two it need not be.

// eraBits are those of a term that count the holders of one era.
const eraBits = 15

// eraZero is the wall time at which eras begin to be counted, in seconds: 2000-01-01.
const eraZero = 946684800

func (t Term) era() Term { return t >> eraBits }

// outdated says whether who holds a partition at term had all that was saved of it at the term saved.
func outdated(saved, term Term) bool { return saved < term && saved.era() == term.era() }

// newEra returns the term by which this node starts a partition, of which the last term heard of is term, from less than a
// replica. An era that was begun later is higher, as far as wall clocks say so; whatever they say, it is not that of term.
func (n *Core) newEra(now bucket.Instant, term Term) Term {
	if n.Epoch.IsZero() {
		return term.next()
	}
	era := Term(max(n.Epoch.Add(time.Duration(now)).Unix()-eraZero, 0))
	era = max(era, term.era()+1)
	return max(min(era<<eraBits, maxTerm), term.next())
}

// Save returns what this node has of p, for Load in its next run, and whether it has p at all. The parcels belong to the caller.
func (n *Core) Save(now bucket.Instant, p ring.Partition) (parcels []Parcel, has bool) {
	q := &n.parts[p]
	if q.state == away {
		return nil, false
	}
	parcels = n.parcels(now, int(p), n.Store, Parcel{Partition: p, Term: q.mine})
	first := &parcels[0]
	if since, cold := n.Store.Cold(int(p)); cold {
		first.Cold, first.ColdFor = true, now.Sub(since)
	}
	if !first.Cold && len(first.States)+len(first.IDs)+len(first.Reserved) == 0 {
		return nil, true
	}
	return parcels, true
}

// Messages puts parcels of Save into messages of a bounded size, for Load.
func Messages(parcels []Parcel) []*Message {
	var all []*Message
	k := packer{send: func(parts []Parcel) { all = append(all, &Message{Kind: Merge, Parts: parts}) }}
	k.add(parcels...)
	k.flush()
	return all
}

// Load takes in what this node had saved in an earlier run, as it was at then: before the clock's base, as a rule. All
// messages of a partition are to be loaded in their order, and before the first View. The error wraps ErrMessage; nothing is
// taken in then.
func (n *Core) Load(now, then bucket.Instant, msg *Message) error {
	if msg.Kind != Merge || !n.fits(msg) || n.Saved == nil {
		return fmt.Errorf("%w: not one that was saved, or of %d partitions", ErrMessage, len(n.parts))
	}
	if n.plant == plantSavedTwice {
		then -= bucket.Instant(now.Sub(then))
	}
	for i := range msg.Parts {
		pl := &msg.Parts[i]
		p := int(pl.Partition)
		for k := range pl.IDs {
			pl.IDs[k].Age += max(now.Sub(then), 0)
		}
		_ = n.Saved.Import(then, p, pl.States) // errors are a full store, or what breaks a rule: the others are taken
		_ = n.Saved.ImportIDs(now, p, pl.IDs)
		_ = n.Saved.ImportReserved(then, p, pl.Reserved)
		if pl.Cold {
			n.Saved.SetCold(p, then-bucket.Instant(max(pl.ColdFor, 0)), true)
		}
		q := &n.parts[p]
		if q.saved == 0 {
			n.unsaved++
		}
		q.saved = max(q.saved, pl.Term, 1)
	}
	return nil
}

// AwaitOthers makes this node wait for Config.Found as others do: it was not alone when it saved what it has loaded.
func (n *Core) AwaitOthers() { n.Founder = false }

// Seal makes this node decide on nothing any more: what it saves after that is the last.
func (n *Core) Seal(now bucket.Instant) {
	n.sealed = true
	n.pass(now)
}

// Unsaved returns of how many partitions this node has something saved that is not merged yet.
func (n *Core) Unsaved() int { return n.unsaved }

// IsUnsaved says whether this node has something saved of p that is not merged yet.
func (n *Core) IsUnsaved(p ring.Partition) bool { return n.parts[p].saved > 0 }

// unsave merges what was saved of p into its buckets here, unless who had them at term had all of it.
func (n *Core) unsave(now bucket.Instant, p int, term Term) {
	q := &n.parts[p]
	if q.saved == 0 {
		return
	}
	if !outdated(q.saved, term) {
		if n.plant == plantSavedReplaces {
			n.Store.Drop(p)
		}
		_ = n.Store.Import(now, p, n.Saved.Export(now, p)) // an error is a full store: the others are taken
		_ = n.Store.ImportIDs(now, p, n.Saved.ExportIDs(now, p))
		n.reserve(now, n.Store, p, n.Saved.ExportReserved(now, p))
	}
	n.forgetSaved(p)
}

// forgetSaved drops what was saved of p, and the store once it is empty.
func (n *Core) forgetSaved(p int) {
	q := &n.parts[p]
	n.Saved.Drop(p)
	q.saved, q.bring, q.bringRound, q.bringLeft = 0, nil, 0, 0
	if n.unsaved--; n.unsaved == 0 {
		n.Saved = nil
	}
}

// bringMost is how many partitions one message asks about.
const bringMost = 4096

// bringAfter is how many times Config.Retry a member is left alone that did not want what it was asked to take.
const bringAfter = 2

// bring brings what was saved of partitions that others hold to them. It asks first: much of it is outdated.
func (n *Core) bring(now bucket.Instant) {
	if n.unsaved == 0 || n.plant == plantSavedStays {
		return
	}
	for p := range n.parts {
		q := &n.parts[p]
		switch {
		case q.saved == 0 || q.bring != nil:
		case q.state == holding:
			n.unsave(now, p, q.term)
		case q.state == away && !n.isTarget(p):
			m, _ := n.holder(p)
			if m != nil && !m.gone && now >= m.bringAt {
				q.bring, q.bringRound = m, 0
				m.ask = append(m.ask, p)
			}
		}
	}
	for _, m := range n.order {
		n.askNext(now, m)
		n.bringNext(now, m)
	}
}

// askNext asks m whether it wants what was saved of some partitions.
func (n *Core) askNext(now bucket.Instant, m *member) {
	for m.bulk < bulkMost && len(m.ask) > 0 {
		next := m.ask[:min(len(m.ask), bringMost)]
		m.ask = m.ask[len(next):]
		msg := &Message{Kind: Merge}
		for _, p := range next {
			if q := &n.parts[p]; q.saved > 0 && q.bring == m {
				msg.Parts = append(msg.Parts, Parcel{Partition: ring.Partition(p), Term: q.saved})
			}
		}
		if len(msg.Parts) > 0 {
			n.bulk(now, m, msg)
		}
	}
}

// bringNext sends m the next of what it wants, as long as not too much is on its way.
func (n *Core) bringNext(now bucket.Instant, m *member) {
	if len(m.brings) == 0 {
		return
	}
	k := &packer{pace: &n.pace, send: func(parts []Parcel) { n.bulk(now, m, &Message{Kind: Merge, Parts: parts}) }}
	drain(m, &m.brings, k, func(p int) {
		q := &n.parts[p]
		if q.saved == 0 || q.bring != m {
			return
		}
		n.seq++
		parcels := n.parcels(now, p, n.Saved, Parcel{Partition: ring.Partition(p), Term: q.saved, Round: n.seq})
		q.bringRound, q.bringLeft = n.seq, int32(len(parcels))
		k.add(parcels...)
	})
}

// broughtBy takes what from had saved of partitions that this node holds, or says whether it wants it.
func (n *Core) broughtBy(now bucket.Instant, msg *Message, r *Reply) {
	for i := range msg.Parts {
		pl := &msg.Parts[i]
		p := int(pl.Partition)
		q := &n.parts[p]
		switch {
		case q.state != holding || !n.Decides(now):
			at := Place{Partition: pl.Partition, Term: q.term}
			if q.state == away && q.term > 0 {
				at.Holder = q.holder.name()
			}
			r.Over = append(r.Over, at)
			continue
		case outdated(pl.Term, q.term):
		case pl.Chunks == 0:
			r.Partly = append(r.Partly, pl.Partition)
			continue
		default:
			n.takeSaved(now, p, pl)
		}
		r.Taken = append(r.Taken, pl.Partition)
	}
}

// takeSaved merges a parcel of what another node had saved into p, which this node holds.
func (n *Core) takeSaved(now bucket.Instant, p int, pl *Parcel) {
	if n.plant == plantSavedReplaces {
		_ = n.Store.Replace(now, p, pl.States)
	}
	_ = n.Store.Import(now, p, pl.States) // an error is a full store, or what breaks a rule: the others are taken
	_ = n.Store.ImportIDs(now, p, pl.IDs)
	n.reserve(now, n.Store, p, pl.Reserved)
	if len(pl.IDs) > 0 { // nothing else tells them
		n.refill(p)
	}
}

// brought notes what m said to what it was asked to take, or was sent: r is nil if that is not known.
func (n *Core) brought(now bucket.Instant, m *member, msg *Message, r *Reply) {
	if r == nil {
		r = &Reply{}
		m.bringAt = now + bucket.Instant(20*n.Retry) // it may be of a release that does not know the message
	}
	taken, wanted, over := setOf(r.Taken), setOf(r.Partly), map[ring.Partition]*Place{}
	for i := range r.Over {
		over[r.Over[i].Partition] = &r.Over[i]
	}
	for i := range msg.Parts {
		pl := &msg.Parts[i]
		p := int(pl.Partition)
		q := &n.parts[p]
		switch {
		case q.saved == 0 || q.bring != m || q.bringRound != pl.Round:
		case taken[pl.Partition] && pl.Chunks == 0:
			n.forgetSaved(p)
		case taken[pl.Partition]:
			if q.bringLeft--; q.bringLeft == 0 {
				n.forgetSaved(p)
			}
		case wanted[pl.Partition]:
			m.brings = append(m.brings, p)
		default: // it does not hold it, or not yet
			q.bring = nil
			m.bringAt = max(m.bringAt, now+bucket.Instant(bringAfter*n.Retry))
			if at := over[pl.Partition]; at != nil && at.Holder != "" {
				n.Learn(pl.Partition, at.Holder, at.Term)
			}
		}
	}
}

func setOf(ps []ring.Partition) map[ring.Partition]bool {
	set := make(map[ring.Partition]bool, len(ps))
	for _, p := range ps {
		set[p] = true
	}
	return set
}
