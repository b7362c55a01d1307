package chaos

import (
	"context"
	"time"
)

// A Fleet is what is broken. Its nodes have names; one that ended may be started again under its name. Check is called by
// many goroutines at once, the other methods by one at a time while checks go on. All of them block until done and end
// with ctx at the latest.
type Fleet interface {
	// Start starts a node, which joins those that are up, and returns once it is ready.
	Start(ctx context.Context, node string) error

	// Leave has a node leave gracefully, as an operator would who stops it, and returns once it has ended. Nobody asks
	// it any more; what was asked before is answered.
	Leave(ctx context.Context, node string) error

	// Kill ends a node without any goodbye and returns once it is gone.
	Kill(ctx context.Context, node string) error

	// Pause freezes a node: it keeps its connections and answers nothing. Resume lets it go on.
	Pause(ctx context.Context, node string) error
	Resume(ctx context.Context, node string) error

	// Check asks a node. An error means that nothing is known of what became of the check.
	Check(ctx context.Context, node string, c Check) (Answer, error)

	// Close ends all nodes that are left and removes what was made for them.
	Close() error
}

// A Cutter is a Fleet whose network can be cut. Without one, plans with cuts are refused.
type Cutter interface {
	// Cut drops what goes from one node to another, that way only, in silence.
	Cut(ctx context.Context, from, to string) error

	// Heal ends all cuts.
	Heal(ctx context.Context) error
}

// A Locator is a Fleet that can tell who holds which key. Without one, every kill is taken for one of every key's holder,
// which the judge then finds less wrong.
type Locator interface {
	// Holders returns the holder of each check's key, "" where that is not known, as a node that is not avoid sees it. The
	// checks cost nothing.
	Holders(ctx context.Context, checks []Check, avoid string) ([]string, error)
}

// A Settler is a Fleet that can tell whether the nodes agree on who they are and every partition has one holder. Without
// one, the time until they do is not judged.
type Settler interface {
	// Settled returns why the nodes do not agree, nil if they do. The nodes named are not asked: they are frozen.
	Settled(ctx context.Context, frozen []string) error
}

// A Witness is a Fleet that sees what its nodes do unasked.
type Witness interface {
	// Fallen returns what is wrong with nodes that ended although nobody ended them, or broke down as they ended.
	Fallen() []string

	// Changes returns how often nodes have changed their minds about who is a member.
	Changes() int
}

// A Check is one request.
type Check struct {
	Key        string
	Limit      string
	Cost       int64
	Durability string // "" for the default
	OnLost     string // "" for the default
	Client     int    // who asks, from 0: each has connections of its own
}

// An Answer is the answer to a Check.
type Answer struct {
	Allowed  bool
	Degraded bool
	Source   string        // holder, lease, denial or degraded
	Node     string        // who decided
	Delay    time.Duration // how long an allowed request has to wait for its turn yet
}
