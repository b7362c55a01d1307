package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/noriahq/noria/e2e/harness"
)

// However often a node joins, is asked, asks, and leaves or is killed, those that stay have no more goroutines and open files than
// before.
func TestRealJoinsLeakNothing(t *testing.T) {
	fleet := harness.Start(t, 2, harness.Options{})
	turn := func(i int) {
		n := fleet.Join("c")
		for k := range 10 {
			mustCheck(t, n.HTTP(), harness.Check{Key: fmt.Sprint("leak/", k), Limit: "quota 1000000"})
		}
		if i%3 == 2 {
			n.Kill()
		} else if status := n.Stop(); status != 0 {
			t.Errorf("stop: exit status %d", status)
		}
		fleet.WaitAgreed()
	}
	turn(0)
	turn(2)
	before := holdings(t, fleet)
	for i := range 6 {
		turn(i)
	}
	var after [2]int
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) { // what ends takes a moment
		if after = holdings(t, fleet); after[0] <= before[0]+2 && after[1] <= before[1]+1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d goroutines and %d files are open, before %d and %d", after[0], after[1], before[0], before[1])
		}
	}
}

// holdings returns how many goroutines and open files the nodes of fleet have in all.
func holdings(t *testing.T, fleet *harness.Fleet) (sum [2]int) {
	t.Helper()
	routines := regexp.MustCompile(`(?m)^goroutine profile: total (\d+)$`)
	for _, n := range fleet.Alive() {
		_, body, err := harness.Get(bounded(t), n.Addr.Admin, "/debug/pprof/goroutine?debug=1")
		if err != nil {
			t.Fatal(err)
		}
		found := routines.FindStringSubmatch(body)
		if found == nil {
			t.Fatalf("no goroutines in %.100q", body)
		}
		count, _ := strconv.Atoi(found[1])
		sum[0] += count
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.Pid()))
		if err != nil {
			t.Skip("no /proc here, so nobody says how many files are open")
		}
		sum[1] += len(files)
	}
	return sum
}
