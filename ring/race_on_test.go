//go:build race

package ring

// raceOn leaves out what the race detector slows to seconds and, on one goroutine, has nothing to find in.
const raceOn = true
