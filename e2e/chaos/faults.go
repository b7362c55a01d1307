package chaos

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// breakFleet carries out the plan's steps until ctx ends, and returns when all that was frozen or cut has been let go.
func (r *runner) breakFleet(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var lasting sync.WaitGroup
	defer lasting.Wait()
	for _, i := range r.plan.order() {
		s := r.plan.Steps[i]
		if !sleep(ctx, timer, time.Until(r.load.base.Add(s.At))) {
			return
		}
		if err := r.step(ctx, s, &lasting); err != nil && ctx.Err() == nil {
			r.note("%s at %v: %v", s.Do, s.At, err)
		}
	}
}

// step carries out s. What lasts goes on in a goroutine of lasting.
func (r *runner) step(ctx context.Context, s Step, lasting *sync.WaitGroup) error {
	r.act.Lock()
	defer r.act.Unlock()
	switch s.Do {
	case Join:
		return r.join(ctx, s.Node)
	case Rolling:
		return r.rolling(ctx)
	case Heal:
		return r.heal(ctx)
	}
	node, err := r.who(ctx, s)
	if err != nil {
		return err
	}
	switch s.Do {
	case Leave:
		_, err = r.end(ctx, Leave, Leave, node)
		return err
	case Kill:
		_, err = r.end(ctx, Kill, Kill, node)
		return err
	case Restart:
		_, err = r.restart(ctx, fmt.Sprintf("%s (%s)", Restart, s.How), s.How, node)
		return err
	case Pause:
		return r.pause(ctx, node, s.For, lasting)
	case Cut:
		return r.cut(ctx, Cut, node, s)
	case Flap:
		lasting.Go(func() { r.flap(ctx, node, s) })
	}
	return nil
}

// now returns the time since the first request.
func (r *runner) now() time.Duration { return time.Since(r.load.base) }

// begin notes a fault that begins now and returns its number.
func (r *runner) begin(kind, node string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doing = kind
	if node != "" {
		r.doing += " " + node
	}
	r.faults = append(r.faults, Fault{Kind: kind, Node: node, Began: r.now()})
	return len(r.faults) - 1
}

// set changes a fault.
func (r *runner) set(fault int, change func(*Fault)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.faults[fault])
}

// done notes that a fault has been carried out, with what it left.
func (r *runner) done(fault int, err error) {
	r.set(fault, func(f *Fault) {
		now := r.now()
		if f.Down == 0 {
			f.Down = now
		}
		f.Over = now
		if err != nil {
			f.Note = err.Error()
		}
	})
}

// note keeps what is to be said of the run.
func (r *runner) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// join starts a node, the next free name if node is "".
func (r *runner) join(ctx context.Context, node string) error {
	for i := 0; node == ""; i++ {
		if !slices.Contains(r.up, name(i)) {
			node = name(i)
		}
	}
	fault := r.begin(Join, node)
	err := r.start1(ctx, node)
	r.done(fault, err)
	return err
}

// start1 starts one more node. One that does not start is the fleet's fault.
func (r *runner) start1(ctx context.Context, node string) error {
	starting, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	if err := r.fleet.Start(starting, node); err != nil {
		if ctx.Err() == nil {
			r.fallen = append(r.fallen, fmt.Sprintf("%s did not start: %v", node, err))
		}
		return err
	}
	r.up = append(r.up, node)
	r.seats.open(node)
	return nil
}

// drain is how long a node has been asked for nothing before it is stopped: so no request is on its way to a connection
// that is about to be closed, which no server can help.
const drain = 100 * time.Millisecond

// end ends a node as how says, and notes that as a fault of the kind.
func (r *runner) end(ctx context.Context, kind, how, node string) (fault int, err error) {
	var hit []bool
	var why string
	if how == Kill {
		hit, why = r.keysOf(ctx, node)
	} else {
		r.seats.shut(node) // whoever stops a node takes it out of the load balancer first, and gives that a moment
		timer := time.NewTimer(time.Hour)
		sleep(ctx, timer, drain)
		timer.Stop()
	}
	fault = r.begin(kind, node)
	r.set(fault, func(f *Fault) { f.Hit, f.Note = hit, why })
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), startWait)
	defer cancel()
	if how == Kill {
		err = r.fleet.Kill(ending, node)
	} else {
		err = r.fleet.Leave(ending, node)
	}
	if err != nil {
		r.fallen = append(r.fallen, fmt.Sprintf("%s of %s: %v", how, node, err))
	}
	r.seats.shut(node)
	r.up = slices.DeleteFunc(r.up, func(n string) bool { return n == node })
	delete(r.frozen, node)
	r.set(fault, func(f *Fault) { f.Down = r.now(); f.Over = f.Down })
	return fault, err
}

// restart ends a node and starts it again.
func (r *runner) restart(ctx context.Context, kind, how, node string) (fault int, err error) {
	fault, err = r.end(ctx, kind, how, node)
	if err != nil {
		return fault, err
	}
	err = r.start1(ctx, node)
	r.done(fault, err)
	return fault, err
}

// rolling restarts one node after the other, the next one when all agree again, as an orchestrator does.
func (r *runner) rolling(ctx context.Context) error {
	for _, node := range slices.Clone(r.up) {
		if _, ok := r.frozen[node]; ok || ctx.Err() != nil {
			continue
		}
		fault, err := r.restart(ctx, Rolling, Leave, node)
		if err != nil {
			return err
		}
		calm, cancel := context.WithTimeout(ctx, startWait)
		err = r.settle(calm)
		cancel()
		if err != nil {
			return err
		}
		r.set(fault, func(f *Fault) { f.Calm = r.now() })
	}
	return ctx.Err()
}
