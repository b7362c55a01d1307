package chaos

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// pause freezes a node for a time.
func (r *runner) pause(ctx context.Context, node string, long time.Duration, lasting *sync.WaitGroup) error {
	if _, ok := r.frozen[node]; ok {
		return fmt.Errorf("%s is frozen already", node)
	}
	fault := r.begin(Pause, node)
	if err := r.fleet.Pause(ctx, node); err != nil {
		r.done(fault, err)
		return err
	}
	r.frozen[node] = fault
	r.set(fault, func(f *Fault) {
		if f.Down = r.now(); len(r.up) > 2 {
			f.Side = []string{node}
		}
	})
	lasting.Go(func() {
		timer := time.NewTimer(time.Hour)
		defer timer.Stop()
		sleep(ctx, timer, long)
		r.act.Lock()
		defer r.act.Unlock()
		if r.frozen[node] != fault || !slices.Contains(r.up, node) {
			r.done(fault, nil) // killed meanwhile
			return
		}
		delete(r.frozen, node)
		r.done(fault, r.fleet.Resume(context.WithoutCancel(ctx), node))
	})
	return nil
}

// frozenNodes returns who is frozen.
func (r *runner) frozenNodes() []string {
	var nodes []string
	for n := range r.frozen {
		nodes = append(nodes, n)
	}
	return nodes
}
