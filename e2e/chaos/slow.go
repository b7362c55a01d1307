package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// apart is how long no answer is degraded between two times in which holders were slow.
const apart = time.Second

// withSlow returns h with those times as faults in which answers were degraded although nothing was done: a holder had too
// much to do, on a machine that has, or a node does not answer. The first degraded answer came when a node had waited for
// a holder for PeerWait; its share gains from when the holder was asked.
func (h *History) withSlow() *History {
	var slow []Fault
	answers := 0
	for _, r := range h.Records {
		if r.Outcome == Failed || r.Source != SourceDegraded || h.disturbed(r) {
			continue
		}
		answers++
		from := max(0, r.Called-h.Plan.PeerWait)
		if last := len(slow) - 1; last >= 0 && from-slow[last].Over < apart {
			slow[last].Over = max(slow[last].Over, r.Returned)
			continue
		}
		slow = append(slow, Fault{Kind: Slow, Began: from, Over: r.Returned})
	}
	if len(slow) == 0 {
		return h
	}
	for i := range slow {
		slow[i].Down, slow[i].Calm = slow[i].Over, slow[i].Over
	}
	with := *h
	with.Faults = slices.Concat(h.Faults, slow)
	slices.SortStableFunc(with.Faults, func(a, b Fault) int { return cmp.Compare(a.Began, b.Began) })
	with.Notes = append(slices.Clone(h.Notes), fmt.Sprintf("%s degraded at %s though nothing was done: holders did not answer their peers within %v", plural(answers, "answer"), plural(len(slow), "time"), h.Plan.PeerWait))
	return &with
}

// disturbed says whether a fault came, was not over or had just been while r was asked.
func (h *History) disturbed(r Record) bool {
	return slices.ContainsFunc(h.Faults, func(f Fault) bool {
		calm := f.Calm
		if calm == 0 { // not known, or never: the nodes have had their time
			calm = f.Over + h.Plan.Detection
		}
		return r.Returned >= f.Began && r.Called <= max(f.Over, calm)+afterglow
	})
}
