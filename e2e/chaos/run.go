package chaos

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// A Config says what Run runs.
type Config struct {
	// Plan is what is done. Required; see New.
	Plan Plan

	// Fleet is whom it is done to. Required, with no node started yet. Run closes it.
	Fleet Fleet

	// Watch, where not nil, is told twice a second how it goes. It must not block.
	Watch func(Progress)
}

// Progress is how a run goes.
type Progress struct {
	At       time.Duration // since the first request
	Of       time.Duration // the plan's duration
	Allowed  int64
	Denied   int64
	Degraded int64 // of those allowed or denied
	Failed   int64
	Doing    string // the fault under way, "" for none
}

// startWait is how long the first nodes may take until all agree, and any later one.
const startWait = time.Minute

// A StartError says that a run could not begin.
type StartError struct{ Err error }

// Error implements error.
func (e *StartError) Error() string { return fmt.Sprintf("fleet did not start: %v", e.Err) }

// Unwrap returns why.
func (e *StartError) Unwrap() error { return e.Err }

// Run carries out c's plan and returns what happened. It ends at the end of the plan, or with ctx: then the history is what
// there is up to then, and says Stopped. A plan that cannot be carried out is refused with the error of Plan.Check before
// anything starts; a fleet that does not start is a *StartError. When Run returns the fleet is closed.
func Run(ctx context.Context, c Config) (h *History, err error) {
	defer func() {
		if closing := c.Fleet.Close(); err == nil && closing != nil {
			err = fmt.Errorf("end the fleet: %w", closing)
		}
	}()
	_, cuts := c.Fleet.(Cutter)
	if err := c.Plan.Check(cuts); err != nil {
		return nil, err
	}
	p := c.Plan.withDefaults()
	r := newRunner(p, c.Fleet)
	if err := r.start(ctx); err != nil {
		return nil, &StartError{err}
	}
	return r.run(ctx, c.Watch), nil
}

// A runner is a run under way.
type runner struct {
	plan  Plan
	fleet Fleet
	seats *seats
	load  *load
	meter *meter
	pick  *rand.Rand

	act    sync.Mutex     // held while something is done to the fleet
	up     []string       // nodes that are, in order of their start; guarded by act
	frozen map[string]int // who is paused, by which fault; guarded by act
	cuts   []int          // faults that are cuts and not healed; guarded by act
	fallen []string       // what nodes failed at; guarded by act

	mu     sync.Mutex
	doing  string   // guarded by mu
	faults []Fault  // guarded by mu
	notes  []string // guarded by mu
}

// newRunner returns a run of p.
func newRunner(p Plan, fleet Fleet) *runner {
	s := newSeats()
	return &runner{
		plan: p, fleet: fleet, seats: s, frozen: map[string]int{}, meter: &meter{},
		load: newLoad(p, fleet, limitsOfKeys(p), s),
		pick: rand.New(rand.NewPCG(p.Seed, 0x66617465)), //nolint:gosec // who is broken is no secret
	}
}

// limitsOfKeys returns the limit of each of p's keys: those of hot ones first, and the others shared out by weight.
func limitsOfKeys(p Plan) []uint8 {
	r := rand.New(rand.NewPCG(p.Seed, 0x6c696d697473)) //nolint:gosec // limits are no secret
	all := 0
	hot := p.hot()
	for _, l := range p.Limits {
		all += l.weight()
	}
	limits := make([]uint8, p.Keys)
	for key := range limits {
		if key < len(hot) {
			limits[key] = hot[key]
			continue
		}
		at := r.IntN(all)
		for i, l := range p.Limits {
			if at -= l.weight(); at < 0 {
				limits[key] = uint8(i)
				break
			}
		}
	}
	return limits
}

// start starts the first nodes and waits until they agree.
func (r *runner) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for i := range r.plan.Nodes + r.plan.Gateways {
		if err := r.fleet.Start(ctx, name(i)); err != nil {
			return fmt.Errorf("node %s: %w", name(i), err)
		}
		r.up = append(r.up, name(i))
		r.seats.open(name(i))
	}
	return r.settle(ctx)
}

// settle blocks until the nodes agree.
func (r *runner) settle(ctx context.Context) error {
	s, ok := r.fleet.(Settler)
	if !ok {
		return nil
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		err := s.Settled(ctx, r.frozenNodes())
		if err == nil {
			return nil
		}
		if !sleep(ctx, timer, 10*time.Millisecond) {
			return fmt.Errorf("nodes do not agree: %w", err)
		}
	}
}

// run asks and breaks until the end.
func (r *runner) run(ctx context.Context, watch func(Progress)) *History {
	own, stop := context.WithCancel(ctx)
	defer stop()
	base := time.Now()
	r.load.base, r.meter.base = base, base
	var beside sync.WaitGroup
	beside.Go(func() { r.meter.run(own) })
	beside.Go(func() { r.meter.watchProcessors(own) })
	beside.Go(func() { r.watch(own, watch) })
	beside.Go(func() { r.tend(own) })
	ended, asked := make(chan struct{}), make(chan struct{})
	var records []Record
	go func() {
		defer close(asked)
		records = r.load.run(own)
	}()
	faults, end := context.WithDeadline(own, base.Add(r.plan.Duration))
	defer end()
	go func() {
		defer close(ended)
		r.breakFleet(faults)
	}()
	<-asked
	took := time.Since(base)
	end()
	<-ended
	stop()
	beside.Wait()
	return r.history(records, took, ctx.Err() != nil)
}

// history returns what happened.
func (r *runner) history(records []Record, took time.Duration, stopped bool) *History {
	h := &History{
		Plan: r.plan, Took: took, Stopped: stopped, Nodes: r.seats.nodes(), Records: records, Faults: r.faults,
		Limits: r.load.limits, Skipped: r.load.skipped.Load(), Errors: r.load.errors, Failures: r.load.failures, Notes: r.notes, Late: r.meter.late(0, took),
	}
	h.Withheld, h.Stolen = r.meter.stole()
	for i := range h.Faults {
		f := &h.Faults[i]
		f.Late = r.meter.late(f.Began-time.Second, max(f.Down, f.Calm)+time.Second)
		if f.Over == 0 {
			f.Over = took
		}
	}
	h.Fallen = r.fallen
	if w, ok := r.fleet.(Witness); ok {
		h.Fallen = append(h.Fallen, w.Fallen()...)
	}
	slices.SortStableFunc(h.Faults, func(a, b Fault) int { return cmp.Compare(a.Began, b.Began) })
	return h
}
