package core

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// A sim is a cluster in one goroutine: cores of the nodes, a network that delays, loses, repeats and reorders, membership
// that lags and errs, clocks that drift, and faults. All that happens follows from its seed.
type sim struct {
	rng    *rand.Rand
	kind   scenario
	plant  plant
	pace   int           // of all nodes; 0 for the default
	mixed  bool          // some nodes are gateways
	now    time.Duration // true time
	events events
	order  int
	tables *simTables
	net    network
	cuts   map[[2]ring.Member]bool // from, to

	nodes map[ring.Member]*simNode // by name, the last run of each
	alive []*simNode               // by name
	keys  []*simKey
	last  [simPartitions]time.Duration // when somebody stopped deciding on a partition
	owner [simPartitions]*simNode      // who began to hold it last

	book  simBooks
	gifts simGifts
	fair  simFair

	saves simSaves

	asked, answered, gone, degraded, allowed int
	ids                                      int
	spent                                    int              // requests answered from leases
	serial                                   uint64           // of the last lending
	charged                                  map[string]int64 // what remained after the request with that id, if it was allowed

	dead    int           // hosts that died
	over    bool          // there are no more faults
	busy    int           // faults that are not over
	agreed  time.Duration // since when all views are the same
	agree   bool
	tell    bool // notes are kept
	notes   []string
	hash    uint64 // of all that happened
	failure error
	room    []byte
}

// network is how messages travel.
type network struct {
	delay       time.Duration // mean one way
	spike       float64       // share of messages that take up to 60 times as long
	loss, twice float64
}

const (
	simPartitions = 16
	driftMost     = 100e-6 // of a clock
	patience      = 250 * time.Millisecond
	tellWait      = 200 * time.Millisecond
	healWait      = 5 * time.Second // in which each partition has one holder again, once all views are the same
)

type event struct {
	at    time.Duration
	order int
	do    func()
}

// events is a heap: what comes first is at 0.
type events []event

func (e *events) before(i, j int) bool {
	a, b := &(*e)[i], &(*e)[j]
	return a.at < b.at || a.at == b.at && a.order < b.order
}

func (e *events) push(v event) {
	*e = append(*e, v)
	h := *e
	for i := len(h) - 1; i > 0 && h.before(i, (i-1)/2); i = (i - 1) / 2 {
		h[i], h[(i-1)/2] = h[(i-1)/2], h[i]
	}
}

func (e *events) pop() event {
	h := *e
	first, end := h[0], len(h)-1
	h[0], h[end] = h[end], event{}
	h = h[:end]
	for i := 0; ; {
		child := 2*i + 1
		if child >= end {
			break
		}
		if child+1 < end && h.before(child+1, child) {
			child++
		}
		if !h.before(child, i) {
			break
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
	*e = h
	return first
}

// after makes do happen in d.
func (s *sim) after(d time.Duration, do func()) {
	s.order++
	s.events.push(event{s.now + d, s.order, do})
}

// run lets time pass until then, or until all is calm, if that is sooner.
func (s *sim) run(until time.Duration) {
	for len(s.events) > 0 && s.failure == nil && !s.calm() {
		e := s.events.pop()
		if e.at > until {
			break
		}
		s.now = e.at
		e.do()
	}
}

// calm says whether faults are over, and the promises after them have been watched for long enough.
func (s *sim) calm() bool {
	return s.over && s.busy == 0 && s.agree && s.now > s.agreed+healWait+time.Second
}

func (s *sim) fail(format string, args ...any) {
	if s.failure == nil {
		s.failure = fmt.Errorf("at %v: %s", s.now, fmt.Sprintf(format, args...))
	}
}

// note adds to the story, which only those who read it need, and to its hash.
func (s *sim) note(format string, args ...any) {
	s.count(uint64(len(format)), uint64(s.now))
	if s.tell {
		s.notes = append(s.notes, fmt.Sprintf("%8v %s", s.now.Round(time.Millisecond), fmt.Sprintf(format, args...)))
	}
}

// count adds what happened to the hash.
func (s *sim) count(what ...uint64) {
	for _, x := range what {
		s.hash = (s.hash ^ x) * 0x9E3779B97F4A7C15
		s.hash ^= s.hash >> 29
	}
}

// clock is what n's clock says.
func (s *sim) clock(n *simNode) bucket.Instant {
	return bucket.Instant(float64(s.now-n.born)*(1+n.drift)) + bucket.Instant(time.Second)
}

// some returns one of.
func some[T any](s *sim, of []T) T { return of[s.rng.IntN(len(of))] }

// upTo returns a time less than d.
func (s *sim) upTo(d time.Duration) time.Duration { return time.Duration(s.rng.Int64N(int64(d))) }
