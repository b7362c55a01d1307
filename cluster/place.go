package cluster

import (
	"sync"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// Place is where a key is.
type Place struct {
	Partition ring.Partition `json:"partition"`
	Target    ring.Member    `json:"target"` // should hold the key
	Holder    ring.Member    `json:"holder"` // holds it, as far as this node knows; "" if it does not
	Heir      ring.Member    `json:"heir"`   // would be the target without the target, "" if nobody
	Term      Term           `json:"term"`   // of the holder, as far as this node knows
}

// Where returns where key is. It returns ErrNotReady, or an error that wraps bucket.ErrKey. It may compute for some
// milliseconds: it is for people who ask, not for the path of a check.
func (n *Node) Where(key string) (Place, error) {
	v := n.view.Load()
	if v == nil {
		return Place{}, ErrNotReady
	}
	if err := bucket.CheckKey(key); err != nil {
		return Place{}, err
	}
	p := v.table.Partition(ring.Hash(key))
	target := v.table.Target(p)
	place := Place{Partition: p, Target: target}
	place.Holder, place.Term = n.core.Route(p)
	heir, err := n.heirs.of(v.table, p)
	if err != nil {
		return Place{}, err
	}
	place.Heir = heir
	return place, nil
}

// heirs finds heirs for those who ask. A table without one of its members takes milliseconds to make, so they are kept.
type heirs struct {
	mu      sync.Mutex
	builder *ring.Builder               // guarded by mu
	table   *ring.Table                 // that the tables of without belong to; guarded by mu
	without map[ring.Member]*ring.Table // by who is missing; guarded by mu
}

// heirTables is how many tables are kept at most.
const heirTables = 64

func (h *heirs) of(t *ring.Table, p ring.Partition) (ring.Member, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.table != t || len(h.without) >= heirTables {
		h.table, h.without = t, map[ring.Member]*ring.Table{}
	}
	target := t.Target(p)
	if h.without[target] == nil {
		made, err := h.builder.Without(t, target)
		if err != nil {
			return "", err
		}
		h.without[target] = made
	}
	return h.without[target].Target(p), nil
}
