package cost

import (
	"math"
	"time"
)

// Settings of gossip, as package gossip has them.
const (
	ProbeInterval  = 350 * time.Millisecond
	PushPull       = 15 * time.Second
	RetransmitMult = 8
)

// Sizes in bytes, of packets without UDP and IP.
const (
	pingBytes  = 57 // a probe besides two names
	ackBytes   = 17 // its answer
	nodeBytes  = 95 // a node in a list of all besides two names: keys of its fields, addresses, versions and metadata
	aliveBytes = 88 // news of a node that joins, likewise
)

// Packets returns how many packets a second a node sends while nobody comes or goes: it probes one other in each interval, and
// is probed as often.
func (f Fleet) Packets() float64 {
	if f.Nodes() < 2 {
		return 0
	}
	return 2 * perSecond(ProbeInterval)
}

// PacketBytes returns how many bytes a second that is.
func (f Fleet) PacketBytes() float64 {
	return f.Packets() / 2 * (pingBytes + ackBytes + 2*float64(f.NameLen))
}

// Exchanges returns how many times a second a node begins to compare all that it knows with another one. Fleets of more than
// 32 do it less often.
func (f Fleet) Exchanges() float64 {
	n, every := float64(f.Nodes()), PushPull
	if n > 32 {
		every *= time.Duration(math.Ceil(math.Log2(n)-5)) + 1
	}
	return perSecond(every)
}

// ExchangeBytes returns how many bytes a second a node sends for that, those of exchanges that others begin among them.
func (f Fleet) ExchangeBytes() float64 {
	return 2 * f.Exchanges() * float64(f.Nodes()) * (nodeBytes + 2*float64(f.NameLen))
}

// NewsBytes returns how many bytes each node sends at most to tell of one node that comes or goes: to so many that all hear.
func (f Fleet) NewsBytes() float64 {
	return RetransmitMult * math.Ceil(math.Log10(float64(f.Nodes()+1))) * (aliveBytes + 2*float64(f.NameLen))
}
