//go:build race

package core

// How many clusters are tried, and how many for each planted bug.
const (
	seedsMost   = 150
	savedMost   = 10
	plantedMost = 0
)
