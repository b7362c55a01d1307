package rls

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// A Count is how many hits a limit had.
type Count struct {
	Rule string // as Rule.Metric of package descriptors has it

	Allowed  uint64 // charged
	Over     uint64 // denied by this limit
	Shadowed uint64 // let through although this limit would have denied them, by shadow_mode or quota_mode
}

// maxCounts is how many limits are counted apart: with detailed_metric clients choose their names. All others count as
// elsewhere.
const (
	maxCounts = 10_000
	elsewhere = "other"
)

// counts are the Counts of all limits.
type counts struct {
	all  sync.Map // from names to *count
	size atomic.Int64
}

// A count is a Count that grows.
type count struct{ allowed, over, shadowed atomic.Uint64 }

// of returns the count of the limit with this name.
func (c *counts) of(name string) *count {
	if v, ok := c.all.Load(name); ok {
		return v.(*count)
	}
	if c.size.Load() >= maxCounts {
		name = elsewhere
	}
	v, known := c.all.LoadOrStore(name, new(count))
	if !known {
		c.size.Add(1)
	}
	return v.(*count)
}

// add counts q, which was decided.
func (c *counts) add(q *question) {
	allowed := q.allowed()
	for i := range q.items {
		it := &q.items[i]
		switch {
		case it.kind == free || it.back:
		case it.over && it.kind == hard:
			c.of(it.metric).over.Add(it.hits)
		case it.over:
			c.of(it.metric).shadowed.Add(it.hits)
		case allowed:
			c.of(it.metric).allowed.Add(it.hits)
		}
	}
}

// Counts returns how many hits limits had, in the order of their names.
func (s *Service) Counts() []Count {
	var all []Count
	s.counts.all.Range(func(name, v any) bool {
		c := v.(*count)
		all = append(all, Count{Rule: name.(string), Allowed: c.allowed.Load(), Over: c.over.Load(), Shadowed: c.shadowed.Load()})
		return true
	})
	slices.SortFunc(all, func(a, b Count) int { return cmp.Compare(a.Rule, b.Rule) })
	return all
}
