// Package e2e tests fleets of real processes over real sockets, by real clients.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noriahq/noria/e2e/harness"
)

// steadyFor is how long TestSteady watches its limits.
var steadyFor = flag.Duration("steady", 10*time.Second, "how long steady limits are watched")

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// patient is for tests that count exactly: nodes wait for each other however slow the machine is, so that no answer is
// degraded while all nodes live.
func patient() harness.Options { return harness.Options{Args: []string{"--peer-wait", "30s"}} }

// bounded returns the test's context with an end that only a hang reaches.
func bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*harness.Hang)
	t.Cleanup(cancel)
	return ctx
}

// cost returns a cost for a Check.
func cost(n int64) *int64 { return &n }

// atOnce calls f with 0 to n-1 at the same time and returns when all calls have.
func atOnce(n int, f func(i int)) {
	var calls sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		calls.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	calls.Wait()
}

// complaints are what one run of a test found wrong. They are safe for concurrent use.
type complaints struct {
	mu    sync.Mutex
	texts []string // guarded by mu
}

// Errorf complains.
func (c *complaints) Errorf(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.texts = append(c.texts, fmt.Sprintf(format, args...))
}

// whileAgreed runs a test of what holds while the members stay the same, and again if they did not: each run gets its
// number, for keys of its own. What the last run complains of fails the test.
func whileAgreed(t *testing.T, fleet *harness.Fleet, run func(number int, wrong *complaints)) {
	t.Helper()
	for number := range 5 {
		var wrong complaints
		before := fleet.Changes()
		run(number, &wrong)
		if len(wrong.texts) == 0 {
			return
		}
		time.Sleep(time.Second) // what a node has found out it has said by then
		if fleet.Changes() == before {
			t.Error(strings.Join(wrong.texts[:min(10, len(wrong.texts))], "\n"))
			return
		}
		t.Logf("the members changed during run %d, so it is void; it complained:\n%s", number, strings.Join(wrong.texts, "\n"))
		fleet.WaitAgreed()
	}
	t.Error("the members changed during every run: is the machine this slow?")
}

// level returns the tokens left for key, as its holder says, or complains and returns -1.
func level(t testing.TB, wrong *complaints, c harness.Client, key, limit string) int64 {
	t.Helper()
	a := mustCheck(t, c, harness.Check{Key: key, Limit: limit, Cost: cost(0)})
	if a.Source != "holder" {
		wrong.Errorf("%v: level of %q comes from %s: %+v", c, key, a.Source, a)
		return -1
	}
	return a.Remaining
}

// mustCheck asks c and ends the test if there is no decision.
func mustCheck(t testing.TB, c harness.Client, check harness.Check) harness.Answer {
	t.Helper()
	a, err := c.Check(bounded(t), check)
	if err != nil {
		t.Fatalf("check %+v: %v", check, err)
	}
	return a
}

// each runs test as a subtest for each client, named after it.
func each(t *testing.T, clients []harness.Client, test func(t *testing.T, c harness.Client)) {
	t.Helper()
	for _, c := range clients {
		t.Run(fmt.Sprint(c), func(t *testing.T) { test(t, c) })
	}
}
