package cluster

import (
	"sync"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// taken remembers what was taken for all-or-nothing checks over several nodes, until the asker gives it back or that is
// no longer to be expected. It is bounded in number and age; the oldest goes first and stays taken.
type taken struct {
	mu    sync.Mutex
	of    map[takenKey]takenEntry // guarded by mu
	queue []takenKey              // oldest first, from head on; guarded by mu
	head  int                     // guarded by mu
}

type takenKey struct {
	from ring.Member
	hold uint64
}

type takenEntry struct {
	holds  []bucket.Hold
	at     bucket.Instant
	undone bool // given back, perhaps before it came
}

const (
	maxTaken = 100_000
	takenAge = 10 * time.Second
)

func (t *taken) init() { t.of = make(map[takenKey]takenEntry) }

// undone says whether k was given back already, so that it must not be taken any more.
func (t *taken) undone(k takenKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of[k].undone
}

// add remembers holds under k. It is false if k was given back in the meantime: then holds are to be given back at once.
func (t *taken) add(now bucket.Instant, k takenKey, holds []bucket.Hold) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.of[k]; known {
		return false
	}
	t.put(now, k, takenEntry{holds: holds, at: now})
	return true
}

// undo returns what was taken under k, once, and remembers that it is given back.
func (t *taken) undo(now bucket.Instant, k takenKey) []bucket.Hold {
	t.mu.Lock()
	defer t.mu.Unlock()
	entry, known := t.of[k]
	if known {
		t.of[k] = takenEntry{at: entry.at, undone: true}
		return entry.holds
	}
	t.put(now, k, takenEntry{at: now, undone: true})
	return nil
}

// put adds an entry for k, which has none, and drops what is too old or too much.
func (t *taken) put(now bucket.Instant, k takenKey, e takenEntry) {
	for len(t.queue) > t.head {
		oldest := t.queue[t.head]
		if len(t.of) < maxTaken && now.Sub(t.of[oldest].at) <= takenAge {
			break
		}
		delete(t.of, oldest)
		t.queue[t.head] = takenKey{}
		t.head++
	}
	if t.head > len(t.queue)/2 {
		t.queue = append(t.queue[:0], t.queue[t.head:]...)
		t.head = 0
	}
	t.of[k] = e
	t.queue = append(t.queue, k)
}
