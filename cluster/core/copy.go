package core

import (
	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// Copy returns the message with which the bucket of key in partition p, which this node holds, becomes a replica at once, with what
// was reserved of it and the request id, if that is not "", that it was charged for: for those who answer only when it has arrived.
// With lowers tokens were given back to it. ok is false if there is nobody who would keep it, or nothing to keep: then it has moved,
// with all that it owes. To is "" if somebody else may hold the partition: then nobody would keep it for this node. Done is to be
// called for it. However many there are, they hold up nothing else.
func (n *Core) Copy(now bucket.Instant, p ring.Partition, key, id string, lowers bool) (o Out, ok bool) {
	m := n.heir(int(p))
	change, found := n.Store.Change(now, int(p), key, id, lowers)
	if n.plant == plantTellNoIDs {
		change.IDs = nil
	}
	if m == nil || !found {
		return Out{}, false
	}
	if n.parts[p].state == stale {
		return Out{}, true
	}
	n.seq++
	msg := &Message{Kind: Replicate, Boot: n.Boot, Epoch: n.epoch, Round: n.seq, Parts: []Parcel{{
		Partition: p, Term: n.parts[p].mine, Changes: []bucket.Change{change},
	}}}
	return Out{To: m.id, Boot: m.boot, Msg: msg, Sent: now, beside: true}, true
}
