package cluster

import (
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

// Where returns where key is. It returns ErrNotReady, or an error that wraps bucket.ErrKey. It computes for a
// millisecond or so: it is for people who ask, not for the path of a check.
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
	heirs, err := n.rings.without(v.table, target)
	if err != nil {
		return Place{}, err
	}
	if heirs != nil {
		place.Heir = heirs.Target(p)
	}
	return place, nil
}
