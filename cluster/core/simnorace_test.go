//go:build !race

package core

// How many clusters are tried, and how many for each planted bug.
const (
	seedsMost   = 2000
	savedMost   = 60
	plantedMost = 600
)
