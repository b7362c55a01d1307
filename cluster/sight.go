package cluster

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// watches are the keys whose decisions somebody looks at. As long as there are none a check pays a load for it.
type watches struct {
	list atomic.Pointer[[]*watch] // nil for none; not changed but replaced

	mu sync.Mutex // of who replaces list
}

const (
	// watchMost is how many keys are looked at at once; the one that was asked for least lately makes place.
	watchMost = 32

	// watchFor is how long a key is looked at after somebody has asked for it.
	watchFor = 15 * time.Second

	// seenMost is how many decisions on a key are kept.
	seenMost = 64
)

// A watch is a key that is looked at.
type watch struct {
	hash  uint64
	key   string
	until atomic.Int64 // Instant

	mu   sync.Mutex
	seen []sight // a ring: that with number s is at s % seenMost; guarded by mu
	last uint64  // number of the newest; guarded by mu
}

// A sight is one decision.
type sight struct {
	at    bucket.Instant
	limit bucket.Limit
	cost  int64
	d     bucket.Decision
}

// A Sight is a decision on a key, as the node made it that was asked.
type Sight struct {
	Seq       uint64        `json:"seq"`    // counts those of one key at one node since it is looked at
	Ago       time.Duration `json:"ago_ns"` // when the report was made
	Allowed   bool          `json:"allowed"`
	Cost      int64         `json:"cost"`
	Limit     string        `json:"limit"`
	Source    string        `json:"source"`
	Remaining int64         `json:"remaining"`
	Retry     time.Duration `json:"retry_ns,omitempty"`
	By        string        `json:"by"` // who decided
}

// see keeps d, the answer to r, whose key has the hash h, if somebody looks at it.
func (n *Node) see(h uint64, r *bucket.Request, d *bucket.Decision) {
	list := n.watches.list.Load()
	if list == nil {
		return
	}
	for _, w := range *list {
		if w.hash == h && w.key == r.Key {
			w.add(n.now(), r, d)
		}
	}
}

func (w *watch) add(now bucket.Instant, r *bucket.Request, d *bucket.Decision) {
	s := sight{now, r.Limit, r.Cost, *d}
	s.limit.Zone, s.d.Node = strings.Clone(s.limit.Zone), strings.Clone(d.Node)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	if len(w.seen) < seenMost {
		w.seen = append(w.seen, s)
		return
	}
	w.seen[(w.last-1)%seenMost] = s
}

// after returns the decisions that are kept of those after number seq, the oldest first.
func (w *watch) after(now bucket.Instant, seq uint64) []Sight {
	w.mu.Lock()
	defer w.mu.Unlock()
	var sights []Sight
	for s := max(seq, w.last-uint64(len(w.seen))) + 1; s <= w.last; s++ {
		it := &w.seen[(s-1)%seenMost]
		sights = append(sights, Sight{
			Seq: s, Ago: max(now.Sub(it.at), 0), Allowed: it.d.Allowed, Cost: it.cost, Limit: it.limit.String(),
			Source: it.d.Source.String(), Remaining: it.d.Remaining, Retry: it.d.RetryAfter, By: it.d.Node,
		})
	}
	return sights
}

// of returns the watch of key, and keeps it for watchFor.
func (t *watches) of(now bucket.Instant, key string) *watch {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []*watch
	if p := t.list.Load(); p != nil {
		list = *p
	}
	var found *watch
	kept := make([]*watch, 0, len(list)+1)
	for _, w := range list {
		if w.key == key {
			found = w
			continue
		}
		kept = append(kept, w)
	}
	if found == nil {
		found = &watch{hash: ring.Hash(key), key: strings.Clone(key)}
	}
	found.until.Store(int64(now) + int64(watchFor))
	if len(kept) >= watchMost {
		kept = kept[1:] // those asked for last are last
	}
	kept = append(kept, found)
	t.list.Store(&kept)
	return found
}

// sweep forgets keys that nobody has asked for in a while.
func (t *watches) sweep(now bucket.Instant) {
	if t.list.Load() == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var kept []*watch
	for _, w := range *t.list.Load() {
		if int64(now) < w.until.Load() {
			kept = append(kept, w)
		}
	}
	if kept == nil {
		t.list.Store(nil)
		return
	}
	t.list.Store(&kept)
}
