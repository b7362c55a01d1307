//go:build !race

package peer_test

// raceEnabled says that the race detector looks on.
const raceEnabled = false
