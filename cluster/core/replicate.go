package core

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// changesMost is how many changed buckets go out at one Tick; the others wait for the next.
const changesMost = 20_000

// refill queues the whole replica of p, which this node holds, for its heir.
func (n *Core) refill(p int) {
	q := &n.parts[p]
	q.heir = nil
	if m := n.heir(p); m != nil && q.fill != m {
		q.fill = m
		m.fills = append(m.fills, p)
	}
}

// replicate sends what has changed to the heirs.
func (n *Core) replicate(now bucket.Instant) {
	n.changes = n.Store.Changes(now, changesMost, n.changes[:0])
	if len(n.changes) == 0 {
		return
	}
	slices.SortStableFunc(n.changes, func(a, b bucket.Change) int { return cmp.Compare(a.Partition, b.Partition) })
	all := slices.Clone(n.changes) // messages keep them
	clear(n.changes)
	if n.plant == plantTellNoIDs {
		for i := range all {
			all[i].IDs = nil
		}
	}
	same := func(a, b bucket.Change) bool { return a.Partition == b.Partition }
	for of := range chunkBy(all, same) {
		m := n.heir(of[0].Partition)
		switch {
		case m == nil || n.parts[of[0].Partition].state != holding:
		case m.bulk < bulkMost*bulkMost:
			m.changes = append(m.changes, of)
		default:
			n.touch(of)
		}
	}
	for _, m := range n.order {
		n.sendChanges(now, m)
	}
}

// chunkBy cuts all where two neighbours are not the same.
func chunkBy[T any](all []T, same func(a, b T) bool) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for from, i := 0, 1; i <= len(all); i++ {
			if i < len(all) && same(all[i-1], all[i]) {
				continue
			}
			if !yield(all[from:i:i]) {
				return
			}
			from = i
		}
	}
}

// touch makes changes be sent later.
func (n *Core) touch(changes []bucket.Change) {
	for i := range changes {
		n.Store.Retell(&changes[i])
	}
}

// sendChanges sends m the changes that it is to have, in messages of a bounded size.
func (n *Core) sendChanges(now bucket.Instant, m *member) {
	if len(m.changes) == 0 {
		return
	}
	k := n.copies(now, m)
	k.come = len(m.changes)
	for _, of := range m.changes {
		p := of[0].Partition
		for changes := range chunkOf(of, changeSize) {
			k.add(Parcel{Partition: ring.Partition(p), Term: n.parts[p].term, Changes: changes})
		}
	}
	k.flush()
	clear(m.changes)
	m.changes = m.changes[:0]
}

// copies returns a packer of replicas for m.
func (n *Core) copies(now bucket.Instant, m *member) *packer {
	return &packer{send: func(parts []Parcel) { n.copyTo(now, m, &Message{Kind: Replicate, Parts: parts}) }}
}

// keysOf returns the keys of a map in order: what a core does never depends on the order of a map.
func keysOf[K cmp.Ordered, V any](of map[K]V) []K { return slices.Sorted(maps.Keys(of)) }

// fillNext sends m the next whole replicas, as long as not too much is on its way.
func (n *Core) fillNext(now bucket.Instant, m *member) {
	if len(m.fills) == 0 {
		return
	}
	k := n.copies(now, m)
	k.pace = &n.pace
	drain(m, &m.fills, k, func(p int) {
		q := &n.parts[p]
		if q.fill != m {
			return // it was queued again, and sent
		}
		q.fill = nil
		if q.state != holding || n.heir(p) != m {
			return
		}
		n.seq++
		parcels := n.parcels(now, p, n.Store, Parcel{Partition: ring.Partition(p), Term: q.term, Round: n.seq})
		q.fillRound, q.fillLeft = n.seq, int32(len(parcels))
		if n.plant == plantEarlyRelease {
			n.filled(m, p)
		}
		k.add(parcels...)
	})
}

// copyTo sends m a message about replicas.
func (n *Core) copyTo(now bucket.Instant, m *member, msg *Message) {
	if n.plant == plantMute {
		return
	}
	n.seq++
	msg.Round = n.seq
	if msg.Kind == Release {
		n.send(now, m, msg)
		return
	}
	n.bulk(now, m, msg)
}

