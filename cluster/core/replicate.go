package core

import (
	"cmp"
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
	q.heir = ""
	if m := n.members[n.heir(p)]; m != nil && q.fill != m.id {
		q.fill = m.id
		m.fills = append(m.fills, p)
	}
}

// replicate sends what has changed to the heirs.
func (n *Core) replicate(now bucket.Instant) {
	n.changes = n.Store.Changes(now, changesMost, n.changes[:0])
	of := map[ring.Member]map[int][]bucket.Change{}
	for i := range n.changes {
		p := n.changes[i].Partition
		id := n.heir(p)
		if id == "" || n.parts[p].state != holding {
			continue
		}
		if of[id] == nil {
			of[id] = map[int][]bucket.Change{}
		}
		of[id][p] = append(of[id][p], n.changes[i])
	}
	clear(n.changes)
	for _, id := range n.ids() {
		if m := n.members[id]; m.bulk < bulkMost*bulkMost {
			n.sendChanges(now, m, of[id])
		} else {
			n.touch(of[id])
		}
	}
}

// touch makes changes be sent later.
func (n *Core) touch(of map[int][]bucket.Change) {
	for p, changes := range of {
		for i := range changes {
			n.Store.Touch(p, changes[i].Key, changes[i].Replaces)
		}
	}
}

// sendChanges sends m the changes, by partition, in messages of a bounded size.
func (n *Core) sendChanges(now bucket.Instant, m *member, of map[int][]bucket.Change) {
	msg, size := &Message{Kind: Replicate}, 0
	flush := func() {
		if len(msg.Parts) > 0 {
			n.copyTo(now, m, msg)
			msg, size = &Message{Kind: Replicate}, 0
		}
	}
	for _, p := range keysOf(of) {
		for changes := range slices.Chunk(of[p], parcelMost) {
			pl := Parcel{Partition: ring.Partition(p), Term: n.parts[p].term, Changes: changes}
			msg.Parts = append(msg.Parts, pl)
			if size += pl.size(); size >= messageBytes || len(msg.Parts) >= messageParts {
				flush()
			}
		}
	}
	flush()
}

// keysOf returns the keys of a map in order: what a core does never depends on the order of a map.
func keysOf[K cmp.Ordered, V any](of map[K]V) []K { return slices.Sorted(maps.Keys(of)) }

// fill sends m the next whole replicas, as long as not too much is on its way.
func (n *Core) fillNext(now bucket.Instant, m *member) {
	for m.bulk < bulkMost && len(m.fills) > 0 {
		msg, size := &Message{Kind: Replicate}, 0
		for len(m.fills) > 0 && len(msg.Parts) < messageParts && size < messageBytes {
			p := m.fills[0]
			m.fills = m.fills[1:]
			q := &n.parts[p]
			if q.fill == m.id {
				q.fill = ""
			}
			if q.state != holding || n.heir(p) != m.id {
				continue
			}
			for _, pl := range n.parcels(now, p, n.Store, Parcel{Partition: ring.Partition(p), Term: q.term}) {
				msg.Parts = append(msg.Parts, pl)
				size += pl.size()
				if size >= messageBytes && pl.Chunk+1 < pl.Chunks {
					n.copyTo(now, m, msg)
					msg, size = &Message{Kind: Replicate}, 0
				}
			}
		}
		if len(msg.Parts) > 0 {
			n.copyTo(now, m, msg)
		}
	}
}

// copyTo sends m a message about replicas.
func (n *Core) copyTo(now bucket.Instant, m *member, msg *Message) {
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
			over = append(over, Place{Partition: pl.Partition, Term: q.term, Holder: q.holder})
			continue
		}
		n.hear(p, pl.Term)
		if q.state == away {
			q.holder = from.id
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

// release tells all but the heir of p that they need not keep a replica.
func (n *Core) release(p int) {
	for id, m := range n.members {
		if id != n.parts[p].heir {
			m.rid = append(m.rid, ring.Partition(p))
		}
	}
}

// releaseNext sends m the releases that wait.
func (n *Core) releaseNext(now bucket.Instant, m *member) {
	if len(m.rid) == 0 {
		return
	}
	msg := &Message{Kind: Release}
	for _, p := range m.rid {
		if q := &n.parts[p]; q.state == holding && q.heir != "" && q.heir != m.id {
			msg.Wanted = append(msg.Wanted, p)
		}
	}
	m.rid = nil
	if len(msg.Wanted) > 0 {
		n.copyTo(now, m, msg)
	}
}

// released drops replicas that the sender, who holds them, has elsewhere.
func (n *Core) released(from *member, msg *Message) {
	for _, part := range msg.Wanted {
		q := &n.parts[part]
		if q.state == away && q.holder == from.id && q.copySeq < msg.Round && q.copy > 0 {
			n.forget(int(part))
		}
	}
}

// outranks says whether this node holds p, or knows of a holder, by a higher term.
func (n *Core) outranks(p int, term Term) bool {
	q := &n.parts[p]
	return q.term > term && n.plant != plantOldTerm
}

// keep adds a parcel to the replica of p. What makes a debt less counts only where no later message can have come before:
// else the replica owes too much rather than too little. Errors are a full store, or states that break a rule: the others
// are kept.
func (n *Core) keep(now bucket.Instant, p int, pl *Parcel, ordered bool) {
	n.Replicas.Import(now, p, pl.States)
	n.Replicas.ImportIDs(now, p, pl.IDs)
	one := make([]bucket.State, 1)
	for i := range pl.Changes {
		c := &pl.Changes[i]
		if one[0] = c.State; c.Replaces && ordered {
			n.Replicas.Replace(now, p, one)
		} else {
			n.Replicas.Import(now, p, one)
		}
	}
}

// copiedBy notes what became of replicas sent to m: r is nil if that is not known.
func (n *Core) copiedBy(m *member, msg *Message, r *Reply) {
	if r == nil {
		n.copyAgain(m, msg)
		return
	}
	for i := range msg.Parts {
		pl := &msg.Parts[i]
		if q := &n.parts[pl.Partition]; q.state == holding && q.term == pl.Term && pl.Chunks > 0 && pl.Chunk+1 == pl.Chunks {
			q.heir = m.id
			n.release(int(pl.Partition))
		}
	}
	for i := range r.Over {
		p := int(r.Over[i].Partition)
		if q := &n.parts[p]; q.state == holding && r.Over[i].Term > q.term {
			n.freeze(p, stale)
			n.hear(p, r.Over[i].Term)
			q.holder = r.Over[i].Holder
			n.publish(p)
		}
	}
}

// copyAgain makes what may not have arrived at m be sent again.
func (n *Core) copyAgain(m *member, msg *Message) {
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
		for _, c := range pl.Changes {
			n.Store.Touch(p, c.Key, c.Replaces)
		}
	}
}
