package core

import (
	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// Copy returns the message with which the bucket of key in partition p, which this node holds, becomes a replica at once: for
// those who answer only when it has arrived. ok is false if there is nobody who would keep it, or nothing to keep. Done is to
// be called for it.
func (n *Core) Copy(now bucket.Instant, p ring.Partition, key string) (o Out, ok bool) {
	m := n.members[n.heir(int(p))]
	st, found := n.Store.State(now, int(p), key)
	if m == nil || !found {
		return Out{}, false
	}
	n.seq++
	msg := &Message{Kind: Replicate, Boot: n.Boot, Epoch: n.epoch, Round: n.seq, Parts: []Parcel{{
		Partition: p, Term: n.parts[p].term, Changes: []bucket.Change{{Partition: int(p), State: st}},
	}}}
	m.inflight++
	m.bulk++
	return Out{To: m.id, Boot: m.boot, Msg: msg, Sent: now}, true
}
