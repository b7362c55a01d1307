package bubble

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Timers that are due at once leave the race detector whole. With that of synctest in place of it, and -race, the detector
// crashed in each of ten runs on two processors.
func TestManyTimers(t *testing.T) {
	rounds := 1_000
	if race {
		rounds = 50_000
	}
	Test(t, func(*testing.T) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range rounds {
					<-time.After(0)
				}
			})
		}
		wg.Wait()
	})
}

// A bubble gives its processors back, also when its test is skipped within, and time in it is fake.
func TestProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	during := before
	if race {
		during = 1
	}
	for range 3 {
		t.Run("skipped", func(t *testing.T) {
			Test(t, func(t *testing.T) {
				began := time.Now()
				time.Sleep(time.Hour)
				synctest.Wait()
				if d := time.Since(began); d != time.Hour {
					t.Errorf("an hour took %v", d)
				}
				if n := runtime.GOMAXPROCS(0); n != during {
					t.Errorf("%d processors in a bubble, want %d", n, during)
				}
				t.SkipNow()
			})
		})
		if n := runtime.GOMAXPROCS(0); n != before {
			t.Errorf("%d processors after a bubble, want %d", n, before)
		}
	}
}

// Bubbles of tests that run in parallel take turns.
func TestParallel(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Run("group", func(t *testing.T) {
		for range 8 {
			t.Run("bubble", func(t *testing.T) {
				t.Parallel()
				Test(t, func(*testing.T) { time.Sleep(time.Minute) })
			})
		}
	})
	if n := runtime.GOMAXPROCS(0); n != before {
		t.Errorf("%d processors after all, want %d", n, before)
	}
}
