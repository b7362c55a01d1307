package chaos

import (
	"fmt"
	"slices"
	"time"
)

// The bounds of how long a fleet may feel a fault.
const (
	refusedWait = 200 * time.Millisecond // the killed holder's address refuses connections
	gossipWait  = 3 * time.Second        // only gossip can tell that a node is gone; of several it takes up to Plan.Detection
	overrun     = 100 * time.Millisecond // by which a client may notice the deadline late
)

// answers returns the lines about answers: that there were any, in time, and not degraded for longer than promised.
func (j *judge) answers(faults []FaultReport) []Promise {
	lines := []Promise{j.answered(), j.deadline()}
	if p, ok := j.unnoticed(faults); ok {
		lines = append(lines, p)
	}
	for i, f := range j.Faults {
		lines = append(lines, j.recovered(f, faults[i])...)
		if p, ok := j.withoutSide(f); ok && !j.overlapped(i) {
			lines = append(lines, p)
		}
	}
	return append(lines, j.standing())
}

// A breakage is a time in which a node could not answer, because of what was done to it.
type breakage struct {
	node     string
	from, to time.Duration
}

// breakages returns when nodes were broken.
func (h *History) breakages() []breakage {
	var all []breakage
	for _, f := range h.Faults {
		if isKill(f.Kind) || f.Kind == Pause {
			all = append(all, breakage{f.Node, f.Began, max(f.Down, f.Over) + f.Late})
		}
	}
	return all
}

// excused says whether nobody could expect an answer to r: the node that was asked was itself broken meanwhile.
func (h *History) excused(r Record, all []breakage) bool {
	return slices.ContainsFunc(all, func(b breakage) bool {
		return b.node == h.Nodes[r.Asked] && r.Called <= b.to && r.Returned >= b.from
	})
}

// answered returns the line about requests that got no answer.
func (j *judge) answered() Promise {
	broken, excused := 0, 0
	var first Record
	all := j.breakages()
	for _, r := range j.Records {
		if r.Outcome != Failed {
			continue
		}
		if j.excused(r, all) {
			excused++
			continue
		}
		if broken == 0 {
			first = r
		}
		broken++
	}
	p := Promise{Number: 10, Name: "every request is answered", Bound: "0 failed", Kept: broken == 0}
	p.Seen = fmt.Sprintf("%d failed of %d", broken, len(j.Records))
	if broken > 0 {
		p.Window = fmt.Sprintf("from %s on", brief(first.Called))
		for _, f := range j.Failures {
			if node := j.Nodes[first.Asked]; f.Called == first.Called && f.Node == node {
				p.Seen += fmt.Sprintf(", the first at %s: %s", node, f.Error)
				break
			}
		}
	}
	if excused > 0 {
		p.Seen += fmt.Sprintf(", and %d at nodes that were killed or frozen", excused)
	}
	return p
}

// deadline returns the line about how long answers took.
func (j *judge) deadline() Promise {
	var longest Record
	all := j.breakages()
	for _, r := range j.Records {
		if r.Returned-r.Called > longest.Returned-longest.Called && !j.excused(r, all) && j.limitOf(int(r.Key)).parsed.Queue == 0 {
			longest = r
		}
	}
	took := longest.Returned - longest.Called
	return Promise{
		Number: 10, Name: "by its deadline", Bound: "at most " + brief(j.Plan.Timeout), Kept: took <= j.Plan.Timeout+overrun+j.Late,
		Seen: "longest without an answer " + brief(took), Key: keyName(int(longest.Key)), Window: fmt.Sprintf("from %s on", brief(longest.Called)),
	}
}

