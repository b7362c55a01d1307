package cluster

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/cluster/snapshot"
	"github.com/noriahq/noria/ring"
)

// n0 is what a wall clock shows.
var n0 = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)

// nowhere is the transport of a node that has no peers.
type nowhere struct{}

func (nowhere) Listen() (string, error) { return "127.0.0.1:1", nil }
func (nowhere) Serve(ctx context.Context, _ Hello, _ Handler) error {
	<-ctx.Done()
	return ctx.Err()
}
func (nowhere) Peer(ring.Member, string) Peer                { return nil }
func (nowhere) Greet(context.Context, string) (Hello, error) { return Hello{}, net.ErrClosed }
func (nowhere) Close() error                                 { return nil }

// stateNode returns a node that saves in dir and whose wall clock shows wall, and has what it had saved.
func stateNode(t *testing.T, dir string, wall time.Time) (n *Node, end func()) {
	t.Helper()
	d, err := snapshot.Open(dir, "a", "noria")
	if err != nil {
		t.Fatal(err)
	}
	n, err = New(Config{Name: "a", Transport: nowhere{}, State: d})
	if err != nil {
		t.Fatal(err)
	}
	n.saving.wall = func() time.Time { return wall }
	n.load(t.Context())
	table, err := n.rings.of([]ring.Member{"a"})
	if err != nil {
		t.Fatal(err)
	}
	n.step(func(c *core.Core, now bucket.Instant) {
		c.View(now, core.View{Members: []core.Member{{ID: "a", Boot: n.boot}}, Table: table})
		c.Tick(now) // it claims half at once
	})
	if held := n.core.Held(); held != table.Params().Partitions {
		t.Fatalf("a node alone holds %d partitions", held)
	}
	return n, func() { _ = d.Close() }
}

func tokens(t *testing.T, n *Node, key, limit string, cost int64) int64 {
	t.Helper()
	l, err := bucket.ParseLimit(limit)
	if err != nil {
		t.Fatal(err)
	}
	p := int(ring.Hash(key) % 16384)
	d, err := n.store.Take(n.now(), p, &bucket.Request{Key: key, Limit: l, Cost: cost})
	if err != nil || cost > 0 && !d.Allowed {
		t.Fatalf("take %d of %s: %+v, %v", cost, key, d, err)
	}
	return d.Remaining
}

// The time between two runs refills a bucket as far as wall clocks tell, and no more than a burst; a wall clock that was set back
// gives nothing, and a quota gets nothing from any.
func TestWallClock(t *testing.T) {
	saved := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		wall       time.Time
		rate, most int64 // tokens of a limit of 10 a minute, burst 100, that were all spent; at least and at most
	}{
		"at once":              {saved, 0, 0},
		"a minute":             {saved.Add(time.Minute), 10, 10},
		"5 m 59 s":             {saved.Add(6*time.Minute - time.Second), 59, 59},
		"set back by an hour":  {saved.Add(-time.Hour), 0, 0},
		"set back by 60 years": {saved.AddDate(-60, 0, 0), 0, 0},
		"a day":                {saved.AddDate(0, 0, 1), 100, 100},
		"200 years":            {saved.AddDate(200, 0, 0), 100, 100},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			n, end := stateNode(t, dir, saved)
			tokens(t, n, "rate", "10/m burst 100", 100)
			tokens(t, n, "quota", "quota 100", 60)
			n.saveLast()
			if s := n.stateStatus(); s.Partitions != 2 || s.Failures > 0 || s.Bytes == 0 {
				t.Fatalf("saved %+v, want 2 partitions", s)
			}
			end()
			n, end = stateNode(t, dir, c.wall)
			defer end()
			if got := tokens(t, n, "rate", "10/m burst 100", 0); got < c.rate || got > c.most+1 {
				t.Errorf("%d tokens are left of a rate, want %d to %d", got, c.rate, c.most)
			}
			if got := tokens(t, n, "quota", "quota 100", 0); got != 40 {
				t.Errorf("%d tokens are left of a quota, want 40", got)
			}
			if s := n.stateStatus(); s.Loaded != 2 || s.Unmerged != 0 || s.Skipped != 0 {
				t.Errorf("status %+v, want 2 partitions loaded and merged", s)
			}
		})
	}
}

