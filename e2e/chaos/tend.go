package chaos

import (
	"context"
	"time"
)

// tend looks at the fleet until ctx ends: it notes when the nodes agree again after a fault, and when they change their
// minds about who is a member although nothing was done.
func (r *runner) tend(ctx context.Context) {
	settler, _ := r.fleet.(Settler)
	witness, _ := r.fleet.(Witness)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	changes, active := 0, time.Duration(0)
	if witness != nil {
		changes = witness.Changes()
	}
	for sleep(ctx, timer, 25*time.Millisecond) {
		if r.restless(ctx, settler) {
			active = r.now()
		}
		if witness == nil || settler == nil {
			continue
		}
		now := witness.Changes()
		if now != changes && r.now()-active > afterglow {
			r.stirred()
			active = r.now()
		}
		changes = now
	}
}

// afterglow is how long after nodes agree again one of them may still find out something that it had to find out anyhow.
const afterglow = 2 * time.Second

// restless says whether a fault is under way or the nodes do not agree after one. When they agree it notes that.
func (r *runner) restless(ctx context.Context, s Settler) bool {
	r.mu.Lock()
	open := false
	for _, f := range r.faults {
		open = open || f.Calm == 0
	}
	r.mu.Unlock()
	if !open {
		return false
	}
	if s == nil || !r.act.TryLock() {
		return true // something is being done
	}
	defer r.act.Unlock()
	if len(r.frozen) > 0 || len(r.cuts) > 0 || s.Settled(ctx, nil) != nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doing = ""
	for i := range r.faults {
		if f := &r.faults[i]; f.Calm == 0 && f.Over != 0 {
			f.Calm = r.now()
		}
	}
	return false
}

// stirred notes that the members changed although nothing was done: a node did not answer the others, for as long as that
// takes to be found out.
func (r *runner) stirred() {
	fault := r.begin(Missed, "")
	r.set(fault, func(f *Fault) {
		f.Down, f.Over = r.now(), r.now()
		f.Began = max(0, f.Began-r.plan.Detection)
		f.Note = "members changed although nothing was done: this machine is too slow, or a node does not answer"
	})
}

// The kinds of faults that were not asked for.
const (
	Missed = "missed" // nodes took each other for gone
	Slow   = "slow"   // holders did not answer their peers in time, though nothing was done to them
)

// watch tells how it goes until ctx ends.
func (r *runner) watch(ctx context.Context, tell func(Progress)) {
	if tell == nil {
		return
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for sleep(ctx, timer, 500*time.Millisecond) {
		r.mu.Lock()
		doing := r.doing
		r.mu.Unlock()
		tell(Progress{
			At: r.now(), Of: r.plan.Duration, Doing: doing,
			Allowed: r.load.tally[Allowed].Load(), Denied: r.load.tally[Denied].Load(),
			Degraded: r.load.degrade.Load(), Failed: r.load.tally[Failed].Load(),
		})
	}
}
