// Package cost says what a fleet costs each of its nodes, on paper: messages, bytes and memory, as pure functions of its size
// and of what is asked. Tests beside the real parts compare it with what these do; cluster/COST.md is made of it.
package cost

import (
	"fmt"
	"math"
	"time"
)

// A Fleet is nodes, and what is asked of them.
type Fleet struct {
	Holders    int
	Gateways   int     // nodes that hold nothing
	Partitions int     // of the ring
	Keys       float64 // buckets that are not full
	Checks     float64 // a second, over all nodes alike
	Active     float64 // keys that the checks are about, alike
	KeyLen     int     // bytes of a key
	NameLen    int     // bytes of a node's name
	Pace       int     // core.Config.Pace; 0 for its default
}

// Ring is how many partitions a ring has by default.
const Ring = 16_384

// Nodes returns how many nodes there are.
func (f Fleet) Nodes() int { return f.Holders + f.Gateways }

// Ways returns how many ways there are: one from every node to each other one that holds.
func (f Fleet) Ways() int { return f.Holders * (f.Nodes() - 1) }

// Each is how many streams a way has, each with a connection of its own: one for checks, and one for what cores say.
const Each = 2

// Streams returns how many streams there are.
func (f Fleet) Streams() int { return Each * f.Ways() }

// HolderStreams returns how many of them begin and end at one holder.
func (f Fleet) HolderStreams() int { return Each * (f.Holders - 1 + f.Nodes() - 1) }

// GatewayStreams returns how many begin at one gateway; none ends there.
func (f Fleet) GatewayStreams() int { return Each * f.Holders }

// Local returns the share of all checks that are decided where they are asked, without leases and denials.
//
// A holder has its part of all keys, and a gateway none: together that is one check of as many as there are nodes.
func (f Fleet) Local() float64 { return 1 / float64(f.Nodes()) }

// Forwarded returns how many checks a second go to another node.
func (f Fleet) Forwarded() float64 { return f.Checks * (1 - f.Local()) }

// PartitionsOf returns how many partitions a holder has.
func (f Fleet) PartitionsOf() float64 { return float64(f.Partitions) / float64(f.Holders) }

// Tolerance is how far the model may be off.
const Tolerance = 0.2

// Near returns an error that names what unless got is within Tolerance of want.
func Near(what string, got, want float64) error {
	if math.IsNaN(got) || math.IsNaN(want) || math.Abs(got-want) > Tolerance*math.Abs(got) {
		return fmt.Errorf("%s: counted %.6g, the model says %.6g: more than %.0f %% off", what, got, want, 100*Tolerance)
	}
	return nil
}

// perSecond returns how often a second something is that happens every d.
func perSecond(d time.Duration) float64 { return 1 / d.Seconds() }
