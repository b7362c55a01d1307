package e2e

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noriahq/noria/e2e/harness"
)

// protocol4 is a commit whose nodes speak protocol 4 and know no other.
const protocol4 = "d740d751e50f4dc430f0d8150e0d3d82a5bc4f2f"

// A fleet of older binaries that is replaced node by node under load answers all that it is asked, and forgets no bucket: whether the
// older ones are of the commit before or speak protocol 4 and nothing else. The second is tried with -soak, and where the checkout does
// not have the commit before: its binary takes minutes to build.
func TestRollingUpgrade(t *testing.T) {
	tried := false
	for _, old := range []struct{ name, hash string }{{"previous", harness.Previous()}, {"protocol 4", harness.Commit(protocol4)}} {
		t.Run(old.name, func(t *testing.T) {
			switch {
			case old.hash == "":
				t.Skip("the checkout does not have that commit: a clone without its history")
			case tried && !*soak:
				t.Skip("one of them is tried; -soak tries both")
			}
			tried = true
			upgrade(t, harness.BuildCommit(t, old.hash))
		})
	}
}

func upgrade(t *testing.T, old string) {
	t.Helper()
	options := patient()
	options.Binary = old
	fleet := harness.Start(t, 3, options)
	d := drain(t, fleet, 200)
	l := startLoad(t, fleet)
	fleet.Use(harness.Build(t))
	for _, n := range fleet.Alive() {
		l.ask(fleet.Others(n))
		fleet.Restart(n, false)
		l.ask(fleet.Alive())
		d.judge(t, fleet, "a new binary at "+n.Name)
	}
	l.end(t)
}

// A rollingLoad asks some nodes all the time.
type rollingLoad struct {
	mu      sync.Mutex
	clients []harness.Client // guarded by mu

	over            chan struct{}
	asking          sync.WaitGroup
	asked, degraded atomic.Int64
	complaints      complaints
}

func startLoad(t *testing.T, fleet *harness.Fleet) *rollingLoad {
	t.Helper()
	l := &rollingLoad{over: make(chan struct{})}
	l.ask(fleet.Alive())
	ctx := bounded(t)
	for i := range 8 {
		l.asking.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-l.over:
					return
				case <-time.After(2 * time.Millisecond):
				}
				l.mu.Lock()
				c := l.clients[(i+k)%len(l.clients)]
				l.mu.Unlock()
				a, err := c.Check(ctx, harness.Check{Key: fmt.Sprintf("rolling/%d/%d", i, k%50), Limit: "quota 1000000"})
				switch {
				case err != nil:
					l.complaints.Errorf("check at %v: %v", c, err)
				case a.Source == "degraded":
					l.degraded.Add(1)
				case !a.Allowed:
					l.complaints.Errorf("check at %v = %+v, want allowed", c, a)
				}
				l.asked.Add(1)
			}
		})
	}
	t.Cleanup(func() {
		select {
		case <-l.over:
		default:
			close(l.over)
		}
		l.asking.Wait()
	})
	return l
}

// ask makes l ask these nodes from now on.
func (l *rollingLoad) ask(nodes []*harness.Node) {
	var clients []harness.Client
	for _, n := range nodes {
		clients = append(clients, n.HTTP(), n.GRPC())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clients = clients
}

// end ends l and fails t unless all was answered.
func (l *rollingLoad) end(t *testing.T) {
	t.Helper()
	close(l.over)
	l.asking.Wait()
	for _, c := range l.complaints.texts {
		t.Error(c)
	}
	asked, degraded := l.asked.Load(), l.degraded.Load()
	t.Logf("%d asked, %d answered without a holder", asked, degraded)
	if asked < 100 || degraded > asked/100 {
		t.Errorf("%d of %d checks were answered without a holder, want at most one in a hundred of many", degraded, asked)
	}
}
