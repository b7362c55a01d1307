package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/ring"
)

// Errors with which a Transport finishes an Ask that the peer did not answer. All of them are answered by the limit's
// OnLost rule.
var (
	ErrPeerLost     = errors.New("peer cannot be reached")       // refused (then syscall.ECONNREFUSED too), or its stream broke
	ErrPeerSilent   = errors.New("peer did not answer in time")  // Wait or Most passed, or it owes older answers
	ErrPeerBusy     = errors.New("queue to the peer is full")    // nothing was sent
	ErrPeerRefused  = errors.New("peer refuses to speak to us")  // other ring parameters, label, or protocol version
	ErrAskInvalid   = errors.New("peer calls the ask invalid")   // Answer.Reason says why
	ErrPeerShutdown = errors.New("transport has been shut down") // Close was called
)

// Protocol is the newest version of what nodes say to each other that this one speaks, and OldestProtocol the oldest. Two nodes
// go by the lower of their newest, and refuse each other where that is older than one of them accepts. So a fleet is
// upgraded node by node from any release that speaks OldestProtocol or newer.
//
//	4  what nodes said who knew no other
//	5  a restarted node brings what it had saved; see speaks
const (
	Protocol       = 5
	OldestProtocol = 4
)

// A Term counts the holders that a partition has had; the higher replaces the lower.
type Term = core.Term

// An Op is what an Ask wants done.
type Op uint8

// The operations.
const (
	OpTake   Op = iota // decide on all checks: take all of the costs or none
	OpRefund           // give back what an earlier OpTake with the same Hold took
	OpReset            // forget the buckets: they are full again
	OpTell             // take note of Body, what one node's core says to another's; there are no checks
	OpCharge           // take the costs whether the tokens are there or not: they were admitted without the holder
	OpForget           // forget what was denied of the keys: they were given tokens. It may be asked of anybody
	OpLend             // lend tokens of the only check's key, so many that Cost are lent with Rest; take Back
	OpSettle           // say what the reservations with the checks' keys and ids came to, their Costs; or renew them for their Reserve
	OpReport           // say of itself what Body, a Question, asks for; there are no checks. Nodes that do not know it call it invalid
	OpGive             // give the only check's Cost back to its bucket, up to full. Nodes that do not know it call it invalid
	OpDrain            // take as much of the only check's Cost as is there. Nodes that do not know it call it invalid
)

// Tells says whether asks with o have a Body and no checks. They are for people and for what nodes say of partitions, so they go
// their own way and no check waits behind them.
func (o Op) Tells() bool { return o == OpTell || o == OpReport }

// A Check is one request inside an Ask, and its decision.
type Check struct {
	// Partition is the partition of Request.Key; the asker hashed the key, the holder trusts that.
	Partition ring.Partition

	// Term is the holder's term for the partition as the asker knows it, 0 if it does not.
	Term Term

	// Request is what is asked.
	Request bucket.Request

	// Decision is the holder's decision. Its Node is left empty on the wire: it is the answering peer.
	Decision bucket.Decision

	// Settled answers an OpSettle; it is zero for others.
	Settled bucket.Settled
}

// An Ask is one question from a node to a peer, with room for its answer. Its checks are decided on together: all or
// nothing.
type Ask struct {
	Op Op

	// Epoch is the epoch of the asker's ring.
	Epoch uint64

	// Holder is whom the asker takes for the holder, "" for the peer that it asks.
	Holder ring.Member

	// Hop counts how many nodes the ask went through before this one, 0 when it comes from where it was asked.
	Hop uint8

	// Wait is how long the asker waits for a peer of which nothing is heard, from the call of Peer.Ask on or from when
	// anything was heard of it last; positive. Who is asked reads in it how long the asker still waits at most.
	Wait time.Duration

	// Most is how long the asker waits, from the call of Peer.Ask on, if the peer is heard of all the time: it is slow
	// then and not lost. 0, or less than Wait, means Wait.
	Most time.Duration

	// Hold, where not 0, names what an OpTake takes, so that an OpRefund with the same Hold from the same node gives it
	// back. The holder remembers it for some seconds. No two takes of one node have the same.
	Hold uint64

	// Rest and Back are, with OpLend, the tokens that the asker has of what it was lent before, and those that it gives back
	// besides. Its Hold grows from one to the next.
	Rest, Back int64

	// Checks has 1 to MaxChecks entries, none with an Op that Tells. Those of an OpRefund are those of its OpTake, and only their
	// partitions count.
	Checks []Check

	// Body is what an OpTell tells or an OpReport asks for: 1 to MaxBody bytes, empty with other operations. The transport does not look into it,
	// and it belongs to the transport until the Ask is done, to the asked node until its Answer returns.
	Body []byte

	// Answer is valid once the Ask is done without an error.
	Answer Answer

	// Err is how the Ask ended: nil, or wraps one of the errors above.
	Err error

	done chan struct{}
}

