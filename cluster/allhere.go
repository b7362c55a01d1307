package cluster

import (
	"errors"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// atOnce is how many requests of an all-or-nothing check need no memory but their answer's, if this node holds all of their
// keys.
const atOnce = 8

// An allHere is the memory of a check of keys that this node holds.
type allHere struct {
	reqs  [atOnce]bucket.Request
	items [atOnce]bucket.Item
}

// takeAllHere decides on reqs if this node holds all of their keys and nobody has to hear of it before they are answered. It
// returns nil if not, and if a partition has just moved: then nothing was taken. A check of three keys takes 1.4 us where
// asking by groups takes 4.0, and 1 allocation where that takes 10.
func (n *Node) takeAllHere(reqs []bucket.Request) (bucket.Decisions, error) {
	v := n.view.Load()
	if v == nil || len(reqs) == 0 || len(reqs) > atOnce {
		return nil, nil
	}
	var parts [atOnce]ring.Partition
	for i := range reqs {
		parts[i] = v.table.Partition(ring.Hash(reqs[i].Key))
		if reqs[i].Durability == bucket.Sync || !n.core.Holds(parts[i]) {
			return nil, nil
		}
	}
	now := n.now()
	if !n.core.Decides(now) {
		return nil, nil
	}
	m, ok := n.heres.Get().(*allHere)
	if !ok {
		m = new(allHere)
	}
	items := m.items[:len(reqs)]
	for i := range reqs {
		m.reqs[i] = reqs[i]
		items[i] = bucket.Item{Partition: int(parts[i]), Request: &m.reqs[i]}
	}
	_, err := n.store.TakeAll(now, items, false)
	ds := make(bucket.Decisions, len(reqs))
	for i := range items {
		ds[i] = items[i].Decision
		ds[i].Node = string(n.name)
		if err == nil {
			n.unheld.decided(parts[i])
		}
	}
	clear(items)
	clear(m.reqs[:len(reqs)])
	n.heres.Put(m)
	switch {
	case errors.Is(err, bucket.ErrMoved):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return ds, nil
}
