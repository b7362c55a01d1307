//go:build !race

package cluster_test

// raceEnabled says that the race detector looks on.
const raceEnabled = false