// unnoticed returns the line about joins, leaves and rolling restarts: nobody may notice them. Where another fault was not
// over, that may be the cause, and so it may where the host of this virtual machine withheld its processors.
func (j *judge) unnoticed(faults []FaultReport) (p Promise, ok bool) {
	p = Promise{Number: 2, Name: "nobody notices", Bound: "0 failed, 0 degraded", Kept: true}
	failed, degraded, withheld := 0, 0, 0
	for i, f := range j.Faults {
		if !isGraceful(f.Kind) || j.overlapped(i) {
			continue
		}
		ok = true
		failed += faults[i].Failed
		withheld += faults[i].withheld
		degraded += faults[i].Degraded - faults[i].withheld
		if p.Window == "" && faults[i].Failed+faults[i].Degraded-faults[i].withheld > 0 {
			p.Window = fmt.Sprintf("after %s %s at %s", f.Kind, f.Node, brief(f.Began))
		}
	}
	p.Seen = fmt.Sprintf("%d failed, %d degraded", failed, degraded)
	if withheld > 0 {
		p.Seen += fmt.Sprintf(", and %d without processors", withheld)
	}
	p.Kept = failed+degraded == 0
	return p, ok
}

// overlapped says whether fault i began before all was calm after an earlier one that may be noticed, or went on while a
// later one did.
func (j *judge) overlapped(i int) bool {
	f := j.Faults[i]
	for k, o := range j.Faults {
		if k == i || isGraceful(o.Kind) {
			continue
		}
		until := o.Calm + afterglow
		if o.Calm == 0 {
			until = 1 << 62
		}
		if o.Began <= max(f.Over, f.Calm) && until >= f.Began {
			return true
		}
	}
	return false
}

// recovered returns the lines about how long after f answers were degraded, and until the nodes agreed.
func (j *judge) recovered(f Fault, r FaultReport) []Promise {
	after := fmt.Sprintf("%s %s at %s", f.Kind, f.Node, brief(f.Began))
	if isKill(f.Kind) {
		took := r.degradedUntil
		p := Promise{Number: 3, Name: "answered in full again", Bound: "within " + brief(refusedWait), Kept: took <= refusedWait+f.Late, Seen: "not degraded", Window: after}
		if r.Degraded > 0 {
			p.Seen = fmt.Sprintf("%d degraded, the last %s after it", r.Degraded, brief(took))
		}
		return []Promise{p}
	}
	if f.Kind != Cut && f.Kind != Flap || f.Over >= j.Took {
		return nil // not healed before the end
	}
	p := Promise{Number: 5, Name: "one holder each after heal", Bound: "within " + brief(healWait), Kept: f.Calm-f.Over <= healWait+f.Late, Seen: "agreed " + brief(f.Calm-f.Over) + " after it", Window: after}
	if f.Calm == 0 {
		left := j.Took - f.Over
		p.Kept, p.Seen = left < healWait, fmt.Sprintf("not agreed %s after it, when the run ended", brief(left))
	}
	return []Promise{p}
}

// withoutSide returns the line about how long the larger side felt that the other one was gone. ok is false if there was
// none, or it was back before that.
func (j *judge) withoutSide(f Fault) (p Promise, ok bool) {
	wait := either(len(f.Side) == 1, gossipWait, j.Plan.Detection)
	if f.Side == nil || f.Over-f.Down <= wait {
		return Promise{}, false
	}
	degraded, last := 0, time.Duration(0)
	for _, r := range j.between(f.Down, f.Over) {
		if r.Outcome != Failed && r.Source == SourceDegraded && !slices.Contains(f.Side, j.Nodes[r.Asked]) {
			degraded, last = degraded+1, r.Called-f.Down
		}
	}
	p = Promise{
		Number: 3, Name: "others answer in full again", Bound: "within " + brief(wait), Kept: last <= wait+f.Late,
		Seen: "not degraded", Window: fmt.Sprintf("%s %s at %s", f.Kind, f.Node, brief(f.Began)),
	}
	if degraded > 0 {
		p.Seen = fmt.Sprintf("%d degraded, the last asked %s after it", degraded, brief(last))
	}
	return p, true
}

// standing returns the line about nodes that end by themselves.
func (j *judge) standing() Promise {
	p := Promise{Name: "nodes stay up and come back", Bound: "0 break down", Kept: len(j.Fallen) == 0, Seen: "0"}
	if len(j.Fallen) > 0 {
		p.Seen = fmt.Sprintf("%d: %s", len(j.Fallen), j.Fallen[0])
	}
	return p
}
