package api

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var _ Limiter = (*cluster.Node)(nil)

// A fake is a Limiter that is a cluster of one: it really limits.
type fake struct {
	store *bucket.Store
	start time.Time

	mu     sync.Mutex
	keep   bool             // asked; guarded by mu
	asked  []bucket.Request // guarded by mu
	err    error            // of every call; guarded by mu
	status cluster.Status   // guarded by mu
}

func newFake(t testing.TB) *fake {
	t.Helper()
	store, err := bucket.NewStore(bucket.StoreConfig{Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, bench := t.(*testing.B)
	return &fake{store: store, start: time.Now(), keep: !bench, status: cluster.Status{
		Node: "a", Ready: true, Label: "noria", Epoch: "00c0ffee", Ring: "16384/512/1.25",
		Members:    []cluster.MemberStatus{{ID: "a", Peer: "127.0.0.1:7947", Gossip: "127.0.0.1:7946", Partitions: 16384, Self: true}},
		Partitions: 16384, Keys: 3, Evicted: 4, Degraded: 5, Policy: "00000000000000f0", Policies: 2, Reservations: 6, Uptime: time.Minute,
	}}
}

func (f *fake) now() bucket.Instant { return bucket.Instant(time.Since(f.start)) }

// begin notes what is asked and returns the error to answer with.
func (f *fake) begin(rs ...bucket.Request) error {
	f.mu.Lock()
	if f.keep {
		f.asked = append(f.asked, rs...)
	}
	err := f.err
	f.mu.Unlock()
	return err
}

func (f *fake) Check(ctx context.Context, r bucket.Request) (bucket.Decision, error) {
	if err := f.begin(r); err != nil {
		return bucket.Decision{}, err
	}
	d, err := f.store.Take(f.now(), 0, &r)
	d.Node = "a"
	return d, err
}

func (f *fake) Settle(ctx context.Context, s ...bucket.Settlement) ([]bucket.Settled, error) {
	if err := f.begin(); err != nil {
		return nil, err
	}
	said := make([]bucket.Settled, len(s))
	for i := range s {
		var err error
		if said[i], err = f.store.Settle(f.now(), 0, &s[i]); err != nil {
			return nil, err
		}
	}
	return said, nil
}

func (f *fake) CheckAll(ctx context.Context, rs []bucket.Request) (bucket.Decisions, error) {
	if err := f.begin(rs...); err != nil {
		return nil, err
	}
	items := make([]bucket.Item, len(rs))
	for i := range rs {
		items[i].Request = &rs[i]
	}
	if _, err := f.store.TakeAll(f.now(), items, false); err != nil {
		return nil, err
	}
	ds := make(bucket.Decisions, len(rs))
	for i := range items {
		ds[i] = items[i].Decision
		ds[i].Node = "a"
	}
	return ds, nil
}

func (f *fake) Reset(ctx context.Context, key string) error {
	if err := f.begin(bucket.Request{Key: key}); err != nil {
		return err
	}
	return f.store.Reset(0, key)
}

func (f *fake) Status() cluster.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// fail makes every call from now on end with err.
func (f *fake) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// setReady says whether the node is ready from now on.
func (f *fake) setReady(ready bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Ready = ready
}

// requests returns what was asked so far.
func (f *fake) requests() []bucket.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// golden compares got with the file name in testdata, or writes it there.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, string(want)); diff != "" {
		t.Errorf("%s (-got +want; -update rewrites it):\n%s", path, diff)
	}
}

// ours returns detail without the words that package bucket chose, which its own tests look at.
func ours(detail string) string {
	for _, err := range []error{bucket.ErrLimit, bucket.ErrConflict} {
		if before, _, ok := strings.Cut(detail, err.Error()); ok {
			return before + err.Error() + " ..."
		}
	}
	return detail
}
