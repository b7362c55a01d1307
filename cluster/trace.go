package cluster

import (
	"context"

	"github.com/noriahq/noria/ring"
)

// A Hop is one ask of another node for a request's sake, see Config.Trace.
type Hop struct {
	Peer      ring.Member    // who is asked
	Number    int            // 0 for whom the node takes for the holder, 1 and 2 for those to whom that one and the next sent it on
	Op        Op             // what is asked for: OpTake for a check
	Checks    int            // how many requests are asked about
	Partition ring.Partition // of the first of them
}

// String returns the word for o in traces and logs.
func (o Op) String() string {
	switch o {
	case OpTake:
		return "take"
	case OpRefund:
		return "refund"
	case OpReset:
		return "reset"
	case OpLend:
		return "lend"
	case OpSettle:
		return "settle"
	case OpCharge:
		return "charge"
	case OpForget:
		return "forget"
	case OpTell:
		return "tell"
	case OpReport:
		return "report"
	case OpGive:
		return "give"
	case OpDrain:
		return "drain"
	}
	return "unknown"
}

// String returns the word for s in traces and logs.
func (s AnswerStatus) String() string {
	switch s {
	case Decided:
		return "decided"
	case NotHolder:
		return "not_holder"
	case Invalid:
		return "invalid"
	}
	return "unknown"
}

// trace tells Config.Trace of a, which is about to be sent to m. It returns nil where nobody wants to know.
func (n *Node) trace(ctx context.Context, a *Ask, m *member) func(s AnswerStatus, err error) {
	if n.config.Trace == nil || len(a.Checks) == 0 {
		return nil
	}
	return n.config.Trace(ctx, Hop{Peer: m.ID, Number: int(a.Hop), Op: a.Op, Checks: len(a.Checks), Partition: a.Checks[0].Partition})
}
