// Package shed keeps a node that is asked for more than it can do at what it can do: it refuses connections and requests
// beyond what there is room for, as early and as cheaply as it can, the least important ones first.
//
// What tells that there is too much to do is how long goroutines that could run wait for a processor, which the Go runtime
// measures: a request that nobody has begun to read waits there too, so a bound of requests under way would see nothing.
// While more than one wait in four is longer than Config.Delay the pressure rises, and with it the part of the requests that
// are refused; it falls when they are shorter. Queueing delay as the signal of overload: Nichols and Jacobson, Controlling
// Queue Delay (2012); Maurer, Fail at Scale (2015); Zhou et al., Overload Control for Scaling WeChat Microservices,
// arXiv:1806.04075.
//
// To refuse a request costs a good part of what it costs to answer one, so refusing alone does not keep a node well (Cho et
// al., Breakwater, OSDI 2020). What does is that clients have a bounded number of requests under way: the bounds of
// connections, of streams of a connection and of checks of a stream are as much a part of it.
package shed

import (
	"log/slog"
	"math/rand/v2"
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
	// Delay is how long requests may wait for a processor: while a quarter of all waits is longer, requests are refused.
	// Default: 50ms; Never refuses none. Less answers sooner what is answered, and refuses more in a burst.
	Delay time.Duration

	// MaxCalls is how many requests may be under way at once, those of priority Give a quarter more. Default: 16,384. One
	// costs some 10 to 20 KB; more take more memory before the node refuses.
	MaxCalls int

	// Waits returns how long goroutines waited for a processor since the last call: the third quartile, 0 where none waited.
	// Default: as the Go runtime counts it.
	Waits func() time.Duration

	// Memory returns how much of the memory that the process may use is in use, 0 to 1; 0 where there is no bound. Default: by
	// GOMEMLIMIT.
	Memory func() float64

	// Log is told when the node begins to refuse requests and when it ends. Default: nowhere.
	Log *slog.Logger
}

// Never is the Delay of a Gate that refuses nothing for pressure.
const Never time.Duration = -1

// A Gate decides which requests are refused. A nil Gate lets all in. Its methods are safe for concurrent use and do not
// block.
type Gate struct {
	config Config
	level  atomic.Uint32 // pressure in 1/full; read by every request, written while there is any
	_      [60]byte      // what follows is written by every request
	calls  atomic.Int64  // under way
	shed   [entries][priorities]atomic.Uint64
}

// full is the level at which all of one priority is refused. Reads are from 0 to full, checks from full to 2*full.
const full = 1 << 16

// NewGate returns a Gate that lets all in until Run looks at what there is to do.
func NewGate(c Config) *Gate {
	if c.Delay == 0 {
		c.Delay = 50 * time.Millisecond
	}
	if c.MaxCalls <= 0 {
		c.MaxCalls = 16_384
	}
	if c.Waits == nil {
		c.Waits = newWaits().quartile
	}
	if c.Memory == nil {
		c.Memory = newMemory().used
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Gate{config: c}
}

// Admit says whether a request that came in by e is answered. One that is not was counted, and is to be told
// transport.ErrOverloaded.
func (g *Gate) Admit(e Entry, p Priority) bool {
	if g == nil {
		return true
	}
	level := g.level.Load()
	if level == 0 {
		return true
	}
	if chosen(level, p) {
		g.shed[e][p].Add(1)
		return false
	}
	return true
}

// chosen says by chance whether a request of priority p is refused at level.
func chosen(level uint32, p Priority) bool {
	switch p {
	case Read:
	case Check:
		if level <= full {
			return false
		}
		level -= full
	case Vital, Give:
		return false
	}
	return level >= full || rand.Uint32()%full < level
}

// Enter is Admit for a request that is then under way until Leave, which is called only if Enter returned true.
func (g *Gate) Enter(e Entry, p Priority) bool {
	if g == nil {
		return true
	}
	if !g.Admit(e, p) {
		return false
	}
	if n, most := g.calls.Add(1), int64(g.config.MaxCalls); n > most && p != Vital && (p != Give || n > most+most/4) {
		g.calls.Add(-1)
		g.shed[e][p].Add(1)
		return false
	}
	return true
}

// Leave ends what Enter began.
func (g *Gate) Leave() {
	if g != nil {
		g.calls.Add(-1)
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
	// Pressure is 0 while nothing is refused for it, up to 1 while part of the reads are, and up to 2 while all reads and part
	// of the checks are.
	Pressure float64

	// Calls are the requests under way.
	Calls int

	// Counts are of all kinds of requests that can be refused.
	Counts []Count
}

// Stats returns what g knows of itself.
func (g *Gate) Stats() Stats {
	if g == nil {
		return Stats{}
	}
	s := Stats{Pressure: float64(g.level.Load()) / full, Calls: int(g.calls.Load())}
	for e := range entries {
		for p := Give; p < priorities; p++ {
			s.Counts = append(s.Counts, Count{e, p, g.shed[e][p].Load()})
		}
	}
	return s
}
