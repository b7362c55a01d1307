package core

import (
	"math"
	"time"
)

// A judge replays what was admitted for one key, at the true time of decision, through an ideal bucket. What the faults
// allow beyond it is its credit: with one the level may fall below zero by that much, and no further.
type judge struct {
	burst, rate float64 // rate in tokens a second, as fast as the fastest clock
	level       float64
	at          time.Duration
	credit      float64
	admitted    []admission
}

// An admission is one allowed request.
type admission struct {
	at   time.Duration
	cost float64
	node *simNode
}

// admit notes an admission and says by how much too much was admitted, 0 or less if it was not.
func (j *judge) admit(now time.Duration, cost int64, by *simNode) (over float64) {
	j.level = math.Min(j.burst, j.level+j.rate*(now-j.at).Seconds()) - float64(cost)
	j.at = now
	j.admitted = append(j.admitted, admission{now, float64(cost), by})
	return -j.level - j.credit - 1e-6
}

// lent is how much n admitted since then.
func (j *judge) lent(n *simNode, since time.Duration) (sum float64) {
	for i := len(j.admitted) - 1; i >= 0 && j.admitted[i].at >= since; i-- {
		if j.admitted[i].node == n {
			sum += j.admitted[i].cost
		}
	}
	return sum
}
