package core

// The planted bugs.
const (
	noPlant           plant = iota
	plantNoFreeze           // the buckets of a handoff are decided on while they travel
	plantResume             // a holder goes on when it does not know whether a handoff arrived
	plantNewerWins          // a handoff replaces what is there instead of being merged
	plantLoseStates         // a handoff leaves the buckets behind
	plantAnyHandoff         // a handoff is accepted that nobody has asked for
	plantSameTerm           // who starts an orphan does not raise its term
	plantOldReplica         // an orphan is started from the replica at hand, however old
	plantHaste              // an orphan is started although not all members were heard
	plantNoFence            // a node goes on without a majority
	plantLoseReplicas       // a replica that was lost is not sent again
	plantOldTerm            // replicas of an older term are accepted
	plantLoop               // a request is redirected without end
	plantEager              // who was answered a moment ago is taken for dead because the membership says so
	plantStale              // who takes in what is stale becomes its holder
	plants
)
