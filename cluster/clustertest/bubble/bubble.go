// Package bubble runs tests in bubbles of [testing/synctest], where time is fake, and keeps the race detector whole while
// they run.
//
// A bubble has one context of the race detector for all its timers. Goroutines whose timers are due at once can fire them
// on two processors at a time, both in that context, which the detector is not made for: it ends the program with
// "ThreadSanitizer: CHECK failed", or reads memory that is not its own (https://go.dev/issue/78156, in Go 1.25 and 1.26).
// A cluster in a bubble has hundreds of timers. So under the race detector its bubbles have one processor. What the
// detector finds does not depend on what runs at the same instant, but on what was ordered by locks and channels.
package bubble

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
)

// alone is held by the bubble that runs, since the number of processors is the program's.
var alone sync.Mutex //nolint:gochecknoglobals // so are the processors

// Test is [synctest.Test], which see, with one processor while f runs if the program was built with the race detector.
// It blocks until f and the goroutines it started have ended, and until bubbles of other tests have. It may be called by
// tests that run in parallel, but not in a bubble.
func Test(t *testing.T, f func(*testing.T)) {
	t.Helper()
	if race {
		alone.Lock()
		defer alone.Unlock()
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	synctest.Test(t, f)
}
