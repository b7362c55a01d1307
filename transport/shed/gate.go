// Package shed keeps a node that is asked for more than it can do at what it can do: it refuses connections beyond what there
// is room for, and holds requests back, the least important ones first, which it refuses where that lasts.
//
// What tells that there is too much to do is how long goroutines that could run wait for a processor, which the Go runtime
// measures: a request that nobody has begun to read waits there too, so a bound of requests under way would see nothing.
// While more than one wait in ten is longer than Config.Delay, reads are refused and checks held back. Queueing delay as the
// signal of overload: Nichols and Jacobson, Controlling Queue Delay (2012); Maurer, Fail at Scale (2015); Zhou et al., Overload
// Control for Scaling WeChat Microservices, arXiv:1806.04075.
//
// To refuse a check costs nearly what it costs to answer one, so a node that refuses at once, and is asked again at once, does
// little else (Cho et al., Overload Control for us-scale RPCs with Breakwater, OSDI 2020). So checks stand in line first, which
// costs next to nothing, for as long as Config.Delay at most, and as many are let in as keep the processors busy. Those who ask on
// so many connections and streams as there may be cannot ask more, and what else the node does, for its peers above all, finds
// short waits.
package shed

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// A Priority says how much it matters that a request is answered.
type Priority uint8

// The priorities. What other nodes ask is none of them: it does not come through a Gate.
const (
	Vital Priority = iota // health; never refused
	Give                  // gives something back, as settlements and releases: never refused for pressure
	Check                 // wants a decision
	Read                  // looks at something; refused first
	priorities
)

// String returns the word that metrics have for p.
func (p Priority) String() string {
	switch p {
	case Vital:
		return "vital"
	case Give:
		return "give"
	case Check:
		return "check"
	case Read:
		return "read"
	case priorities:
	}
	return "unknown"
}

// An Entry is a way in for requests.
type Entry uint8

// The entries.
const (
	API        Entry = iota // HTTP/JSON
	GRPC                    // noria.v1
	RLS                     // Envoy's rate limit service, over HTTP and gRPC
	Auth                    // sub-requests
	Gubernator              // over HTTP and gRPC
	Gateway                 // the reverse proxy
	entries
)

// String returns the word that metrics have for e.
func (e Entry) String() string {
	if e >= entries {
		return "unknown"
	}
	return [...]string{"api", "grpc", "rls", "auth", "gubernator", "gateway"}[e]
}

// Config says when a Gate refuses. The zero value is ready for use.
type Config struct {
	// Delay is how long requests may wait for a processor: while a tenth of all waits is longer, reads are refused,
	// and checks held back for as long at most, and then refused. Default: 500ms; Never holds none back. Less answers sooner what is
	// answered, and refuses more in a burst.
	Delay time.Duration

	// MaxCalls is how many requests may be under way at once, those of priority Give a quarter more. Default: 16,384. One
	// costs some 10 to 20 KB; more take more memory before the node refuses.
	MaxCalls int

	// Waits returns how long goroutines wait for a processor now: what nine of ten waits are no longer than. Default: as the Go
	// runtime counts it.
	Waits func() time.Duration

	// Memory returns how much of the memory that the process may use is in use, 0 to 1; 0 where there is no bound. Default: by
	// GOMEMLIMIT.
	Memory func() float64

	// Log is told when the node begins to refuse requests and when it ends. Default: nowhere.
	Log *slog.Logger
}

// Never is the Delay of a Gate that refuses nothing for pressure.
const Never time.Duration = -1

const usualDelay = 500 * time.Millisecond

// A Gate decides which requests are refused. A nil Gate lets all in. Its methods are safe for concurrent use.
type Gate struct {
	config Config
	over   atomic.Bool  // checks are held back, and reads refused; read by every request, hardly ever written
	_      [60]byte     // what follows is written by every request
	calls  atomic.Int64 // under way
	done   atomic.Int64 // ended while there is too much to do
	held   line         // of those under way, held back
	shed   [entries][priorities]atomic.Uint64
}

// NewGate returns a Gate that lets all in until Run looks at what there is to do.
func NewGate(c Config) *Gate {
	if c.Delay == 0 {
		c.Delay = usualDelay
	}
	if c.MaxCalls <= 0 {
		c.MaxCalls = 16_384
	}
	if c.Waits == nil {
		c.Waits = newWaits().now
	}
	if c.Memory == nil {
		c.Memory = newMemory().used
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Gate{config: c}
}

// Enter says whether a request that came in by e is answered; it is under way then until Leave. One that is not was counted,
// and is to be told transport.ErrOverloaded. Enter blocks while the request is held back, until ctx ends at the latest.
func (g *Gate) Enter(ctx context.Context, e Entry, p Priority) bool {
	if g == nil {
		return true
	}
	if !g.room(e, p) {
		return false
	}
	if g.over.Load() && !g.wait(ctx, e, p) {
		g.calls.Add(-1)
		return false
	}
	return true
}

// room counts one more request under way, unless there are too many.
func (g *Gate) room(e Entry, p Priority) bool {
	if n, most := g.calls.Add(1), int64(g.config.MaxCalls); n > most && p != Vital && (p != Give || n > most+most/4) {
		g.calls.Add(-1)
		g.shed[e][p].Add(1)
		return false
	}
	return true
}

// Wait is Enter for what is part of a request that is under way.
func (g *Gate) Wait(ctx context.Context, e Entry, p Priority) bool {
	return g == nil || !g.over.Load() || g.wait(ctx, e, p)
}

// wait holds a request back where that is what happens to those of its priority, and says whether it is let in.
func (g *Gate) wait(ctx context.Context, e Entry, p Priority) bool {
	switch p {
	case Vital, Give:
		return true
	case Check:
		if g.hold(ctx) {
			return true
		}
	case Read, priorities:
	}
	g.shed[e][p].Add(1)
	return false
}

// hold holds a check back until it is let in, it took too long, or ctx ends. Whoever does not wait for long enough for that is
// told at once.
func (g *Gate) hold(ctx context.Context) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < 2*g.config.step() {
		return false
	}
	return g.held.wait(ctx)
}

// holds is how many times Config.Delay a check is held back, and a tick more.
const holds = 1

// step returns Delay, and the default where nothing is held back but for memory.
func (c *Config) step() time.Duration {
	if c.Delay <= 0 {
		return usualDelay
	}
	return c.Delay
}

// Leave ends what Enter began.
func (g *Gate) Leave() {
	if g == nil {
		return
	}
	g.calls.Add(-1)
	if g.over.Load() {
		g.done.Add(1)
	}
}

// A Count is how many requests of one kind were refused.
type Count struct {
	Entry    Entry
	Priority Priority
	Shed     uint64
}

// Stats is what a Gate knows of itself.
type Stats struct {
	// Overloaded says that reads are refused and checks held back.
	Overloaded bool

	// Calls are the requests under way, and Held those of them that are held back.
	Calls, Held int

	// Counts are of all kinds of requests that can be refused.
	Counts []Count
}

// Stats returns what g knows of itself.
func (g *Gate) Stats() Stats {
	if g == nil {
		return Stats{}
	}
	s := Stats{Overloaded: g.over.Load(), Calls: int(g.calls.Load()), Held: g.held.len()}
	for e := range entries {
		for p := Give; p < priorities; p++ {
			s.Counts = append(s.Counts, Count{e, p, g.shed[e][p].Load()})
		}
	}
	return s
}
