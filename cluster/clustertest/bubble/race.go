//go:build race

package bubble

// race tells whether this was built with the race detector.
const race = true
