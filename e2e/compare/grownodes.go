package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A grownNodes is what a fleet of so many nodes does.
type grownNodes struct {
	Way   string `json:"way"` // nodeWay or apiWay
	Nodes int    `json:"nodes"`
	remote
}

// How fleets are asked as they grow.
const (
	nodeWay = "Node.Check in the nodes"
	apiWay  = "public gRPC API, one item"
)

// growNodes measures fleets of Noria as they grow, each size as often as growTimes says.
func (r *run) growNodes(ctx context.Context) error {
	began := time.Now()
	f := fleet{}
	defer func() { f.end() }()
	err := r.growFleet(ctx, nodeWay, func(ctx context.Context) (way, error) {
		err := f.grow(ctx)
		return way{load: f.load}, err
	})
	f.end()
	f = nil
	if err != nil || r.binary == "" {
		return err
	}
	s := &served{binary: r.binary}
	defer func() { s.end() }()
	keys := newKeySet(r.options.remoteKeys, spreadSeed).list()
	err = r.growFleet(ctx, apiWay, func(ctx context.Context) (way, error) {
		err := s.grow(ctx)
		return asked("", nil, s.ask, keys, s.pids()...), err
	})
	r.say("nodes grown to %d in %.0f s", slices.Max(r.options.growNodes), time.Since(began).Seconds())
	return err
}

// growFleet measures a fleet that grow adds a node to and returns how it is asked then.
func (r *run) growFleet(ctx context.Context, name string, grow func(context.Context) (way, error)) error {
	for n := 1; n <= slices.Max(r.options.growNodes); n++ {
		w, err := grow(ctx)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", name, fleetOf(n), err)
		}
		if !slices.Contains(r.options.growNodes, n) {
			continue
		}
		g := &grownNodes{Way: name, Nodes: n}
		for i := range growTimes + 1 {
			r.loads++
			l, err := w.load(ctx, jobs(spread, manyCallers)[0].sized(r.options, r.loads))
			if err != nil {
				return fmt.Errorf("%s, %s: %w", name, fleetOf(n), err)
			}
			if i > 0 { // the first one meets the keys
				g.add(l)
			}
		}
		r.results.GrownNodes = append(r.results.GrownNodes, g)
	}
	return nil
}
