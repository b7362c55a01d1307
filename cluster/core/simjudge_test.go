package core

import (
	"math"
	"time"
)

// A judge replays what was decided for one key, at the true time of decision, through two ideal buckets: nothing is admitted
// that the one with the fastest clock would not have, nor denied what the one with the slowest clock would have admitted,
// but for what was lost with a holder and what refilled while the bucket was on its way.
type judge struct {
	burst      float64
	fast, slow float64 // tokens a second
	level      float64 // of the fast one
	least      float64 // of the slow one
	at         time.Duration
	admitted   []admission
	given      bool // somebody gave tokens back
}

// An admission is one allowed request.
type admission struct {
	at       time.Duration
	cost     float64
	node     *simNode
	forgiven bool
}

// rounding is more than what a bucket gives or keeps by rounding, over all its moves.
const rounding = 1e-5

// pass lets the buckets refill until now.
func (j *judge) pass(now time.Duration) {
	dt := (now - j.at).Seconds()
	j.level = math.Min(j.burst, j.level+j.fast*dt)
	j.least = math.Min(j.burst, j.least+j.slow*dt)
	j.at = now
}

// admit notes an admission and says by how much too much was admitted, 0 or less if it was not.
func (j *judge) admit(now time.Duration, cost int64, by *simNode) (over float64) {
	j.pass(now)
	j.level -= float64(cost)
	j.least -= float64(cost)
	j.admitted = append(j.admitted, admission{at: now, cost: float64(cost), node: by})
	return -j.level - rounding
}

// deny notes a denial and says how much was there, 0 or less if it was right.
func (j *judge) deny(now time.Duration, cost int64) (under float64) {
	j.pass(now)
	return j.least - float64(cost) - rounding
}

// give notes that tokens came back, rounded up where some may have been refilled.
func (j *judge) give(now time.Duration, tokens int64, rounded bool) {
	j.pass(now)
	j.given = true
	j.level = math.Min(j.burst, j.level+float64(tokens))
	if rounded {
		tokens = max(tokens-1, 0)
	}
	j.least = math.Min(j.burst, j.least+float64(tokens))
}

// lost notes that the bucket was on its way for d: what refilled meanwhile is lost.
func (j *judge) lost(d time.Duration) { j.least -= j.slow * d.Seconds() }

// forgive takes those admissions back that may be lost: the next holder does not know of them. It gives as much back as
// they cost, and never more than a burst.
func (j *judge) forgive(now time.Duration, may func(a *admission) bool) {
	j.pass(now)
	for i := len(j.admitted) - 1; i >= 0 && j.admitted[i].at >= now-memoryMost; i-- {
		if a := &j.admitted[i]; !a.forgiven && may(a) {
			a.forgiven = true
			j.level += a.cost
		}
	}
	j.level = math.Min(j.level, j.burst)
}

// memoryMost is how far back a fault may reach.
const memoryMost = 20 * time.Second
