package cluster

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/ring"
)

// An Event is a change of the membership, or of who holds what, as one node saw it.
type Event struct {
	// Seq counts the events of one run of Node, from 1 on.
	Seq uint64 `json:"seq"`

	// At is when Node saw it, by its clock.
	At time.Time `json:"at"`

	// Node is who saw it.
	Node ring.Member `json:"node"`

	Kind EventKind `json:"kind"`

	// Member is whom it is about: "" if that is Node itself, or nobody.
	Member ring.Member `json:"member,omitempty"`

	// Partitions is how many changed hands, 0 where none did. What follows closely in one kind and with one Member is one event.
	Partitions int `json:"partitions,omitempty"`

	// Members is how many there are after a change of the membership, 0 for other kinds.
	Members int `json:"members,omitempty"`

	// Policy is, with EventPolicy, the hash that Member goes by from now on, in hexadecimal; "" for none.
	Policy string `json:"policy,omitempty"`
}

// An EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	EventJoined   EventKind = "joined"   // Member is there for the first time, as far as Node knows; at first Node itself
	EventBack     EventKind = "back"     // Member is there again, or has started anew
	EventDraining EventKind = "draining" // Member hands over all that it holds, and leaves
	EventLeft     EventKind = "left"     // Member has left, having said so
	EventDead     EventKind = "dead"     // Member went without a word: its process ended, or nobody hears it
	EventPolicy   EventKind = "policy"   // Member goes by another policy

	EventTakenIn    EventKind = "taken_in"    // Node has Partitions that Member handed it
	EventHandedOver EventKind = "handed_over" // Member has Partitions that Node handed it
	EventPromoted   EventKind = "promoted"    // Node goes on with the replicas of Partitions whose holder is gone
	EventCold       EventKind = "cold"        // Node goes on with Partitions whose holder is gone, and has no replica
	EventFounded    EventKind = "founded"     // Node holds Partitions that nobody has ever held
	EventGivenUp    EventKind = "given_up"    // Member has Partitions by a higher term than Node, which merges its buckets into Member's
	EventFenced     EventKind = "fenced"      // Node stopped deciding on Partitions, as more than half of the members do not hear it

	EventSilenced EventKind = "silenced" // Node does not decide any more: not enough members hear it
	EventHeard    EventKind = "heard"    // Node decides again
)

// IsMembership says whether k is about who is a member, which all nodes see; the others see what only Node knows.
func (k EventKind) IsMembership() bool {
	switch k {
	case EventJoined, EventBack, EventDraining, EventLeft, EventDead, EventPolicy:
		return true
	case EventTakenIn, EventHandedOver, EventPromoted, EventCold, EventFounded, EventGivenUp, EventFenced, EventSilenced, EventHeard:
	}
	return false
}

// kindOf returns the kind of a move.
func kindOf(h core.How) EventKind {
	switch h {
	case core.TakenIn:
		return EventTakenIn
	case core.HandedOver:
		return EventHandedOver
	case core.Promoted:
		return EventPromoted
	case core.Cold:
		return EventCold
	case core.Founded:
		return EventFounded
	case core.GivenUp:
		return EventGivenUp
	case core.Fenced:
	}
	return EventFenced
}

const (
	// eventsKept is how many events a node keeps: a follower that is more than so many behind loses the oldest.
	eventsKept = 1024

	// moveStill is how long no partition must have changed hands before it is told how many did, and moveMost how long it is
	// waited for that.
	moveStill = 150 * time.Millisecond
	moveMost  = time.Second

	// firstMost is how many members of the first view are told one by one.
	firstMost = 100

	// knownMost is how many members that are gone a node knows again.
	knownMost = 1000
)

// events are the last of a node's, for whoever follows them. Nobody who follows can hold up who adds one.
type events struct {
	self ring.Member

	mu     sync.Mutex
	kept   []Event                  // a ring: that with Seq s is at s % eventsKept; guarded by mu
	last   uint64                   // Seq of the newest, 0 if there is none; guarded by mu
	more   chan struct{}            // closed when there is one more; guarded by mu
	moves  map[core.Move]int        // not told yet; guarded by mu
	first  time.Time                // of moves; guarded by mu
	newest time.Time                // of moves; guarded by mu
	known  map[ring.Member]struct{} // who was a member at some time; guarded by mu
	silent bool                     // this node does not decide; guarded by mu
}

func (e *events) init(self ring.Member) {
	e.self, e.more = self, make(chan struct{})
	e.known = map[ring.Member]struct{}{}
}

// add adds ev, now, which is this node's.
func (e *events) add(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.put(ev)
}

// put is add with mu held.
func (e *events) put(ev Event) {
	e.last++
	ev.Seq, ev.At, ev.Node = e.last, time.Now().UTC(), e.self
	if len(e.kept) < eventsKept {
		e.kept = append(e.kept, Event{})
	}
	e.kept[(e.last-1)%eventsKept] = ev
	close(e.more)
	e.more = make(chan struct{})
}

