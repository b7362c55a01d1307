package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noriahq/noria/e2e/harness"
)

// A savingFleet is three nodes with a directory each.
type savingFleet struct {
	t     *testing.T
	dirs  string
	seed  string // gossip address of a
	label string
	nodes []*harness.Node
}

// start starts all nodes at once and returns when they are ready.
func (f *savingFleet) start() {
	f.t.Helper()
	f.nodes = nil
	for _, name := range []string{"a", "b", "c"} {
		args := []string{"--label", f.label, "--state", filepath.Join(f.dirs, name), "--state-every", "500ms"}
		var seeds []string
		if name == "a" {
			args = append(args, "--gossip", f.seed)
		} else {
			seeds = []string{f.seed}
		}
		f.nodes = append(f.nodes, harness.Serve(f.t, name, seeds, nil, args...))
	}
	for _, n := range f.nodes {
		n.WaitReady()
	}
	f.until("three members", func(n *harness.Node) bool {
		s, err := n.Status(bounded(f.t))
		return err == nil && s.Ready && len(s.Members) == 3 && s.Wanted == 0 && s.State != nil && s.State.Unmerged == 0
	})
}

func (f *savingFleet) until(what string, is func(n *harness.Node) bool) {
	f.t.Helper()
	for _, n := range f.nodes {
		for end := time.Now().Add(harness.Hang); !is(n); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				f.t.Fatalf("%s: no %s", n.Name, what)
			}
		}
	}
}

// saved returns when all nodes have begun and ended a save after now, and another one.
func (f *savingFleet) saved() {
	f.t.Helper()
	for range 3 {
		now := time.Now()
		f.until("save", func(n *harness.Node) bool {
			s, err := n.Status(bounded(f.t))
			return err == nil && s.State.Saved.After(now)
		})
	}
}

// all does what do does to all nodes at once.
func (f *savingFleet) all(do func(n *harness.Node)) {
	var doing sync.WaitGroup
	for _, n := range f.nodes {
		doing.Go(func() { do(n) })
	}
	doing.Wait()
}

// left returns how many tokens each key has left, at least and at most, as all nodes say.
func (f *savingFleet) left(keys []string, limit string) (least, most int64) {
	f.t.Helper()
	least = 1 << 40
	for _, key := range keys {
		for _, n := range f.nodes {
			a := mustCheck(f.t, n.HTTP(), harness.Check{Key: key, Limit: limit, Cost: cost(0)})
			if a.Source == "degraded" {
				f.t.Errorf("%s answers %s without its holder: %+v", n.Name, key, a)
			}
			least, most = min(least, a.Remaining), max(most, a.Remaining)
		}
	}
	return least, most
}

// A fleet that is stopped as a whole and started again has exactly the tokens left of a monthly quota that it had; one that is killed
// as a whole has at most those that it admitted since it saved once more; and a file that is torn is told of, and costs as much as
// one save more.
func TestFleetStartsAgain(t *testing.T) {
	const limit = "quota 100 per month"
	f := &savingFleet{t: t, dirs: t.TempDir(), seed: harness.FreeAddr(t), label: fmt.Sprintf("again-%d", time.Now().UnixNano())}
	var keys []string
	for i := range 20 {
		keys = append(keys, fmt.Sprint("again/", i))
	}
	spend := func(tokens int64) {
		for i, key := range keys {
			if a := mustCheck(t, f.nodes[i%3].HTTP(), harness.Check{Key: key, Limit: limit, Cost: cost(tokens), ID: fmt.Sprint(key, tokens)}); !a.Allowed {
				t.Errorf("check of %d of %s = %+v, want allowed", tokens, key, a)
			}
		}
	}
	f.start()
	spend(60)
	f.all(func(n *harness.Node) {
		if status := n.Stop(); status != 0 {
			t.Errorf("stop %s: exit status %d, want 0", n.Name, status)
		}
	})

	f.start()
	spend(60) // by the same ids: they were charged
	if least, most := f.left(keys, limit); least != 40 || most != 40 {
		t.Errorf("after a stop of all %d to %d tokens are left, want 40", least, most)
	}
	f.saved()
	spend(7)
	f.all(func(n *harness.Node) { n.Kill() })
	torn := filepath.Join(f.dirs, "c", "buckets")
	if err := os.Truncate(torn, 20); err != nil {
		t.Fatal(err)
	}

	f.start()
	if least, most := f.left(keys, limit); least < 33 || most > 40 {
		t.Errorf("after kill -9 of all %d to %d tokens are left, want 33 to 40", least, most)
	}
	c := f.nodes[2]
	if line := c.FindLine(1, "what was saved cannot be read", "torn"); !strings.Contains(line, torn) {
		t.Errorf("c says %s, want the file", line)
	}
	if s, err := c.Status(bounded(t)); err != nil || s.State.Skipped != 1 {
		t.Errorf("c's status says %+v, %v, want one file skipped", s.State, err)
	}
}

// A directory is one node's, and one process's.
func TestStateIsOnes(t *testing.T) {
	dir := t.TempDir()
	n := harness.Serve(t, "a", nil, nil, "--state", dir, "--state-every", "100ms")
	n.WaitReady()
	refused := func(want string, args ...string) {
		t.Helper()
		ports := []string{"--http", ":0", "--api", ":0", "--grpc", ":0", "--admin", ":0", "--peer", ":0", "--gossip", ":0"}
		r := harness.Run(t, nil, append(append([]string{"serve", "--state", dir}, ports...), args...)...)
		if r.Status != 2 || !strings.Contains(r.Stderr, want) {
			t.Errorf("serve %v ends with %d and %q, want 2 and %q", args, r.Status, r.Stderr, want)
		}
	}
	refused("another process uses the directory", "--name", "b")
	if status := n.Stop(); status != 0 {
		t.Errorf("stop: exit status %d", status)
	}
	refused(`has what node "a" of cluster "noria" has saved, this is node "b"`, "--name", "b")
	refused(`of cluster "noria" has saved, this is node "a" of "prod"`, "--name", "a", "--label", "prod")
	refused("a gateway holds no keys", "--name", "a", "--role", "gateway")
}
