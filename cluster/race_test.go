//go:build race

package cluster_test

// raceEnabled says that the race detector looks on. It makes large clusters ten times as slow, and memory another thing.
const raceEnabled = true