// move notes moves, which are told once nothing has moved for a moment.
func (e *events) move(moves map[core.Move]int) {
	if len(moves) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if len(e.moves) == 0 {
		e.moves, e.first = map[core.Move]int{}, now
	}
	for m, count := range moves {
		e.moves[m] += count
	}
	e.newest = now
}

// beat tells of moves that it is time to tell of, and whether this node decides if that has changed.
func (e *events) beat(decides bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if decides == e.silent {
		e.silent = !decides
		kind := EventHeard
		if e.silent {
			kind = EventSilenced
		}
		e.put(Event{Kind: kind})
	}
	if len(e.moves) == 0 || time.Since(e.newest) < moveStill && time.Since(e.first) < moveMost {
		return
	}
	order := slices.SortedFunc(maps.Keys(e.moves), func(a, b core.Move) int { return cmpMoves(a, b) })
	for _, m := range order {
		e.put(Event{Kind: kindOf(m.How), Member: m.With, Partitions: e.moves[m]})
	}
	e.moves = nil
}

func cmpMoves(a, b core.Move) int {
	if a.How != b.How {
		return int(a.How) - int(b.How)
	}
	switch {
	case a.With < b.With:
		return -1
	case a.With > b.With:
		return 1
	}
	return 0
}

// change tells how the members of v differ from those of old, which is nil for the first view.
func (e *events) change(old, v *view) {
	e.mu.Lock()
	defer e.mu.Unlock()
	size := len(v.members)
	if old == nil {
		e.put(Event{Kind: EventJoined, Member: e.self, Members: size})
		for i, m := range v.members {
			if m.ID != e.self && i < firstMost {
				e.put(Event{Kind: EventJoined, Member: m.ID, Members: size})
			}
			e.know(m.ID)
		}
		return
	}
	for _, was := range old.members {
		if v.member(was.ID) == nil {
			kind := EventDead
			if was.Draining {
				kind = EventLeft
			}
			e.put(Event{Kind: kind, Member: was.ID, Members: size})
		}
	}
	for _, m := range v.members {
		was := old.member(m.ID)
		_, seen := e.known[m.ID]
		switch {
		case was == nil && !seen:
			e.put(Event{Kind: EventJoined, Member: m.ID, Members: size})
		case was == nil || was.Boot != m.Boot:
			e.put(Event{Kind: EventBack, Member: m.ID, Members: size})
		}
		if m.Draining && (was == nil || !was.Draining) {
			e.put(Event{Kind: EventDraining, Member: m.ID, Members: size})
		}
		if was != nil && was.Policy != m.Policy {
			e.put(Event{Kind: EventPolicy, Member: m.ID, Members: size, Policy: hexadecimal(m.Policy)})
		}
		e.know(m.ID)
	}
}

// know notes that id was a member, as long as there is room for it.
func (e *events) know(id ring.Member) {
	if len(e.known) < knownMost {
		e.known[id] = struct{}{}
	}
}

// after returns up to most events after the one with Seq seq, how many after it are not kept any more, and what is closed when
// there are more.
func (e *events) after(seq uint64, most int) (next []Event, lost int, more <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if seq > e.last { // of another run
		seq = e.last
	}
	if oldest := e.last - uint64(len(e.kept)); seq < oldest {
		lost = int(oldest - seq)
		seq = oldest
	}
	for s := seq + 1; s <= e.last && len(next) < most; s++ {
		next = append(next, e.kept[(s-1)%eventsKept])
	}
	return next, lost, e.more
}

// newestOf returns the last events, most of them at most, the oldest first.
func (e *events) newestOf(most int) []Event {
	e.mu.Lock()
	from := e.last - uint64(min(len(e.kept), most))
	e.mu.Unlock()
	next, _, _ := e.after(from, most)
	return next
}

// Events returns the events that the node keeps, up to 1,024 of them, the oldest first. It does not block.
func (n *Node) Events() []Event {
	all, _, _ := n.events.after(0, eventsKept)
	return all
}

// Follow returns a follower of the node's events from the next one on, or with back from that many before it. However slow the
// one who follows is, the node does not wait: who is more than 1,024 behind loses the oldest.
func (n *Node) Follow(back int) *Follower {
	n.events.mu.Lock()
	defer n.events.mu.Unlock()
	return &Follower{events: &n.events, seq: n.events.last - uint64(min(max(back, 0), len(n.events.kept)))}
}

// A Follower reads a node's events one after the other. It is for one goroutine, and has nothing to close.
type Follower struct {
	events *events
	seq    uint64 // of the last that was read
}

// Next returns the next event and how many before it were lost, mostly 0. It blocks until there is one, and returns ctx's error if
// that ends first.
func (f *Follower) Next(ctx context.Context) (ev Event, lost int, err error) {
	for {
		next, lost, more := f.events.after(f.seq, 1)
		if len(next) > 0 {
			f.seq = next[0].Seq
			return next[0], lost, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return Event{}, 0, ctx.Err()
		}
	}
}
