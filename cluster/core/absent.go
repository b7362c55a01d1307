package core

import (
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// Gone notes that a run of a member has left, or that its process has ended, for certain: its address refuses connections.
// It does not count for the majority any more, and no older run of it does; so it is not noted while one of these is a
// member still: the one that is gone may have taken a name that was not free.
func (n *Core) Gone(now bucket.Instant, r Run) {
	m, was := n.members[r.ID], n.gone[r.ID]
	if r.ID == n.Self || m != nil && m.boot <= r.Boot || was.boot >= r.Boot || len(n.gone) >= missedMost {
		return
	}
	n.gone[r.ID] = absence{r.Boot, now - bucket.Instant(r.For)}
	if l, ok := n.lately[r.ID]; ok && l.boot <= r.Boot && !l.ahead {
		delete(n.lately, r.ID)
	}
	if was, ok := n.settled[r.ID]; ok && was.boot <= r.Boot {
		delete(n.settled, r.ID)
	}
	n.gates.gone(r)
	n.refence(now)
}

// miss notes that others count a run of a member for the majority although it is dead. It counts from when the first of
// them missed it, not from when the last heard of that: else they would remind each other of it for ever.
func (n *Core) miss(now bucket.Instant, r Run) {
	if was, ok := n.gone[r.ID]; ok && was.boot >= r.Boot || n.members[r.ID] != nil || r.ID == n.Self || n.gates.replace(r) {
		return
	}
	noteAbsent(n.settled, now, r, missedMost)
}

// noteAbsent notes in of, which has no more than most, that r is missed: since the first of all missed it, and the last run.
func noteAbsent(of map[ring.Member]absence, now bucket.Instant, r Run, most int) {
	since := now - bucket.Instant(r.For)
	was, ok := of[r.ID]
	switch {
	case ok && was.boot > r.Boot || !ok && len(of) >= most:
	case ok && was.boot == r.Boot:
		of[r.ID] = absence{r.Boot, min(was.since, since)}
	default:
		of[r.ID] = absence{r.Boot, since}
	}
}

// missedMost bounds, to what a message has room for with the longest names, whom a node counts for the majority although
// they are dead, and whom it knows to be gone.
const missedMost = 800

// heardOf notes what others know of the absent.
func (n *Core) heardOf(now bucket.Instant, missed, gone []Run) {
	for _, r := range gone {
		if r.For < n.Forget {
			n.Gone(now, r)
		}
	}
	for _, r := range missed {
		if r.For < n.Forget {
			n.miss(now, r)
		}
	}
}

// runs returns the members of absent, in order. How long they are is rounded up, so that it does not grow less on its way.
func runs(now bucket.Instant, absent map[ring.Member]absence) []Run {
	if len(absent) == 0 {
		return nil
	}
	list := make([]Run, 0, len(absent))
	for _, id := range keysOf(absent) {
		list = append(list, Run{id, absent[id].boot, now.Sub(absent[id].since).Truncate(time.Millisecond) + time.Millisecond})
	}
	return list
}
