package core

import (
	"iter"
	"time"

	"github.com/noriahq/noria/bucket"
)

// parcels cuts the buckets, request ids and reservations of p into parcels like first; one at least.
func (n *Core) parcels(now bucket.Instant, p int, of *bucket.Store, first Parcel) (parcels []Parcel) {
	add := func(pl Parcel) {
		pl.Chunk = len(parcels)
		parcels = append(parcels, pl)
	}
	for states := range chunkOf(of.Export(now, p), stateSize) {
		pl := first
		pl.States = states
		add(pl)
	}
	for ids := range chunkOf(of.ExportIDs(now, p), idSize) {
		pl := first
		pl.IDs = ids
		add(pl)
	}
	for reserved := range chunkOf(of.ExportReserved(now, p), reservedSize) {
		pl := first
		pl.Reserved = reserved
		add(pl)
	}
	if len(parcels) == 0 {
		add(first)
	}
	for i := range parcels {
		parcels[i].Chunks = len(parcels)
	}
	return parcels
}

// chunkOf cuts all into parts of a bounded number and size.
func chunkOf[T any](all []T, size func(*T) int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		from, bytes := 0, 0
		for i := range all {
			bytes += size(&all[i])
			if i+1 < len(all) && i+1-from < parcelMost && bytes < parcelBytes {
				continue
			}
			if !yield(all[from : i+1 : i+1]) {
				return
			}
			from, bytes = i+1, 0
		}
	}
}

// entryBytes is the most that an entry has on the wire besides its texts.
const entryBytes = 100

func stateSize(s *bucket.State) int { return entryBytes + len(s.Key) + len(s.Limit.Zone) }

func changeSize(c *bucket.Change) int {
	size := stateSize(&c.State)
	for i := range c.Reserved {
		size += reservedSize(&c.Reserved[i])
	}
	for i := range c.IDs {
		size += idSize(&c.IDs[i])
	}
	return size
}

func reservedSize(r *bucket.Reserved) int {
	return entryBytes + len(r.Key) + len(r.ID) + len(r.Limit.Zone)
}

func idSize(r *bucket.Remembered) int {
	return entryBytes + len(r.Key) + len(r.ID) + len(r.Decision.Node)
}

// size returns the most bytes that pl has on the wire.
func (p *Parcel) size() int {
	size := entryBytes
	for i := range p.States {
		size += stateSize(&p.States[i])
	}
	for i := range p.Changes {
		size += changeSize(&p.Changes[i])
	}
	for i := range p.IDs {
		size += idSize(&p.IDs[i])
	}
	for i := range p.Reserved {
		size += reservedSize(&p.Reserved[i])
	}
	return size
}

// A packer puts parcels for a member into messages, and sends each when it is full.
type packer struct {
	parts []Parcel
	size  int
	come  int   // how many are about to be added, as far as is known
	pace  *pace // nil: none
	light bool  // a parcel counts the same at the pace whatever is in it
	send  func(parts []Parcel)
}

// A pace is how many bytes may go out before the next Tick.
type pace struct {
	left int
	last bucket.Instant // when it was last refilled
}

// refill lets as much go out as there was time for since the last time at so many bytes a second, but never more than for
// two ticks.
func (a *pace) refill(now bucket.Instant, rate int, tick time.Duration) {
	ticks := 2 * tick
	of := func(d time.Duration) int { return max(1, int(float64(rate)*d.Seconds())) }
	a.left, a.last = min(a.left+of(min(now.Sub(a.last), ticks)), of(ticks)), now
}

// leaveMost is how many partitions a second a node that leaves hands over, whatever is in them: if all at once did, checks
// would wait for what they cost all nodes.
const leaveMost = 16384

// refillPaces is refill for all paces.
func (n *Core) refillPaces(now bucket.Instant) {
	n.pace.refill(now, n.Pace, n.Config.Tick)
	n.leaving.refill(now, leaveMost*parcelCost, n.Config.Tick)
}

// may says whether anything may be sent after cost bytes that are to go now already. What is too large at once is paid for later.
func (a *pace) may(cost int) bool { return a == nil || a.left > cost }

// full says whether the next parcel goes into another message.
func (k *packer) full() bool { return len(k.parts) >= messageParts || k.size >= messageBytes }

// add puts parcels into messages.
func (k *packer) add(parcels ...Parcel) {
	for i := range parcels {
		if k.full() {
			k.flush()
		}
		if k.parts == nil {
			k.parts = make([]Parcel, 0, min(k.come, messageParts))
		}
		k.come = max(0, k.come-1)
		k.parts = append(k.parts, parcels[i])
		k.size += parcels[i].size()
	}
}

// parcelCost is as how many bytes a parcel counts at least: to pack and to take in an empty one is work too.
const parcelCost = 1024

// cost returns how much of the pace is taken by what waits in k.
func (k *packer) cost() int {
	cost := len(k.parts) * parcelCost
	if k.light {
		return cost
	}
	return max(k.size, cost)
}

// flush sends what is there.
func (k *packer) flush() {
	if len(k.parts) > 0 {
		k.send(k.parts)
		if k.pace != nil {
			k.pace.left -= k.cost()
		}
	}
	k.parts, k.size = nil, 0
}

// drain takes what waits for m off its queue and lets pack put it into messages, as long as not too much is on its way
// and the pace allows it.
func drain[T any](m *member, queue *[]T, k *packer, pack func(T)) {
	for m.bulk < bulkMost && len(*queue) > 0 && k.pace.may(0) {
		for len(*queue) > 0 && !k.full() && k.pace.may(k.cost()) {
			next := (*queue)[0]
			*queue = (*queue)[1:]
			pack(next)
		}
		k.flush()
	}
}
