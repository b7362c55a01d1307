package peer

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/ring"
)

// Stats counts what a Transport did since New.
type Stats struct {
	// As the one who asks.
	Batches uint64 // messages of asks that were sent; Asks / Batches is how well asks share messages
	Asks    uint64 // asks in them
	Failed  uint64 // asks that ended with an error, without those in Expired
	Full    uint64 // of those, asks that found a full queue
	Expired uint64 // asks that nobody answered before their Wait had passed
	Late    uint64 // answers to asks that were done already
	Opened  uint64 // streams that were opened, the first and each that replaced a broken one
	Peers   []LinkStats

	MaxQueue int // Config.MaxQueue

	// As the one who answers.
	Streams         int    // open now
	Refused         uint64 // connections and streams that were turned away
	BatchesAnswered uint64
	AsksAnswered    uint64 // in them, with Invalid
	Invalid         uint64 // asks that could not be read
}

// LinkStats is how a link to one peer is now. A peer has one for checks, and one for what it is told once it is.
type LinkStats struct {
	ID     ring.Member
	Addr   string
	Tells  bool   // it carries what is told, not checks
	State  string // idle, opening, open, lost or closed
	Silent bool   // asks end at once because the peer owes older answers
	Queue  int    // asks that wait to be sent

	Trips   Histogram // seconds from when a batch of asks was sent until all of them were answered
	Batches Histogram // asks in a batch
}

// Stats returns the counts now. They are read one after the other.
func (t *Transport) Stats() Stats {
	c := &t.count
	s := Stats{
		Batches: c.batches.Load(), Asks: c.asks.Load(), Failed: c.failed.Load(), Expired: c.expired.Load(),
		Late: c.late.Load(), Opened: c.opened.Load(), Full: c.full.Load(), MaxQueue: t.cfg.MaxQueue,
		Streams: int(c.streams.Load()), Refused: c.refused.Load(), BatchesAnswered: c.batchesAnswered.Load(),
		AsksAnswered: c.asksAnswered.Load(), Invalid: c.invalid.Load(),
	}
	for _, l := range *t.links.Load() {
		if st := l.stats(); !st.Tells || st.State != idle.String() {
			s.Peers = append(s.Peers, st)
		}
	}
	return s
}

func (l *link) stats() LinkStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return LinkStats{
		ID: l.id, Addr: l.addr, Tells: l.tells, State: l.state.String(), Silent: l.silent, Queue: l.queue.n,
		Trips: l.trips.read(), Batches: l.batches.read(),
	}
}

// counters are added to once per batch or rarer, so that they cost nothing that shows.
type counters struct {
	batches, asks, failed, full, expired, late, opened atomic.Uint64

	streams                                         atomic.Int64
	refused, batchesAnswered, asksAnswered, invalid atomic.Uint64
}

func (c *counters) answer(r *responder) {
	c.batchesAnswered.Add(1)
	c.asksAnswered.Add(uint64(len(r.frame.asks)))
	c.invalid.Add(uint64(len(r.bad)))
}

// complaints keeps those who send garbage from filling the log: one line a second, with the number of those left out.
type complaints struct {
	mu      sync.Mutex
	last    instant // guarded by mu
	omitted int     // guarded by mu
}

func (t *Transport) complain(msg, who string, err error) {
	c, now := &t.complaints, t.now()
	c.mu.Lock()
	if c.last > 0 && now-c.last < time.Second {
		c.omitted++
		c.mu.Unlock()
		return
	}
	omitted := c.omitted
	c.last, c.omitted = max(now, 1), 0
	c.mu.Unlock()
	if omitted > 0 {
		err = fmt.Errorf("%w, and %d others before it", err, omitted)
	}
	t.cfg.Logger.Warn(msg, "peer", who, "err", err) //nolint:sloglint // callers pass constants
}
