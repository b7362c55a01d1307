//go:build race

package core

// How many clusters are tried, and how many for each planted bug.
const (
	seedsMost   = 33
	savedMost   = 4
	plantedMost = 0
)
