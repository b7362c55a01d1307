package bucket

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// maxPlans is how many different limits may be in use at once in one Store.
const maxPlans = 1 << 14

// plans gives each limit in use a small number, which is all that a slot keeps of it. Reading one is a load; a limit
// that no bucket uses any more makes room when another needs it.
type plans struct {
	table [maxPlans]atomic.Pointer[Plan]

	mu    sync.RWMutex
	of    map[Limit]uint32 // guarded by mu
	next  uint32           // numbers from here on were never given; guarded by mu
	free  []uint32         // numbers to give again; guarded by mu
	epoch time.Time        // guarded by mu
}

// at returns the plan with number i, which a slot or the caller holds a reference to.
func (ps *plans) at(i uint32) *Plan { return ps.table[i].Load() }

// hold returns the number of l and takes a reference to it.
func (ps *plans) hold(l Limit) (uint32, error) {
	ps.mu.RLock()
	i, ok := ps.of[l]
	if ok {
		ps.at(i).refs.Add(1)
	}
	ps.mu.RUnlock()
	if ok {
		return i, nil
	}
	return ps.make(l)
}

func (ps *plans) make(l Limit) (uint32, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if i, ok := ps.of[l]; ok {
		ps.at(i).refs.Add(1)
		return i, nil
	}
	plan, err := NewPlan(l, ps.epoch)
	if err != nil {
		return 0, err
	}
	i, ok := ps.number()
	if !ok {
		return 0, fmt.Errorf("%w: %d different limits are in use", ErrFull, maxPlans)
	}
	plan.refs.Store(1)
	ps.table[i].Store(plan)
	ps.of[l] = i
	return i, nil
}

// number returns a number that is not in use.
func (ps *plans) number() (uint32, bool) {
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
		return ps.next - 1, true
	}
	return 0, false
}

// collect frees the numbers of limits without a reference.
func (ps *plans) collect() {
	for l, i := range ps.of {
		if ps.at(i).refs.Load() == 0 {
			delete(ps.of, l)
			ps.free = append(ps.free, i)
		}
	}
}

// release gives n references to number i back.
func (ps *plans) release(i uint32, n int64) { ps.at(i).refs.Add(-n) }

// setEpoch tells all plans, and those to come, what the wall time of Instant 0 is.
func (ps *plans) setEpoch(epoch time.Time) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.epoch = epoch
	for _, i := range ps.of {
		ps.at(i).SetEpoch(epoch)
	}
}
