//go:build race

package peer_test

// raceEnabled says that the race detector looks on. It makes large clusters ten times as slow.
const raceEnabled = true
