package e2e

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/e2e/harness"
	"github.com/noriahq/noria/transport/client"
)

// The callers of a client do not notice that the nodes which it asks leave one after the other, but for the last, and get
// exactly what the limit is; when the last is killed they are told.
func TestClient(t *testing.T) {
	const tokens = 12000
	fleet := harness.Start(t, 3, harness.Options{})
	limit, err := bucket.ParseLimit(fmt.Sprint("quota ", tokens))
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, n := range fleet.Alive() {
		targets = append(targets, n.Addr.GRPC)
	}
	c, err := client.New(client.Config{Targets: targets})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	ctx := bounded(t)
	var allowed, denied, degraded atomic.Int64
	var all sync.WaitGroup
	left := make(chan struct{}) // both nodes have
	for range 20 {
		all.Go(func() {
			for {
				d, err := c.Check(ctx, bucket.Request{Key: "k", Limit: limit, Cost: 1, OnLost: bucket.Deny})
				switch {
				case err != nil:
					t.Errorf("Check: %v", err)
					return
				case d.Allowed:
					allowed.Add(1)
				case d.Degraded:
					degraded.Add(1)
				default:
					denied.Add(1)
				}
				time.Sleep(5 * time.Millisecond)
				select {
				case <-left:
					if denied.Load() > 0 {
						return
					}
				default:
				}
			}
		})
	}
	for _, name := range []string{"a", "b"} {
		time.Sleep(300 * time.Millisecond)
		if status := fleet.Node(name).Stop(); status != 0 {
			t.Errorf("%s left with %d, want 0", name, status)
		}
		fleet.WaitAgreed()
	}
	close(left)
	all.Wait()
	t.Logf("%d allowed, %d denied, %d degraded", allowed.Load(), denied.Load(), degraded.Load())
	if allowed.Load() != tokens {
		t.Errorf("%d allowed, want %d", allowed.Load(), tokens)
	}
	fleet.Node("c").Kill()
	if _, err := c.Check(ctx, bucket.Request{Key: "k", Limit: limit, Cost: 1}); err == nil {
		t.Error("Check with nobody left: no error")
	}
}
