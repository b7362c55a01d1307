package core

import (
	"sync/atomic"
	"testing"
)

// Each planted bug but those of TestStaged breaks a promise in one of a few hundred clusters.
func TestPlanted(t *testing.T) {
	names := [plants]string{
		plantNoFreeze:     "the buckets of a handoff are decided on while they travel",
		plantResume:       "a holder goes on when it does not know whether a handoff arrived",
		plantNewerWins:    "a handoff replaces what is there",
		plantLoseStates:   "a handoff leaves the buckets behind",
		plantAnyHandoff:   "a handoff is accepted that nobody has asked for",
		plantOldReplica:   "an orphan is started from the replica at hand, however old",
		plantHaste:        "an orphan is started although not all members were heard",
		plantNoFence:      "a node goes on without a majority",
		plantLoseReplicas: "a replica that was lost is not sent again",
		plantLate:         "what comes late of a replica replaces what came before",
		plantLoop:         "a request is redirected without end",
		plantEager:        "who was answered a moment ago is taken for dead",
		plantSum:          "two copies of a bucket owe what both owe",
		plantSender:       "a handoff counts from when it was sent",
		plantForgetIDs:    "a handoff leaves the request ids behind",
		plantHalve:        "a handoff brings half of what is owed",
		plantMute:         "no replica is ever sent",
		plantLateLease:    "a lease is spent after its deadline",
		plantKeepLease:    "what is given back is spent too",
		plantForgetLent:   "a handoff forgets what is lent",
		plantReturnLate:   "what was spent is put back although the holder counts it as spent",
		plantVoters:       "gateways count for the majority",
		plantUncounted:    "gateways do not count for shares",

		plantForgetReserved: "a handoff leaves the reservations behind",
		plantUnsettle:       "what was settled is settled again elsewhere, and gives back twice",
		plantEternal:        "a slot never expires elsewhere",

		plantTellNoIDs: "a change leaves the request ids behind that it was charged for",
		plantGiveTwice: "what is given back is given once more when it is said again",
		plantGiveLent:  "what is given back is counted as if nothing were lent",
		plantUnasked:   "who comes is not asked about what is held here already",
	}
	if plantedMost == 0 {
		t.Skip("under the race detector it would take minutes, and finds the same without")
	}
	// Where a bug that few clusters show was found last, it is looked for first.
	lately := map[plant]uint64{plantAnyHandoff: 371, plantOldReplica: 147, plantLoseReplicas: 377, plantForgetLent: 130}
	tables := newTables()
	for bug := noPlant + 1; bug < plants; bug++ {
		if scenes()[bug] != nil {
			continue
		}
		var tried, found atomic.Uint64
		first := max(lately[bug], 1) - 1
		each(0, plantedMost, func(i uint64) bool {
			i = (i+first)%max(plantedMost, 1) + 1
			tried.Add(1)
			s := newSim(i, bug, tables)
			err := s.story()
			if err == nil || newSim(i, noPlant, tables).story() != nil { // TestSim tells of the others
				return found.Load() == 0
			}
			if found.CompareAndSwap(0, i) {
				t.Logf("found after %d seeds: %s: seed %d (%v): %.180v", tried.Load(), names[bug], i, s.kind, err)
			}
			return found.Load() == 0
		})
		if found.Load() == 0 {
			t.Errorf("%d seeds do not find that %s", plantedMost, names[bug])
		}
	}
}
