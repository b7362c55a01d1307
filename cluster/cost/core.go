package cost

import (
	"cmp"
	"math"
	"time"
)

// How often a core does what it does without being asked: core.Config's defaults.
const (
	Tick = 20 * time.Millisecond
	Beat = 100 * time.Millisecond
	Call = time.Second
)

// Beats returns how many beats a second a holder sends, and as many answers come; Heard how many it answers. A gateway sends as
// many as Calls says.
func (f Fleet) Beats() float64 { return perSecond(Beat) * float64(f.Holders-1) }

// Heard returns how many beats a second a holder answers: of the other holders and of gateways.
func (f Fleet) Heard() float64 { return f.Beats() + perSecond(Call)*float64(f.Gateways) }

// Calls returns how many beats a second a gateway sends.
func (f Fleet) Calls() float64 { return perSecond(Call) * float64(f.Holders) }

// Changed returns how many keys of a holder change between two ticks, of all whose checks come alike.
func (f Fleet) Changed() float64 {
	keys := f.Active / float64(f.Holders)
	if keys == 0 {
		return 0
	}
	asked := f.Checks / float64(f.Holders) * Tick.Seconds()
	return keys * -math.Expm1(-asked/keys)
}

// Heirs returns at how many nodes the replicas of one holder are.
func (f Fleet) Heirs() float64 { return drawn(float64(f.Holders-1), f.PartitionsOf()) }

// drawn returns how many of so many are drawn by that many draws.
func drawn(of, draws float64) float64 {
	if of < 1 {
		return 0
	}
	if of == 1 {
		return 1
	}
	return of * -math.Expm1(draws*math.Log1p(-1/of))
}

// Replicas returns how many messages with changed keys a holder sends a second: one to an heir for each tick in which one of
// that one's keys has changed, or more where they are too large for one.
func (f Fleet) Replicas() float64 {
	heirs := f.Heirs()
	if heirs == 0 {
		return 0
	}
	each := f.Changed() / heirs
	full := each * float64(entryReserve+f.KeyLen+parcelReserve) / messageFull
	return perSecond(Tick) * heirs * (-math.Expm1(-each) + full)
}

// What core counts a message's entries as before it begins another message: see core's parcelBytes.
const (
	entryReserve  = 100
	parcelReserve = 100
	messageFull   = 48 << 10
	parcelLeast   = 1024 // as which any parcel counts at core's pace: to pack one is work too
)

// ReplicaBytes returns how many bytes a second a holder sends for them: the changed keys, each in a parcel of its partition.
func (f Fleet) ReplicaBytes() float64 {
	changed := f.Changed() * perSecond(Tick)
	parcels := drawn(f.PartitionsOf(), f.Changed()) * perSecond(Tick)
	return changed*(ChangeBytes+float64(f.KeyLen)) + parcels*ParcelBytes + f.Replicas()*(TellBytes+LimitBytes+AnsweredBytes)
}

// A Change is what one holder that comes or goes costs the whole fleet.
type Change struct {
	Claims    float64 // messages: holders ask for what should be theirs, and ask who comes or leaves about what they hold
	Moved     float64 // partitions that get another holder
	Filled    float64 // whole replicas that are made anew
	MovedKeys float64 // buckets that are sent to holders, and as many again to heirs
	Bytes     float64 // of both
	Wire      float64 // bytes of claims and their answers
	Within    float64 // seconds until a holder that joins has its part
	Whole     float64 // seconds until it has made whole replicas of that, which it does alone
}

// pace returns how many bytes a second a holder sends of what moves without hurry.
func (f Fleet) pace() int { return cmp.Or(f.Pace, 4<<20) }

// claimedShare is which part of all partitions one claim asks about at most of what a holder has already.
const claimedShare = 16

// asks returns how many claims a holder needs that asks about all that it has, where n have everything.
func asks(n float64) float64 { return max(1, claimedShare/n+0.5) }

// Join returns what one holder more costs: it claims its part of all others, and they ask it about theirs.
func (f Fleet) Join() Change {
	n := float64(f.Holders + 1)
	c := f.change((n-1)+(n-1)*asks(n), n, n)
	each := max(parcelLeast, parcelReserve+f.Keys/float64(f.Partitions)*(entryReserve+float64(f.KeyLen)))
	c.Whole = c.Moved * each / float64(f.pace())
	c.Within = c.Whole / float64(f.Holders) // which all send together
	return c
}

// Leave returns what it costs that one holder leaves: the others claim its part of all, and ask it about theirs.
func (f Fleet) Leave() Change {
	n := float64(f.Holders)
	return f.change((n-1)*(n-1)+(n-1)*asks(n), n, n*(n-1))
}

// change returns what it costs that one of n comes or goes, where what is claimed together is one partition of so many.
func (f Fleet) change(claims, n, sparse float64) Change {
	p := float64(f.Partitions)
	c := Change{Claims: claims, Moved: p / n, Filled: 2 * p / n, MovedKeys: f.Keys / n}
	c.Bytes = (c.MovedKeys + 2*c.MovedKeys) * (StateBytes + float64(f.KeyLen))
	moved, held := float64(ClaimedBytes+PlaceBytes), float64(ClaimedBytes+PlaceBytes)
	if sparse >= 64 {
		moved++
	}
	if n >= 64 {
		held++
	}
	c.Wire = claims*(TellBytes+AnsweredBytes) + (n-1)*p/n*(moved+held)
	return c
}
