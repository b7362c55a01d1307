package core

import (
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// A Kind is what a Message is about.
type Kind uint8

// The kinds of messages.
const (
	Beat      Kind = iota // do you hear me?
	Claim                 // who has these partitions? they should be mine
	Handoff               // these partitions are yours now
	Fetch                 // send me your replicas of these partitions, nobody has them
	Replicate             // copies of buckets that I hold
	Release               // you need not keep replicas of these partitions any more
	Merge                 // I had saved something of these partitions, which you hold; since protocol 5
	kinds
)

// A Message is what one core says to another. It is not changed once it is sent.
type Message struct {
	Kind  Kind
	Boot  uint64 // the sender's
	Epoch uint64 // of the sender's view
	Round uint64 // of a claim or a fetch; counts messages about replicas

	Wanted []ring.Partition // of a claim or a fetch, in ascending order
	Missed []Run            // of a beat: dead members that count for the majority
	Gone   []Run            // of a beat: members that have left, or whose processes have ended
	Gates  []Run            // of a beat: gateways that went without a word
	Parts  []Parcel         // of a handoff, of replicas, of a merge, or without buckets of a release, or of a merge's question
}

// A Run is one run of a member.
type Run struct {
	ID   ring.Member
	Boot uint64
	For  time.Duration // how long ago it was missed first, by whoever tells of it; whole milliseconds
}

// A Parcel is buckets of one partition.
type Parcel struct {
	Partition ring.Partition
	Term      Term          // the receiver's with a handoff, the sender's with a replica or what is stale
	Round     uint64        // of the claim that a handoff answers; of a whole replica, another one for each
	Chunk     int           // number of the parcel among Chunks of the partition
	Chunks    int           // 0 for replicas of what has changed
	Cold      bool          // what the partition had was lost before
	ColdFor   time.Duration // since when
	Stale     bool          // somebody else may hold the partition: who takes this in is not made its holder by it
	States    []bucket.State
	Changes   []bucket.Change
	IDs       []bucket.Remembered // on the wire those of Changes are among them
	Reserved  []bucket.Reserved   // on the wire those of Changes are among them
}

// A Reply answers a Message.
type Reply struct {
	// Known says that the sender, in the run that its Boot names, is a member in the receiver's view.
	Known bool

	Epoch   uint64 // of the receiver's view
	Boot    uint64 // the receiver's
	Founded bool   // some partition has had a holder

	Missed []Run // as in a beat
	Gone   []Run
	Gates  []Run
	Places []Place          // of a claim: one for each of Wanted
	Taken  []ring.Partition // of a handoff: those that are held now; of a merge: those that nothing is missing of
	Partly []ring.Partition // of a handoff: those of which more parcels have to come; of a merge: those that are wanted
	Never  []ring.Partition // of a handoff: those that have not arrived by that term, and will not be let in
	Over   []Place          // of replicas: those that somebody else holds at a higher term; of a merge: those not held here
}

// A Place is what a node says of one partition.
type Place struct {
	Partition ring.Partition
	Status    Status
	Term      Term        // the highest heard of
	Copy      Term        // term of the replica that it keeps, 0 without one
	Holder    ring.Member // of those that somebody else holds, if it is known
}

// A Status is how a node stands to a partition that another one claims.
type Status uint8

// The statuses.
const (
	Nothing Status = iota // it does not have it
	Sends                 // it has it, and will send it
	Keeps                 // it has it, or is about to, and does not take the claimer for the target
	statuses
)
