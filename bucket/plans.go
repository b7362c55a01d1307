package bucket

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxPlans is how many different limits may be in use at once in one Store.
const maxPlans = 1 << 13

// plans gives each limit in use a small number, which is all that a record keeps of it. Reading one is a load; a limit
// that no bucket uses any more makes room when another needs it.
type plans struct {
	table [maxPlans]atomic.Pointer[Plan]

	mu    sync.RWMutex
	of    map[Limit]uint16 // guarded by mu
	next  int              // numbers from here on were never given; guarded by mu
	free  []uint16         // numbers to give again; guarded by mu
	epoch time.Time        // guarded by mu

	idle atomic.Bool // some limit may be without a reference
}

func (ps *plans) init(epoch time.Time) {
	ps.of, ps.epoch = make(map[Limit]uint16), epoch
}

// at returns the plan with number i, to which a record or the caller holds a reference.
func (ps *plans) at(i uint16) *Plan { return ps.table[i].Load() }

// hold returns the number of l and takes a reference to it. It fails as NewPlan does, and with ErrFull. Nobody waits
// while NewPlan reads a time zone from a file.
func (ps *plans) hold(l Limit) (uint16, error) {
	if i, ok := ps.known(l); ok {
		return i, nil
	}
	l.Zone = strings.Clone(l.Zone)
	plan, err := NewPlan(l, time.Unix(0, 0))
	if err != nil {
		return 0, err
	}
	return ps.add(plan)
}

// known is hold for limits that have a number.
func (ps *plans) known(l Limit) (uint16, bool) {
	ps.mu.RLock()
	defer ps.mu.RUnlock()
	i, ok := ps.of[l]
	if ok {
		ps.at(i).refs.Add(1)
	}
	return i, ok
}

// add is hold for a new plan.
func (ps *plans) add(plan *Plan) (uint16, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if i, ok := ps.of[plan.limit]; ok {
		ps.at(i).refs.Add(1)
		return i, nil
	}
	i, ok := ps.number()
	if !ok {
		return 0, fmt.Errorf("%w: %d different limits are in use", ErrFull, maxPlans)
	}
	plan.SetEpoch(ps.epoch)
	plan.refs.Store(1)
	ps.table[i].Store(plan)
	ps.of[plan.limit] = i
	return i, nil
}

// number returns a number that is not in use.
func (ps *plans) number() (uint16, bool) {
	if len(ps.free) == 0 && ps.next == maxPlans {
		ps.collect()
	}
	if n := len(ps.free); n > 0 {
		i := ps.free[n-1]
		ps.free = ps.free[:n-1]
		return i, true
	}
	if ps.next < maxPlans {
		ps.next++
		return uint16(ps.next - 1), true
	}
	return 0, false
}

// collect frees the numbers of limits without a reference.
func (ps *plans) collect() {
	if !ps.idle.Swap(false) {
		return
	}
	for l, i := range ps.of {
		if ps.at(i).refs.Load() == 0 {
			delete(ps.of, l)
			ps.free = append(ps.free, i)
		}
	}
}

// release gives a reference to number i back.
func (ps *plans) release(i uint16) {
	if ps.at(i).refs.Add(-1) == 0 {
		ps.idle.Store(true)
	}
}

// enter takes a reference to number i for a record.
func (ps *plans) enter(i uint16) {
	p := ps.at(i)
	p.refs.Add(1)
	p.keys.Add(1)
}

// leave gives the reference of a record to number i back.
func (ps *plans) leave(i uint16) {
	ps.at(i).keys.Add(-1)
	ps.release(i)
}

// setEpoch tells all plans, and those to come, what the wall time of Instant 0 is.
func (ps *plans) setEpoch(epoch time.Time) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.epoch = epoch
	for _, i := range ps.of {
		ps.at(i).SetEpoch(epoch)
	}
}
