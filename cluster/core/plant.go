package core

import (
	"math"
	"slices"
	"time"

	"github.com/noriahq/noria/bucket"
)

// The planted bugs.
const (
	noPlant             plant = iota
	plantNoFreeze             // the buckets of a handoff are decided on while they travel
	plantResume               // a holder goes on when it does not know whether a handoff arrived
	plantNewerWins            // a handoff replaces what is there instead of being merged
	plantLoseStates           // a handoff leaves the buckets behind
	plantAnyHandoff           // a handoff is accepted that nobody has asked for
	plantEarlyRelease         // a replica is dropped before the next heir has the whole
	plantOldReplica           // an orphan is started from the replica at hand, however old
	plantHaste                // an orphan is started although not all members were heard
	plantNoFence              // a node goes on without a majority
	plantLoseReplicas         // a replica that was lost is not sent again
	plantLate                 // what comes late of a replica replaces what came before
	plantLoop                 // a request is redirected without end
	plantEager                // who was answered a moment ago is taken for dead because the membership says so
	plantStale                // who takes in what is stale becomes its holder
	plantSum                  // two copies of a bucket owe what both owe
	plantSender               // a handoff counts from when it was sent, by the sender's clock
	plantForgetIDs            // a handoff leaves the request ids behind
	plantHalve                // a handoff brings half of what is owed
	plantMute                 // no replica is ever sent
	plantRepeat               // a handoff that is sent again, for a later claim, is taken in once more
	plantLateLease            // a lease is spent after its deadline
	plantKeepLease            // what is given back is spent too
	plantForgetLent           // a handoff forgets what is lent
	plantReturnLate           // what was spent is put back although the holder counts it as spent
	plantVoters               // gateways count for the majority
	plantUncounted            // gateways do not count for shares
	plantForgetReserved       // a handoff leaves the reservations behind
	plantUnsettle             // what was settled is settled again elsewhere
	plantEternal              // a slot never expires elsewhere
	plantTellNoIDs            // a change leaves the request ids behind that it was charged for
	plantGiveTwice            // what is given back is given once more when it is said again
	plantGiveLent             // what is given back is counted as if nothing were lent
	plantUnasked              // who comes is not asked about what is held here already
	plants

	// Those that only a fleet finds which starts again from what it has saved.
	plantSavedReplaces // what was saved replaces what is there
	plantSavedStays    // what was saved is not brought to who holds the partition
	plantSavedTwice    // the time since it was saved counts twice
	savedPlants
)

// halved returns states with half of their debts, for plantHalve.
func halved(states []bucket.State) []bucket.State {
	halves := slices.Clone(states)
	for i := range halves {
		halves[i].Debt /= 2
	}
	return halves
}

// unlent returns states of which nothing is lent, for plantForgetLent.
func unlent(states []bucket.State) []bucket.State {
	none := slices.Clone(states)
	for i := range none {
		none[i].Lent = 0
	}
	return none
}

// sum returns states with what this node's buckets owe added, for plantSum.
func (n *Core) sum(now bucket.Instant, p int, states []bucket.State) []bucket.State {
	sums := make([]bucket.State, len(states))
	for i, st := range states {
		if mine, ok := n.Store.State(now, p, st.Key); ok {
			st.Debt += mine.Debt
		}
		sums[i] = st
	}
	return sums
}

// unsettled returns reservations of which none has ended, for plantUnsettle.
func unsettled(all []bucket.Reserved) []bucket.Reserved {
	again := slices.Clone(all)
	for i := range again {
		if r := &again[i]; r.Settled {
			r.Settled, r.Least, r.Left = false, math.MaxInt64, min(r.Left, 2*time.Second)
		}
	}
	return again
}

// eternal returns reservations that last for ever, nearly, for plantEternal.
func eternal(all []bucket.Reserved) []bucket.Reserved {
	long := slices.Clone(all)
	for i := range long {
		long[i].Left = bucket.MaxReserve
	}
	return long
}
