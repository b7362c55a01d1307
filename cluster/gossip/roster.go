package gossip

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/noriahq/noria/ring"
)

// A roster is who is alive and who is missing. memberlist's callbacks write it, under memberlist's lock: nothing here
// blocks or calls out.
type roster struct {
	self    string        // the name of this node
	changed chan struct{} // has an element when something changed since it was last empty

	mu    sync.Mutex
	alive map[string]Member       // by name; guarded by mu
	gone  map[ring.Member]Missing // guarded by mu
	met   bool                    // somebody else was alive once; guarded by mu
}

func newRoster(self string) *roster {
	return &roster{
		self: self, changed: make(chan struct{}, 1),
		alive: map[string]Member{}, gone: map[ring.Member]Missing{},
	}
}

// put notes that a node is alive, or that it is alive and something about it is new.
func (r *roster) put(name string, m Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alive[name] = m
	r.met = r.met || name != r.self
	delete(r.gone, m.ID)
	r.note()
}

// drop notes that a node is not alive.
//
// memberlist does not say whether a node left or died. Who leaves says so before, by draining.
func (r *roster) drop(name string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.alive[name]
	if !ok || name == r.self {
		return
	}
	delete(r.alive, name)
	r.note()
	if m.Draining || r.has(m.ID) {
		return
	}
	r.gone[m.ID] = Missing{m, now}
	if len(r.gone) > seenMost {
		r.forgetOldest()
	}
}

func (r *roster) has(id ring.Member) bool {
	for _, m := range r.alive {
		if m.ID == id {
			return true
		}
	}
	return false
}

func (r *roster) forgetOldest() {
	var oldest Missing
	for _, m := range r.gone {
		if oldest.ID == "" || m.Since.Before(oldest.Since) {
			oldest = m
		}
	}
	delete(r.gone, oldest.ID)
}

// note tells that something changed. r.mu is held.
func (r *roster) note() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// view returns what is known at now.
func (r *roster) view(now time.Time) View {
	r.mu.Lock()
	members := make([]Member, 0, len(r.alive))
	for _, m := range r.alive {
		members = append(members, m)
	}
	var missing []Missing
	for id, m := range r.gone {
		if now.Sub(m.Since) > seenFor {
			delete(r.gone, id)
			continue
		}
		missing = append(missing, m)
	}
	r.mu.Unlock()
	slices.SortFunc(missing, func(a, b Missing) int { return cmp.Compare(a.ID, b.ID) })
	set, conflicts := newest(members)
	return View{Members: set, Missing: missing, Conflicts: conflicts}
}

// at says whether somebody at a gossip address is alive.
func (r *roster) at(addr string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.alive {
		if m.Gossip == addr {
			return true
		}
	}
	return false
}

// metNobody says whether nobody besides this node has ever been alive.
func (r *roster) metNobody() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.met
}
