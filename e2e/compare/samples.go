package main

import (
	"math"
	"slices"
)

// samples are the figures of one thing, one for each round.
type samples []float64

// median returns the middle of s, NaN if s is empty.
func (s samples) median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// spread returns how far the furthest round is from the median, as a fraction of the median. For 6 to 8 rounds the range
// that this gives is the 95 % confidence interval of the median, as benchstat has it.
func (s samples) spread() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	m := s.median()
	return max(slices.Max(s)-m, m-slices.Min(s)) / math.Abs(m)
}

// over returns s divided by o, round by round; empty if one of them is.
func (s samples) over(o samples) samples {
	ratios := make(samples, min(len(s), len(o)))
	for i := range ratios {
		ratios[i] = s[i] / o[i]
	}
	return ratios
}