// A run has a newer boot than the one before, also where the clock was set back meanwhile; or the others would go by the old one.
func TestBootRises(t *testing.T) {
	dir := t.TempDir()
	d, err := snapshot.Open(dir, "a", "noria")
	if err != nil {
		t.Fatal(err)
	}
	ahead := uint64(time.Now().Add(time.Hour).UnixNano())
	if _, err := d.Write(snapshot.Head{Boot: ahead}, func(*snapshot.Writer) error { return nil }); err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
	n, end := stateNode(t, dir, time.Now())
	defer end()
	if n.boot != ahead+1 || n.hello().Boot != ahead+1 || n.core.Boot != ahead+1 {
		t.Errorf("boot %d, want %d", n.boot, ahead+1)
	}
}

// What cannot be written leaves what was written before, and is counted.
func TestCannotSave(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("as root: a folder in the way instead of one that is not writable")
	}
	dir := t.TempDir()
	n, end := stateNode(t, dir, time.Now())
	tokens(t, n, "quota", "quota 100", 60)
	n.save(t.Context(), 0, false)
	if err := os.MkdirAll(filepath.Join(dir, "buckets.new", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	tokens(t, n, "quota", "quota 100", 10)
	n.save(t.Context(), 0, false)
	if s := n.stateStatus(); s.Failures != 1 || s.Partitions != 1 {
		t.Errorf("status %+v, want one failure and what was saved before", s)
	}
	end()
	n, end = stateNode(t, dir, time.Now())
	defer end()
	if got := tokens(t, n, "quota", "quota 100", 0); got != 40 {
		t.Errorf("%d tokens are left, want 40", got)
	}
}

// What to save is refused where it belongs to another ring, and to a gateway.
func TestStateRefused(t *testing.T) {
	dir := t.TempDir()
	d, err := snapshot.Open(dir, "a", "noria")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := New(Config{Name: "a", Transport: nowhere{}, State: d, Role: RoleGateway}); err == nil {
		t.Error("New takes a gateway with a State")
	}
	if _, err := New(Config{Name: "a", Transport: nowhere{}, State: d, StateEvery: time.Millisecond}); err == nil {
		t.Error("New takes a StateEvery of 1ms")
	}
	if _, err := d.Write(snapshot.Head{Ring: "other"}, func(*snapshot.Writer) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Name: "a", Transport: nowhere{}, State: d}); err == nil {
		t.Error("New takes what was saved with another ring")
	}
}

// BenchmarkState measures what it takes to save a million keys and to load them; BenchmarkCheckBesideSave how long checks wait
// meanwhile.
func BenchmarkState(b *testing.B) {
	d, err := snapshot.Open(b.TempDir(), "a", "noria")
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	n, err := New(Config{Name: "a", Transport: nowhere{}, State: d})
	if err != nil {
		b.Fatal(err)
	}
	table, err := n.rings.of([]ring.Member{"a"})
	if err != nil {
		b.Fatal(err)
	}
	n.step(func(c *core.Core, now bucket.Instant) {
		c.View(now, core.View{Members: []core.Member{{ID: "a", Boot: n.boot}}, Table: table})
		c.Tick(now) // it claims half at once
	})
	const keys = 1_000_000
	req := bucket.Request{Limit: bucket.Limit{Tokens: 1, Per: time.Hour, Burst: 1000}, Cost: 3}
	for i := range keys {
		req.Key = "tenant/" + time.Duration(i).String()
		if _, err := n.store.Take(n.now(), int(ring.Hash(req.Key)%16384), &req); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("save", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n.save(context.Background(), 0, false)
		}
		b.ReportMetric(float64(n.stateStatus().Bytes)/keys, "bytes/key")
	})
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			m, err := New(Config{Name: "a", Transport: nowhere{}, State: d})
			if err != nil {
				b.Fatal(err)
			}
			m.load(context.Background())
			if got := m.stateStatus().Loaded; got != 16384 {
				b.Fatalf("%d partitions loaded", got)
			}
		}
	})
}