// copied takes replicas in, and returns those of partitions that have a holder of a higher term.
func (n *Core) copied(now bucket.Instant, from *member, msg *Message) (over []Place) {
	for i := range msg.Parts {
		pl := &msg.Parts[i]
		p := int(pl.Partition)
		q := &n.parts[p]
		if n.outranks(p, pl.Term) {
			over = append(over, Place{Partition: pl.Partition, Term: q.term, Holder: q.holder.name()})
			continue
		}
		if q.copy == 0 && pl.Term == q.freed && msg.Round < q.copySeq {
			continue // it was sent before the holder had its replica elsewhere
		}
		n.hear(p, pl.Term)
		if q.state == away {
			q.holder = from
			n.publish(p)
		}
		ordered := pl.Term >= q.copy && (pl.Term > q.copy || msg.Round > q.copySeq)
		if ordered {
			q.copy, q.copySeq = pl.Term, msg.Round
		}
		n.keep(now, p, pl, ordered)
	}
	return over
}

// outranks says whether this node holds p, or knows of a holder, by a higher term.
func (n *Core) outranks(p int, term Term) bool {
	q := &n.parts[p]
	return q.term > term
}

// keep adds a parcel to the replica of p. What makes a debt less counts only where no later message can have come before:
// else the replica owes too much rather than too little. Errors are a full store, or states that break a rule: the others
// are kept.
func (n *Core) keep(now bucket.Instant, p int, pl *Parcel, ordered bool) {
	_ = n.Replicas.Follow(now, p, pl.States)
	_ = n.Replicas.ImportIDs(now, p, pl.IDs)
	one := n.one[:]
	for i := range pl.Changes {
		c := &pl.Changes[i]
		if one[0] = c.State; c.Replaces && ordered || n.plant == plantLate {
			_ = n.Replicas.Replace(now, p, one)
		} else {
			_ = n.Replicas.Follow(now, p, one)
		}
		_ = n.Replicas.ImportIDs(now, p, c.IDs)
		n.reserve(now, n.Replicas, p, c.Reserved)
	}
	clear(one)
	n.reserve(now, n.Replicas, p, pl.Reserved)
}

// reserve imports reservations of p, whose buckets are there. An error is a full store, or one that breaks a rule: the others
// are kept.
func (n *Core) reserve(now bucket.Instant, to *bucket.Store, p int, all []bucket.Reserved) {
	switch n.plant {
	case plantUnsettle:
		all = unsettled(all)
	case plantEternal:
		all = eternal(all)
	default: // no bug here
	}
	_ = to.ImportReserved(now, p, all)
}

// copiedBy notes what became of replicas sent to m: r is nil if that is not known.
func (n *Core) copiedBy(m *member, msg *Message, r *Reply) {
	if r == nil {
		n.copyAgain(msg)
		return
	}
	for i := range msg.Parts {
		pl := &msg.Parts[i]
		q := &n.parts[pl.Partition]
		if q.state != holding || q.term != pl.Term || pl.Chunks == 0 || pl.Round != q.fillRound {
			continue
		}
		if q.fillLeft--; q.fillLeft == 0 {
			n.filled(m, int(pl.Partition))
		}
	}
	for i := range r.Over {
		p := int(r.Over[i].Partition)
		if q := &n.parts[p]; q.state == holding && r.Over[i].Term > q.term {
			n.freeze(p, stale)
			n.moved(GivenUp, r.Over[i].Holder)
			n.hear(p, r.Over[i].Term)
			q.holder = n.members[r.Over[i].Holder]
			n.publish(p)
		}
	}
}

// copyAgain makes what may not have arrived be sent again.
func (n *Core) copyAgain(msg *Message) {
	for i := range msg.Parts {
		pl := &msg.Parts[i]
		p := int(pl.Partition)
		if n.parts[p].state != holding {
			continue
		}
		if pl.Chunks > 0 {
			n.refill(p)
		}
		if n.plant == plantLoseReplicas {
			continue
		}
		for i := range pl.Changes {
			n.Store.Retell(&pl.Changes[i])
		}
	}
}