// NewAsk returns an Ask to fill in and give to a Peer. Once it is done it may be filled in and given again.
func NewAsk() *Ask { return &Ask{done: make(chan struct{}, 1)} }

// Finished returns the channel that gets one value each time the ask is done.
func (a *Ask) Finished() <-chan struct{} { return a.done }

// MaxChecks is the most checks of one Ask.
const MaxChecks = 1000

// MaxBody is the most bytes of an Ask's Body, and of an Answer's.
const MaxBody = 256 << 10

// An Answer is what the holder said.
type Answer struct {
	// Status says whether the decisions in Checks are there.
	Status AnswerStatus

	// Holder is, with NotHolder, whom the peer takes for the holder, "" if it does not know; with Decided the peer itself.
	Holder ring.Member

	// Term is the holder's term as the peer knows it.
	Term Term

	// Epoch is the epoch of the peer's ring.
	Epoch uint64

	// Held answers an OpLend: how many tokens the holder counts as lent to the asker; Next how many besides it has set aside
	// for the asker's next OpLend. They are 0 for others.
	Held, Next int64

	// Reason says, with Invalid, what is wrong with the ask, for people; Flaw the same by its error. It is 0 where who answers is
	// too old to know of it.
	Reason string
	Flaw   Flaw

	// Body answers the Body of an Op that Tells; at most MaxBody bytes, empty with other operations. It belongs to the asker.
	Body []byte
}

// An AnswerStatus is the kind of an Answer.
type AnswerStatus uint8

// The statuses of an Answer.
const (
	Decided   AnswerStatus = iota // done; for OpTake, OpLend, OpGive and OpDrain every check has its decision, for OpSettle its Settled
	NotHolder                     // at least one partition is not the peer's; nothing was taken
	Invalid                       // the ask breaks a rule; nothing was taken
)

// Done tells the node that a is answered, or that it will not be because of err. A Transport calls it exactly once for
// each Ask it was given, at the latest when Wait and Most have passed, and does not touch a afterwards.
func (a *Ask) Done(err error) {
	a.Err = err
	a.done <- struct{}{} // never blocks: there is room for one
}

// A Hello is what a node says of itself when a stream opens.
type Hello struct {
	Protocol uint32 // the oldest that it accepts; the only one of those who say no Newest
	Newest   uint32 // the newest that it speaks; 0 means Protocol
	Label    string // the cluster's label
	Ring     string // ring.Params in words; nodes with other parameters would place keys elsewhere
	ID       ring.Member
	Boot     uint64 // tells apart two runs of a node with one ID; the newest is the larger
}

// A Transport carries Asks between nodes. transport/peer implements it over gRPC. Its methods are safe for concurrent
// use.
type Transport interface {
	// Listen opens the address on which peers reach this node and returns it with the port that was chosen. It is called
	// once, before Serve.
	Listen() (addr string, err error)

	// Serve answers peers by h, as self, until ctx ends or Close is called, and returns when no call of h is under way.
	Serve(ctx context.Context, self Hello, h Handler) error

	// Peer returns the way to the member id at addr. It does not block and does not connect yet: the first Ask does.
	Peer(id ring.Member, addr string) Peer

	// Greet asks whoever listens at addr who it is. It blocks until the answer, an error, or the end of ctx.
	Greet(ctx context.Context, addr string) (Hello, error)

	// Close closes the listener and all peers. Asks under way are Done with ErrPeerShutdown.
	Close() error
}

// A Peer carries Asks to one member.
type Peer interface {
	// Ask sends a and returns at once. a.Done is called exactly once, from any goroutine and possibly before Ask returns.
	// The peer owns a until then.
	Ask(a *Ask)

	// Back says that the member is known to be alive: connect again at once instead of after the backoff.
	Back()

	// Close gives the connection up. Asks under way are Done with ErrPeerLost.
	Close()
}

// A Handler decides on what peers ask. *Node implements it.
type Handler interface {
	// Hello returns an error that says why if this node does not speak to one who says h.
	Hello(h Hello) error

	// Answer decides on asks, which came from one peer in one message, and fills in their Answers and Decisions. It does
	// not block, but where a limit has the durability sync: for Config.PeerWait if the replica's keeper is silent, for 200 ms
	// if it has just been lost and another one may follow, for half a second if it has just joined and does not know this node
	// yet, and never for longer than the asks' Wait. The asks and the strings in them are the caller's again when it returns.
	Answer(from ring.Member, asks []Ask)
}
